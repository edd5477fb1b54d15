"""What each of a vendor's topics holds now."""

from __future__ import annotations

import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec
from msgspec import Struct

from tapedeck.log import client, meta, topics
from tapedeck.log.meta import TopicPin
from tapedeck.log.plan import Range
from tapedeck.log.read import read
from tapedeck.settings import Settings

SAMPLE = 200
"""How many records of each partition's beginning and end tell how large records are."""
MS = 1_000_000
OVERHEAD = 10
"""About the bytes that Kafka adds to a record's key and value within a batch."""


class TopicState(Struct, frozen=True, kw_only=True):
    """A topic as it stands. `records` counts control records too; times are CreateTimes, UTC ms.

    `bytes` is estimated, before compression: the mean of a sample of records, times their number. What lies
    on the disk librdkafka can't ask (Kafka's DescribeLogDirs). `retention_ms` is None for ever; `left_ms` is
    how long until Kafka deletes the first record, which can be below 0 (it deletes whole segments).
    """

    topic: str
    role: str
    number: int
    partitions: int
    records: int
    bytes: int
    first_ms: int | None
    last_ms: int | None
    retention_ms: int | None
    left_ms: int | None
    sources: tuple[int, ...]


def inventory(settings: Settings, vendor: str) -> list[TopicState]:
    """The vendor's topics, live ones first. Raises as `topics.verify` does."""
    known = meta.read(settings)
    pinned = topics.verify(settings, vendor, known)
    pins = (*pinned.log, pinned.quarantine)
    admin = client.admin(settings)
    with client.answering(settings):
        configs = topics.configs(admin, [pin.name for pin in pins])
    return [_state(settings, pin, known, int(configs[pin.name]["retention.ms"])) for pin in pins]


def _state(settings: Settings, pin: TopicPin, known: meta.Meta, retention: int) -> TopicState:
    bounds = client.bounds(settings, [(pin.name, p) for p in range(pin.partitions)])
    asked = {TopicPartition(pin.name, p): OffsetSpec.max_timestamp() for p in range(pin.partitions)}
    with client.answering(settings):
        futures = client.admin(settings).list_offsets(asked, request_timeout=10)
        lasts = [
            answer.timestamp for answer in (f.result() for f in futures.values()) if answer.timestamp >= 0
        ]
    records = sum(high - low for low, high in bounds.values())
    first, size = _sampled(settings, pin, bounds)
    lives = {life.src for life in known.lives if life.topic_id == pin.id}
    extents = [extent for extent in known.extents if extent.topic_id == pin.id]
    if first is not None:  # where files are in no order of time, what they hold is entered
        first = min([first, *(extent.first // MS for extent in extents if extent.next and extent.first)])
    left = None if first is None or retention < 0 else first + retention - time.time_ns() // 1_000_000
    return TopicState(
        topic=pin.name, role=pin.role, number=pin.number, partitions=pin.partitions, records=records,
        bytes=round(records * size), first_ms=first, last_ms=max(lasts, default=None),
        retention_ms=None if retention < 0 else retention, left_ms=left,
        sources=tuple(sorted(lives | {extent.src for extent in extents})),
    )  # fmt: skip


def _sampled(
    settings: Settings, pin: TopicPin, bounds: dict[client.Place, tuple[int, int]]
) -> tuple[int | None, float]:
    """The least CreateTime among the partitions' first records, and the mean bytes of a record."""
    ranges = []
    for (_, p), (low, high) in bounds.items():
        for start, stop in ((low, min(low + SAMPLE, high)), (max(low + SAMPLE, high - SAMPLE), high)):
            ranges.append(
                Range(
                    topic=pin.name, topic_id=pin.id, number=pin.number, partition=p, start=start, stop=stop,
                    start_reason="exact", stop_reason="watermark",
                )
            )  # fmt: skip
    firsts: list[int] = []
    seen, size = 0, 0
    for records in read(settings, ranges):
        if int(records.offsets[0]) == bounds[pin.name, records.range.partition][0]:
            firsts.append(int(records.timestamps_ms[0]))
        seen += len(records)
        size += int(records.keys.lengths.sum() + records.values.lengths.sum()) + OVERHEAD * len(records)
    return min(firsts, default=None), size / max(1, seen)
