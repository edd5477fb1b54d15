"""A vendor's log by time: `timeline("binance_usdm").between(start, end)`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tapedeck import endpoints
from tapedeck.columns import Array, Columns, concat
from tapedeck.errors import BadInput
from tapedeck.log import meta
from tapedeck.log.decode import Undecodable, decode_records
from tapedeck.log.judge import Judged, judge
from tapedeck.log.plan import Plan
from tapedeck.log.read import Records, read
from tapedeck.log.resolve import resolve
from tapedeck.log.tail import tail
from tapedeck.message import KINDS, Message, check_kinds, check_symbol
from tapedeck.partitions import partition_of
from tapedeck.rows import messages_of
from tapedeck.settings import Settings, load
from tapedeck.slices import NS, Slice, format_time, make_slice, parse_slice, parse_time

STRETCH_RECORDS = 500_000
"""A slice is read in stretches of about this many records, so that memory does not grow with it."""


def timeline(vendor: str, settings: Settings | None = None) -> Timeline:
    """The vendor's log, all its topics read as one. Raises BadInput for an unknown vendor."""
    return Timeline(endpoints.resolve(settings or load()), vendor)


class Timeline:
    """Asks a vendor's log what happened between two times. Times are UTC: RFC 3339 text or int ns."""

    def __init__(self, settings: Settings, vendor: str) -> None:
        settings.vendor(vendor)
        self.settings, self.vendor = settings, vendor

    def between(
        self,
        start: str | int,
        end: str | int,
        *,
        symbols: Sequence[str] = (),
        kinds: Sequence[str] = (),
        incomplete: Literal["flag", "refuse"] = "flag",
    ) -> Reading:
        """The messages with `start <= ts_recv < end`, behind a plan that is frozen now.

        `symbols`, `kinds`: only these; all where empty. A slice that the log can't answer for whole is
        flagged in `Reading.plan.notes`, or refused with Incomplete.
        """
        of = _slice(start, end)
        check_kinds(tuple(kinds))
        wanted = tuple(check_symbol(symbol) for symbol in symbols)
        partitions = None
        if wanted:
            count = meta.read(self.settings).topics(self.vendor).live[-1].partitions
            partitions = sorted({partition_of(symbol, count) for symbol in wanted})
        plan = resolve(self.settings, self.vendor, of, partitions=partitions, incomplete=incomplete)
        return Reading(self.settings, plan, frozenset(wanted), tuple(kinds) or KINDS)

    def since(self, ago: str, **more: Any) -> Reading:
        """The messages from so long ago (`5m`) until now."""
        return self.between(*_bounds(ago), **more)

    def tail(self, from_: str | int | None = None) -> Iterator[Message]:
        """Live messages from that time on (now by default), without end, as they come.

        Resends are left out. In order within a partition; partitions as they arrive.
        """
        now = time.time_ns()
        start = now if from_ is None else parse_time(from_, now) if isinstance(from_, str) else from_
        return tail(self.settings, self.vendor, start)

    def plan(self, start: str | int, end: str | int) -> Plan:
        """The offset ranges that the slice resolves to now."""
        return resolve(self.settings, self.vendor, _slice(start, end))

    def count(self, start: str | int, end: str | int, **more: Any) -> Count:
        """How many messages the slice holds, by kind, and what was left out of it."""
        return self.between(start, end, **more).count()


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
    """One partition's share of a stretch of time: every message of the slice in exactly one place."""

    partition: int
    slice: Slice
    judged: dict[str, Judged]
    undecodable: list[Undecodable]


@dataclass(frozen=True, slots=True)
class Reading:
    """A frozen plan and what was asked of it. Each iteration reads the log again, to the same end."""

    settings: Settings
    plan: Plan
    symbols: frozenset[str]
    kinds: tuple[str, ...]

    def __iter__(self) -> Iterator[Message]:
        """Typed messages of all partitions, in one order: (ts_recv, topic, offset)."""
        for batch in self.batches():
            rows: list[tuple[int, int, int, Message]] = []
            for columns in batch.values():
                keys = zip(columns["ts_recv"], columns["topic"], columns["offset"], strict=True)
                rows += [(*key, message) for key, message in zip(keys, messages_of(columns), strict=True)]
            rows.sort(key=lambda row: row[:3])
            yield from (row[3] for row in rows)

    def batches(self) -> Iterator[dict[str, Columns]]:
        """Columns by kind of all partitions, stretch of time after stretch of time, each in order."""
        for stretch in stretches(self.plan):
            found: dict[str, list[Columns]] = {}
            for part in self._stretch(stretch):
                for kind, judged in part.judged.items():
                    found.setdefault(kind, []).append(judged.kept)
            whole = {kind: concat(kind, found[kind]).in_order() for kind in self.kinds if kind in found}
            yield {kind: columns for kind, columns in whole.items() if len(columns)}

    def parts(self) -> Iterator[Part]:
        """Partition by partition, stretch by stretch, with what was left out and why."""
        for stretch in stretches(self.plan):
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
        """Raw records of the plan's ranges, the margins' and control records included."""
        return read(self.settings, self.plan.ranges)

    def _stretch(self, stretch: Slice) -> Iterator[Part]:
        if stretch == self.plan.slice:
            plan = self.plan
        else:
            partitions = sorted({r.partition for r in self.plan.ranges})
            plan = resolve(self.settings, self.plan.vendor, stretch, partitions=partitions, within=self.plan)
        for partition in sorted({r.partition for r in plan.ranges}):
            yield judged_part(self.settings, plan, partition, stretch, self.symbols, self.kinds)


def judged_part(
    settings: Settings,
    plan: Plan,
    partition: int,
    of: Slice,
    symbols: frozenset[str] = frozenset(),
    kinds: Sequence[str] = KINDS,
    seen: Callable[[Records], object] = lambda _: None,
) -> Part:
    """Read, decode and judge one partition of a plan; what lies outside `of` only helps to judge.

    `seen` is shown every batch of records as it is read.
    """
    found: dict[str, list[Columns]] = {}
    voids: list[Columns] = []
    undecodable: list[Undecodable] = []
    backfills = {r.number for r in plan.ranges if r.start_reason == "extent"}
    for records in read(settings, plan.of(partition)):
        seen(records)
        decoded = decode_records(records, plan.partitions)
        undecodable += [
            bad for bad in decoded.undecodable if of.start <= bad.timestamp_ms * 1_000_000 < of.end
        ]
        for kind, columns in decoded.messages.items():
            if kind in kinds:
                found.setdefault(kind, []).append(_only(columns, symbols))
        if decoded.voids is not None:
            voids.append(decoded.voids)
    whole = {kind: concat(kind, parts) for kind, parts in found.items()}
    void = concat("void", voids) if voids else None
    judged = judge(whole, void, plan.margin, frozenset(backfills))
    return Part(partition, of, {kind: _inside(j, of) for kind, j in judged.items()}, undecodable)


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


def stretches(plan: Plan) -> Iterator[Slice]:
    """The slice cut into equal stretches of time, as many as its records ask for."""
    of = plan.slice
    count = max(1, min(plan.records // STRETCH_RECORDS, (of.end - of.start) // NS))
    step = -(-(of.end - of.start) // count)
    for start in range(of.start, of.end, step):
        yield Slice(start, min(of.end, start + step))


def _bounds(ago: str) -> tuple[int, int]:
    now = time.time_ns()
    whole = parse_slice(ago, "now", now)
    return whole.start, whole.end


def _slice(start: str | int, end: str | int) -> Slice:
    if isinstance(start, str) and isinstance(end, str):
        return parse_slice(start, end)
    if isinstance(start, int) and isinstance(end, int):
        return make_slice(start, end)
    raise BadInput(
        f"start and end must both be RFC 3339 texts or both int ns, not {start!r} and {end!r}: "
        f"for example {format_time(1_723_161_256 * NS)}"
    )
