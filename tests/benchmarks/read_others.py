"""Reading the log into columns, against the loops that users of Kafka's Python clients write today."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tapedeck.log.timeline import timeline
from tests.benchmarks.bench import PARTITIONS, Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result

POLLED, ITERATED = 500_000, 200_000
"""So many messages are enough to tell how fast a slow loop is."""


def _ours(bench: Bench) -> float:
    log = bench.trades

    def read() -> None:
        batches = timeline(log.vendor, bench.settings).between(log.slice.start, log.slice.end).batches()
        assert sum(len(columns) for batch in batches for columns in batch.values()) == log.messages

    return rate(log.messages, read)


@benchmark("read_poll")
def measure_poll(bench: Bench) -> Result:
    """Judged and merged over partitions, against one `Consumer.poll()` a message that decodes nothing."""
    settings, topic = bench.settings, bench.trades.pin.name

    def polled() -> float:
        consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap, "group.id": "bench-poll"})
        consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
        found, began = 0, time.perf_counter()
        while found < POLLED:
            if (message := consumer.poll(1.0)) is not None and message.error() is None:
                found += 1
        took = time.perf_counter() - began
        consumer.close()
        return POLLED / took

    value, baseline = alternate(lambda: _ours(bench), polled)
    return Result(
        value=value, unit="messages/s", baseline_name="Consumer.poll()", baseline=baseline, must=Must(1.0)
    )


@benchmark("read_kafka_python")
def measure_kafka_python(bench: Bench) -> Result:
    """The same, against iterating over kafka-python's consumer."""
    import kafka

    settings, topic = bench.settings, bench.trades.pin.name

    def iterated() -> float:
        consumer: Any = kafka.KafkaConsumer(
            bootstrap_servers=settings.kafka.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
        )
        consumer.assign([kafka.TopicPartition(topic, p) for p in range(PARTITIONS)])
        consumer.seek_to_beginning()
        began = time.perf_counter()
        for _ in islice(consumer, ITERATED):
            pass
        took = time.perf_counter() - began
        consumer.close()
        return ITERATED / took

    value, baseline = alternate(lambda: _ours(bench), iterated)
    return Result(
        value=value, unit="messages/s", baseline_name="kafka-python", baseline=baseline, must=Must(1.0)
    )
