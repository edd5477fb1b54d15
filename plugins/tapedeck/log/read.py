"""Reading frozen offset ranges, whole, contiguous, never ending on an empty poll (DESIGN §2.7, §5)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tapedeck.columns import Array
from tapedeck.errors import Incomplete
from tapedeck.log import client, topics
from tapedeck.log.fetch import Batch, Event, Fetcher, fetcher
from tapedeck.log.plan import Range
from tapedeck.packed import Packed
from tapedeck.settings import Settings

BATCH = 10_000
STALL_SECONDS = 60.0
"""How long Kafka may give nothing of a range that it must hold before the read fails."""


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records of one partition, byte for byte.

    `offsets` and `timestamps_ms` (CreateTime, UTC ms) are int64 of shape (n,).
    """

    range: Range
    offsets: Array
    timestamps_ms: Array
    keys: Packed
    values: Packed

    def __len__(self) -> int:
        return len(self.offsets)


def read(settings: Settings, ranges: Iterable[Range], batch: int = BATCH) -> Iterator[Records]:
    """Every record of the ranges, range after range, in batches of at most `batch`.

    Raises Mismatch where a topic is no longer the planned one, Incomplete where records of a range
    have expired, Unavailable where Kafka fails.
    """
    wanted = [r for r in ranges if r.stop > r.start]
    if not wanted:
        return
    topics.check_ids(settings, {r.topic: r.topic_id for r in wanted})
    with fetcher(settings) as source:
        for r in wanted:
            yield from _range(settings, source, r, batch)


def read_range(settings: Settings, r: Range, batch: int = BATCH) -> Iterator[Records]:
    """Every record of one range, whose topic id the caller has checked."""
    if r.stop > r.start:
        with fetcher(settings) as source:
            yield from _range(settings, source, r, batch)


def _range(settings: Settings, source: Fetcher, r: Range, batch: int) -> Iterator[Records]:
    low, _ = source.watermarks(r.topic, r.partition)
    if low > r.start:
        raise _expired(r, r.start, low)
    source.assign({(r.topic, r.partition): r.start})
    position, quiet_since = r.start, time.monotonic()
    while position < r.stop:
        batches, events = source.fetch(min(batch, r.stop - position), 0.1)
        for found in batches:
            yield _checked(r, found, position)
            position += len(found)
            quiet_since = time.monotonic()
        _look_at(settings, r, events, position)
        if time.monotonic() - quiet_since > STALL_SECONDS:
            raise client.unavailable(
                settings, f"{r.topic}[{r.partition}] stands still at offset {position} of {r.stop}"
            )


def _look_at(settings: Settings, r: Range, events: list[Event], position: int) -> None:
    for event in events:
        if event.name == "_AUTO_OFFSET_RESET":
            raise _expired(r, position, None)
        if event.name != "_PARTITION_EOF":
            raise client.unavailable(settings, f"{r.topic}[{r.partition}] at offset {position}: {event.text}")


def _checked(r: Range, found: Batch, position: int) -> Records:
    """The batch, proved to be without a hole."""
    if len(holes := np.flatnonzero(found.offsets != np.arange(position, position + len(found)))):
        raise Incomplete(
            f"{r.topic}[{r.partition}] lacks offset {position + int(holes[0])} though it must hold every "
            "offset: the broker lost records; compare with its other replicas"
        )
    return Records(r, found.offsets, found.timestamps_ms, found.keys, found.values)


def _expired(r: Range, wanted: int, low: int | None) -> Incomplete:
    begins = f"; it now begins at {low}" if low is not None else ""
    return Incomplete(
        f"{r.topic}[{r.partition}] no longer holds offset {wanted}, which the plan names{begins}: "
        "what Kafka deleted is in Arctic or on the tape; plan the slice anew to read what is left"
    )
