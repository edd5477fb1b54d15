"""Reading frozen offset ranges, whole, contiguous, never ending on an empty poll (DESIGN §2.7, §5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tapedeck.columns import Array
from tapedeck.errors import Incomplete
from tapedeck.log import client, topics
from tapedeck.log.client import Place
from tapedeck.log.fetch import Batch, Event, Fetcher, fetcher
from tapedeck.log.lost import Lost, holes, refuse
from tapedeck.log.plan import Range
from tapedeck.packed import Packed
from tapedeck.settings import Settings

BATCH = 10_000
FIRST, AFTER_EACH = 16, 4
"""A fetch waits until it has all that it asks for: so the first asks for few, each further one for so many
times more, and a slice's first message is there at once."""
FEW = {"fetch.message.max.bytes": 16_384}
"""Where a few records are wanted of each partition, Kafka is asked for no more at once."""
STALL_SECONDS = 60.0
"""How long Kafka may give nothing of a range that it must hold before the read fails."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one partition in the order of their offsets, byte for byte: of a range every one.

    `offsets` and `timestamps_ms` (CreateTime, UTC ms) are int64 of shape (n,).
    """

    range: Range
    offsets: Array
    timestamps_ms: Array
    keys: Packed
    values: Packed

    def __len__(self) -> int:
        return len(self.offsets)

    def part(self, first: int, last: int) -> Records:
        """Records first … last - 1, as views of the same memory."""
        return Records(
            self.range, self.offsets[first:last], self.timestamps_ms[first:last],
            self.keys.part(first, last), self.values.part(first, last),
        )  # fmt: skip

    def take(self, rows: Array) -> Records:
        """The records at these positions: no longer every one of the range."""
        return Records(
            self.range, self.offsets[rows], self.timestamps_ms[rows], self.keys.take(rows),
            self.values.take(rows),
        )  # fmt: skip


def read(
    settings: Settings,
    ranges: Iterable[Range],
    batch: int = BATCH,
    lost: Callable[[Lost], object] = refuse,
) -> Iterator[Records]:
    """Every record of the ranges, range after range, in batches of at most `batch`.

    `lost` is told of offsets that Kafka has lost, and whether to go on without them is its to say. Raises
    Mismatch where a topic is no longer the planned one, Incomplete where records of a range have expired,
    were lost or are damaged, Unavailable where Kafka fails.
    """
    wanted = [r for r in ranges if r.stop > r.start]
    if not wanted:
        return
    check = topics.checking_ids(settings, {r.topic: r.topic_id for r in wanted})
    with fetcher(settings) as source:
        source.assign({(wanted[0].topic, wanted[0].partition): wanted[0].start})
        check()  # the first records are on their way while Kafka says whose they are
        yield from _range(settings, source, wanted[0], batch, lost, assigned=True)
        for r in wanted[1:]:
            yield from _range(settings, source, r, batch, lost)


def read_range(
    settings: Settings, r: Range, batch: int = BATCH, lost: Callable[[Lost], object] = refuse
) -> Iterator[Records]:
    """Every record of one range, whose topic id the caller has checked; otherwise like `read`."""
    if r.stop > r.start:
        with fetcher(settings) as source:
            yield from _range(settings, source, r, batch, lost)


def together(
    settings: Settings, ranges: Iterable[Range], until: Callable[[int], bool], few: bool = True
) -> Iterator[Records]:
    """Records of ranges of different partitions as they come, each from its start until `until(partition)`
    is true or its end is reached. `few`: that is expected to be soon. What Kafka has lost is passed over:
    nothing is handed out here, and whoever does that is told."""
    left = {(r.topic, r.partition): r for r in ranges if r.stop > r.start}
    if not left:
        return
    with fetcher(settings, **(FEW if few else {})) as source:
        at = {place: r.start for place, r in left.items()}
        source.assign(at)
        for batch in _fetched(settings, source, left, at, BATCH):
            place = (batch.topic, batch.partition)
            r = left[place]
            records, at[place] = _checked(r, batch, at[place], lambda lost: None)
            yield records
            if at[place] >= r.stop or until(batch.partition):
                del left[place], at[place]


def _range(
    settings: Settings,
    source: Fetcher,
    r: Range,
    batch: int,
    lost: Callable[[Lost], object],
    assigned: bool = False,
) -> Iterator[Records]:
    place = (r.topic, r.partition)
    left, at = {place: r}, {place: r.start}
    if not assigned:
        source.assign(at)
    last_ms = None
    for found in _fetched(settings, source, left, at, batch):
        records, at[place] = _checked(r, found, at[place], lost, last_ms)
        last_ms = int(found.timestamps_ms[-1])
        if at[place] >= r.stop:
            left.clear()
        if len(records):
            yield records


def _fetched(
    settings: Settings, source: Fetcher, left: dict[Place, Range], at: dict[Place, int], most: int
) -> Iterator[Batch]:
    """What comes of the ranges that are `left`, each from where it is `at`, until none is left.

    Where some are left out meanwhile, the rest are assigned anew once a fetch gave only what nobody wants any
    more: that costs a round trip, and what was fetched of them already. By then all was looked at, so that
    `at` is what comes next.
    """
    quiet_since, assigned, few, wanted = time.monotonic(), len(left), FIRST, True
    while left:
        if len(left) < assigned and not wanted:
            source.assign(at)
            assigned = len(left)
        missing = sum(r.stop - at[place] for place, r in left.items())
        batches, events = source.fetch(min(few, most, missing), 0.1)
        few = min(few * AFTER_EACH, most)
        wanted = False
        for found in batches:
            if (found.topic, found.partition) in left:
                quiet_since, wanted = time.monotonic(), True
                yield found
        for event in events:
            if r := left.get((event.topic, event.partition)):
                _look_at(settings, source, r, event, at[event.topic, event.partition])
        if left and time.monotonic() - quiet_since > STALL_SECONDS:
            (topic, partition), r = next(iter(left.items()))
            position = at[topic, partition]
            if source.watermarks(topic, partition)[1] <= position:
                refuse(Lost(topic, r.topic_id, partition, position, r.stop))
            raise client.unavailable(
                settings, f"{topic}[{partition}] stands still at offset {position} of {r.stop}"
            )


def _look_at(settings: Settings, source: Fetcher, r: Range, event: Event, position: int) -> None:
    if event.name == "_AUTO_OFFSET_RESET":
        low, high = source.watermarks(r.topic, r.partition)
        if position >= high > low:
            refuse(Lost(r.topic, r.topic_id, r.partition, high, r.stop))
        raise Incomplete(
            f"{r.topic}[{r.partition}] no longer holds offset {position}, which the plan names; it now "
            f"begins at {low}: what Kafka deleted is in Arctic or on the tape; plan the slice anew to read "
            "what is left"
        )
    if event.name == "_BAD_MSG":
        raise damaged(r.topic, r.partition, position)
    if event.name != "_PARTITION_EOF":
        raise client.unavailable(settings, f"{r.topic}[{r.partition}] at offset {position}: {event.text}")


def damaged(topic: str, partition: int, offset: int) -> Incomplete:
    """The sentence for a batch whose checksum is wrong. After it that consumer must read no further."""
    return Incomplete(
        f"{topic}[{partition}] at offset {offset}: the checksum (CRC) of the batch there is wrong, so the "
        "broker's disk holds other bytes than were written: restore that segment from another replica or a "
        "backup, or ask for slices before and after it"
    )


def _checked(
    r: Range, found: Batch, position: int, lost: Callable[[Lost], object], last_ms: int | None = None
) -> tuple[Records, int]:
    """What of the batch lies in the range, and where it goes on; `lost` is told of what is not there."""
    for one in holes(r, found.offsets, found.timestamps_ms, position, last_ms):
        lost(one)
    records = Records(r, found.offsets, found.timestamps_ms, found.keys, found.values)
    stop = int(found.offsets[-1]) + 1
    if stop > r.stop:
        records = records.part(0, int(np.searchsorted(found.offsets, r.stop)))
    return records, min(stop, r.stop)
