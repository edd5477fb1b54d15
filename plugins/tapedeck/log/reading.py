"""What a frozen plan of a slice gives: messages, columns, raw records, counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tapedeck.columns import Array, Columns, concat
from tapedeck.errors import Incomplete, Unavailable
from tapedeck.log import client, topics
from tapedeck.log.decode import Undecodable, decode_records
from tapedeck.log.judge import Judged, judge
from tapedeck.log.marks import Mark, marked
from tapedeck.log.plan import Plan, Range
from tapedeck.log.read import STALL_SECONDS, Records, read
from tapedeck.log.resolve import resolve
from tapedeck.message import KINDS, Message
from tapedeck.partitions import homes
from tapedeck.rows import messages_of
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice

STRETCH_RECORDS = 500_000
"""A slice is read in stretches of about this many records, so that memory does not grow with it."""
OBJECTS = 10_000
"""How many messages are made objects at once."""


@dataclass(slots=True)
class Count:
    """What a slice holds. `messages` are those that Arctic should hold."""

    kinds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    duplicates: int = 0
    voided: int = 0
    undecodable: int = 0

    @property
    def messages(self) -> int:
        """Messages of all kinds."""
        return sum(self.kinds.values())


@dataclass(frozen=True, slots=True)
class Part:
    """One partition group's share of a stretch of time: every message of the slice in exactly one place."""

    partition: int
    slice: Slice
    judged: dict[str, Judged]
    undecodable: list[Undecodable]


@dataclass(frozen=True, slots=True)
class Reading:
    """A frozen plan and what was asked of it. Each iteration reads the log again, to the same end.

    A stored plan gives the same messages, or Incomplete where Kafka has deleted of them since, or Mismatch
    where a topic was made again. `everything`: resends, copies and voided messages are handed out too,
    marked. `seen` is called with every batch of records as it is read.
    """

    settings: Settings
    plan: Plan
    symbols: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = KINDS
    everything: bool = False
    seen: Callable[[Records], object] = field(default=lambda records: None, compare=False)

    def __iter__(self) -> Iterator[Message]:
        """Typed messages of all partitions, in one order: (ts_recv, topic, offset)."""
        return (message for message, _ in self.marked())

    def marked(self) -> Iterator[tuple[Message, Mark]]:
        """Like iterating, with each message's mark; all are KEPT unless `everything` was asked for."""
        for batch in self.batches():
            kinds = list(batch)
            if not kinds:
                continue
            names = ("offset", "topic", "ts_recv")
            keys = [np.concatenate([batch[kind][name] for kind in kinds]) for name in names]
            of_kind = np.repeat(np.arange(len(kinds)), [len(batch[kind]) for kind in kinds])
            sources = [_one_by_one(batch[kind]) for kind in kinds]
            for code in of_kind[np.lexsort(keys)].tolist():
                yield next(sources[code])

    def batches(self) -> Iterator[dict[str, Columns]]:
        """Columns by kind of all partitions, stretch of time after stretch of time, each in order.

        With `everything` a column `mark` (int8) holds each message's Mark.
        """
        for stretch in self._stretches():
            found: dict[str, list[Columns]] = {}
            for part in self._stretch(stretch):
                for kind, judged in part.judged.items():
                    found.setdefault(kind, []).append(marked(judged) if self.everything else judged.kept)
            whole = {kind: concat(kind, found[kind]).in_order() for kind in self.kinds if kind in found}
            yield {kind: columns for kind, columns in whole.items() if len(columns)}

    def parts(self) -> Iterator[Part]:
        """Partition by partition, stretch by stretch, with what was left out and why."""
        for stretch in self._stretches():
            yield from self._stretch(stretch)

    def count(self) -> Count:
        """How many messages of each kind the slice holds, and what was left out of it."""
        total = Count()
        for part in self.parts():
            for kind, judged in part.judged.items():
                total.kinds[kind] += len(judged.kept)
                total.duplicates += len(judged.duplicates)
                total.voided += len(judged.voided)
            total.undecodable += len(part.undecodable)
        return total

    def records(self) -> Iterator[Records]:
        """The raw records (key, value, CreateTime, offset) of the slice's messages, byte for byte.

        Partition after partition within each stretch of time, and of a partition topic after topic, in the
        log's own order. Of the symbols and kinds that were asked for; with `everything` those that are left
        out too. Never control records, the margins' messages, or what can't be decoded.
        """
        raw: list[Records] = []
        for stretch in self._stretches():
            for part in self._stretch(stretch, raw.append):
                yield from _those_of(part, raw, self.plan, self.everything)
                raw.clear()

    def _stretches(self) -> Iterator[Slice]:
        cut = list(stretches(self.plan))
        if len(cut) > 1:
            topics.check_ids(self.settings, self.plan.topics())
            self._check_held(self.plan.ranges)
        return iter(cut)

    def _stretch(
        self, stretch: Slice, also: Callable[[Records], object] = lambda records: None
    ) -> Iterator[Part]:
        def seen(records: Records) -> None:
            self.seen(records)
            also(records)

        if stretch == self.plan.slice:
            plan = self.plan
        else:
            plan = self._resolved(stretch)
            for group in set(plan.expired) - set(self.plan.expired):
                self._check_held(self.plan.of(group))  # else it would be clipped to what is left
        for group in plan.groups:
            yield judged_part(self.settings, plan, group, stretch, self.symbols, self.kinds, seen)

    def _resolved(self, stretch: Slice) -> Plan:
        """The stretch's share of the plan, waiting for a broker that starts again as `read` does."""
        deadline = time.monotonic() + STALL_SECONDS
        while True:
            try:
                return resolve(self.settings, self.plan.vendor, stretch, within=self.plan)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _check_held(self, ranges: Iterable[Range]) -> None:
        with client.consumer(self.settings) as consumer:
            for r in ranges:
                low, _ = client.watermarks(self.settings, consumer, r.topic, r.partition)
                if low > r.start and r.stop > r.start:
                    raise Incomplete(
                        f"{r.topic}[{r.partition}] no longer holds offset {r.start}, which the plan "
                        f"{self.plan.digest} names; it now begins at {low}: what Kafka deleted is in Arctic "
                        "or on the tape; plan the slice anew to read what is left"
                    )


def _those_of(part: Part, raw: Iterable[Records], plan: Plan, everything: bool) -> Iterator[Records]:
    """Of a partition group's records, those that hold the part's messages."""
    counts = {r.number: plan.count_of(r) for r in plan.ranges}
    places: dict[tuple[int, int], list[Array]] = {}
    for judged in part.judged.values():
        for columns in (judged.kept, judged.duplicates, judged.voided) if everything else (judged.kept,):
            for number in np.unique(columns["topic"]).tolist():
                here = columns["topic"] == number
                home = homes(columns.symbols, columns["symbol"][here], counts[number])
                for p in np.unique(home).tolist():
                    places.setdefault((number, p), []).append(columns["offset"][here][home == p])
    wanted = {place: np.concatenate(offsets) for place, offsets in places.items()}
    for records in raw:
        place = records.range.number, records.range.partition
        rows = np.flatnonzero(np.isin(records.offsets, wanted.get(place, ())))
        if len(rows):
            yield records.take(rows)


def _one_by_one(columns: Columns) -> Iterator[tuple[Message, Mark]]:
    """Typed messages with their marks, a few at a time, so that memory holds arrays and not objects."""
    for first in range(0, len(columns), OBJECTS):
        few = columns.take(np.arange(first, min(first + OBJECTS, len(columns))))
        marks = few["mark"].tolist() if "mark" in few else [Mark.KEPT] * len(few)
        for message, mark in zip(messages_of(few), marks, strict=True):
            yield message, Mark(mark)


def judged_part(
    settings: Settings,
    plan: Plan,
    group: int,
    of: Slice,
    symbols: frozenset[str] = frozenset(),
    kinds: Sequence[str] = KINDS,
    seen: Callable[[Records], object] = lambda _: None,
) -> Part:
    """Read, decode and judge one partition group of a plan; what lies outside `of` only helps to judge.

    `seen` is shown every batch of records as it is read.
    """
    found: dict[str, list[Columns]] = {}
    voids: list[Columns] = []
    signs: list[Columns] = []
    undecodable: list[Undecodable] = []
    backfills = {r.number for r in plan.ranges if r.start_reason == "extent"}
    for records in read(settings, plan.of(group)):
        seen(records)
        decoded = decode_records(records, plan.count_of(records.range))
        undecodable += [
            bad for bad in decoded.undecodable if of.start <= bad.timestamp_ms * 1_000_000 < of.end
        ]
        for kind, columns in decoded.messages.items():
            if kind in kinds:
                found.setdefault(kind, []).append(_only(columns, symbols))
        if decoded.voids is not None:
            voids.append(decoded.voids)
        if decoded.signs is not None:
            signs.append(decoded.signs)
    whole = {kind: concat(kind, parts) for kind, parts in found.items()}
    void = concat("void", voids) if voids else None
    judged = judge(whole, void, plan.margin, frozenset(backfills), concat("heartbeat", signs))
    return Part(group, of, {kind: _inside(j, of) for kind, j in judged.items()}, undecodable)


def _inside(judged: Judged, of: Slice) -> Judged:
    def cut(columns: Columns) -> Columns:
        inside: Array = (columns["ts_recv"] >= of.start) & (columns["ts_recv"] < of.end)
        return columns if inside.all() else columns.take(inside)

    return Judged(cut(judged.kept), cut(judged.duplicates), cut(judged.voided))


def _only(columns: Columns, symbols: frozenset[str]) -> Columns:
    if not symbols or symbols.issuperset(columns.symbols):
        return columns
    wanted = np.array([symbol in symbols for symbol in columns.symbols], np.bool_)
    return columns.take(wanted[columns["symbol"]])


def stretches(plan: Plan, records: int | None = None) -> Iterator[Slice]:
    """The slice cut into equal stretches of time, each of about so many records (STRETCH_RECORDS)."""
    of = plan.slice
    count = max(1, min(plan.records // (records or STRETCH_RECORDS), (of.end - of.start) // NS))
    step = -(-(of.end - of.start) // count)
    for start in range(of.start, of.end, step):
        yield Slice(start, min(of.end, start + step))
