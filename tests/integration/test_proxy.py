"""The proxy that fault tests put on the wire: Kafka's clients stay on it, and what it loses is lost."""

from __future__ import annotations

import time

from confluent_kafka import Producer

from tapedeck.log import client, topics
from tapedeck.settings import Settings
from tests.proxy import Proxy
from tests.tapes import VENDOR, records, until


def test_a_producer_stays_on_the_proxy_and_a_lost_acknowledgement_doubles_nothing(settings: Settings) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    with Proxy.kafka(settings.kafka.bootstrap) as proxy:
        producer = Producer(
            {
                "bootstrap.servers": proxy.address, "enable.idempotence": True, "message.timeout.ms": 0,
                "reconnect.backoff.max.ms": 200, "topic.metadata.refresh.interval.ms": -1,
            }
        )  # fmt: skip
        acknowledged: list[bytes] = []

        def send(value: bytes) -> None:
            producer.produce(
                pin.name, value, partition=0, timestamp=time.time_ns() // 1_000_000,
                on_delivery=lambda error, m: acknowledged.append(m.value() or b""),
            )  # fmt: skip

        send(b"before")
        until(lambda: producer.poll(0.05) >= 0 and acknowledged == [b"before"], 60)
        proxy.lose_replies()
        send(b"lost")
        until(lambda: producer.poll(0.05) >= 0 and _end(settings, pin.name) == 2, 60)
        assert proxy.lost > 0
        assert acknowledged == [b"before"]  # it is in the log, and nobody knows
        before = proxy.connections
        proxy.cut()
        until(lambda: producer.poll(0.05) >= 0 and len(acknowledged) == 2, 60)
        assert proxy.connections > before
        proxy.leave()
        send(b"away")
        assert producer.flush(1.0) > 0
        proxy.come_back()
        until(lambda: producer.poll(0.05) >= 0 and len(acknowledged) == 3, 60)
    values = [value for part in records(settings, pin)[0] for value in part.values]
    assert values == [b"before", b"lost", b"away"]


def _end(settings: Settings, topic: str) -> int:
    with client.consumer(settings) as consumer:
        return client.watermarks(settings, consumer, topic, 0)[1]
