"""What each of a vendor's topics holds now."""

from __future__ import annotations

from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec
from msgspec import Struct

from tapedeck.log import client, meta, topics
from tapedeck.settings import Settings


class TopicState(Struct, frozen=True, kw_only=True):
    """A topic as it stands. `records` counts control records too; times are CreateTimes, UTC ms."""

    topic: str
    role: str
    number: int
    partitions: int
    records: int
    first_ms: int | None
    last_ms: int | None
    sources: tuple[int, ...]


def inventory(settings: Settings, vendor: str) -> list[TopicState]:
    """The vendor's topics, live ones first. Raises as `topics.verify` does."""
    known = meta.read(settings)
    pinned = topics.verify(settings, vendor, known)
    admin = client.admin(settings)
    states = []
    for pin in (*pinned.log, pinned.quarantine):
        asked = [TopicPartition(pin.name, p) for p in range(pin.partitions)]
        ends = {}
        for which in (OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.max_timestamp()):
            with client.answering(settings):
                futures = admin.list_offsets(dict.fromkeys(asked, which), request_timeout=10)
                ends[type(which).__name__] = [future.result() for future in futures.values()]
        low, high, newest = ends.values()
        lasts = [found.timestamp for found in newest if found.timestamp >= 0]
        lives = {life.src for life in known.lives if life.topic_id == pin.id}
        extents = {extent.src for extent in known.extents if extent.topic_id == pin.id}
        states.append(
            TopicState(
                topic=pin.name, role=pin.role, number=pin.number, partitions=pin.partitions,
                records=sum(h.offset - b.offset for b, h in zip(low, high, strict=True)),
                first_ms=_first(settings, pin.name, [b.offset for b in low], [h.offset for h in high]),
                last_ms=max(lasts, default=None), sources=tuple(sorted(lives | extents)),
            )
        )  # fmt: skip
    return states


def _first(settings: Settings, topic: str, low: list[int], high: list[int]) -> int | None:
    """The least CreateTime among the partitions' first records."""
    times = []
    with client.consumer(settings) as consumer:
        for partition, (begin, end) in enumerate(zip(low, high, strict=True)):
            if end > begin:
                consumer.assign([TopicPartition(topic, partition, begin)])
                times += [m.timestamp()[1] for m in consumer.consume(1, 5.0) if m.error() is None]
    return min(times, default=None)
