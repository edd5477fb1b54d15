"""Following a vendor's live topics from a time on."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Consumer, TopicPartition

from tapedeck.codec import POISON
from tapedeck.log import client, topics
from tapedeck.log.meta import TopicPin
from tapedeck.message import WHOLE_FEED, Heartbeat, Message, Status, Void, decode
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings


def tail(settings: Settings, vendor: str, start: int) -> Iterator[Message]:
    """Messages with ts_recv >= start (UTC ns) as they come, without end.

    A source's stamps strictly increase in a partition, so one at or below the last is a resend and is
    left out. What can't be decoded is left out too: `cat --count` counts it. Raises Unavailable where
    Kafka fails, Mismatch for a topic that is not as pinned.
    """
    pins = {pin.name: pin for pin in topics.verify(settings, vendor).live}
    last: dict[tuple[str, int, int], int] = {}
    with client.consumer(settings, **{"fetch.wait.max.ms": 100}) as consumer:
        _begin(settings, consumer, list(pins.values()), start)
        while True:
            for record in consumer.consume(1000, 0.05):
                error = record.error()
                if error is not None:
                    if error.name() in ("_PARTITION_EOF", "_TRANSPORT", "_ALL_BROKERS_DOWN"):
                        continue
                    raise client.unavailable(settings, error.str())
                try:
                    message = decode(record.value())
                except POISON:
                    continue
                source = (record.topic(), record.partition(), message.src)
                if isinstance(message, Heartbeat | Void) or message.ts_recv < start:
                    continue
                if message.ts_recv <= last.get(source, 0):
                    continue
                last[source] = message.ts_recv
                home = partition_of(WHOLE_FEED, pins[record.topic()].partitions)
                whole_feed = isinstance(message, Status) and message.symbol == WHOLE_FEED
                if not whole_feed or record.partition() == home:
                    yield message


def _begin(settings: Settings, consumer: Consumer, pins: list[TopicPin], start: int) -> None:
    """Assign all partitions at the first record at or past `start`; where there is none, at the end."""
    positions = []
    for pin in pins:
        ends = {p: client.watermarks(settings, consumer, pin.name, p)[1] for p in range(pin.partitions)}
        asked = dict.fromkeys(ends, start // 1_000_000)
        for p, offset in client.offsets_at(settings, consumer, pin.name, asked).items():
            positions.append(TopicPartition(pin.name, p, ends[p] if offset < 0 else offset))
    consumer.assign(positions)
