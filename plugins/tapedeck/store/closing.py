"""When open windows are written: complete, or a grace behind the newest, or as they are if nobody goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tapedeck.log.meta import TopicPin
from tapedeck.partitions import of_groups
from tapedeck.settings import Settings
from tapedeck.slices import Slice, parse_duration
from tapedeck.store import database, documents
from tapedeck.store.documents import Outcome
from tapedeck.store.held import Held, Mend
from tapedeck.store.latency import Latencies
from tapedeck.store.library import Library
from tapedeck.store.mending import Mender
from tapedeck.store.positions import Lane
from tapedeck.store.rebuilt import Key
from tapedeck.store.report import Report
from tapedeck.store.watch import Seen
from tapedeck.store.window import Built, build_windows

IDLE_SECONDS = 1.0
"""How long nothing must have come before windows are written that no collector is open for."""


@dataclass(slots=True)
class Closer:
    """Writes the windows of one writer's partition groups; what memory can't build is mended from the log.

    Each step may be done again after it failed halfway: nothing counts as closed before it is acknowledged.
    """

    settings: Settings
    libraries: Mapping[str, Library]
    pins: Mapping[str, TopicPin]
    """By topic name, those that hold messages."""
    backfill: TopicPin
    by: str
    done: Report
    mender: Mender
    latencies: Latencies
    at_end: set[tuple[str, int]] = field(default_factory=set)
    """Topics and partitions that were read to their ends."""
    last_record: float = 0.0
    """When a record came last (monotonic seconds)."""
    drafted: dict[int, dict[Lane, int]] = field(default_factory=dict)
    """By partition group, how far it was read when its open windows were written as they were."""

    def due(self, held: Held, seen: Seen) -> None:
        """Write all windows that nothing more can come for."""
        ends = self._ends(held, seen)
        ends = {kind: end for kind, end in ends.items() if end > held.closed.get(kind, 0)}
        if not ends:
            return
        self._write(held, ends, seen)
        for kind, end in ends.items():
            held.close(kind, end)
        if held.late:
            now = time.monotonic()
            self.mender.since.setdefault(held.partition, (now, now))

    def draft(self, held: Held, seen: Seen) -> None:
        """Write the windows that are still going on, as they are, where nobody goes on with them.

        They stay open: a collector that comes back into them is not late, and its window replaces this.
        """
        read = {lane: reach.position for lane, reach in held.reaches.items()}
        if self.drafted.get(held.partition) == read or not self._is_quiet(held, seen):
            return
        newest = max(reach.shown.newest for reach in held.reaches.values())
        ends = {kind: (newest // length + 1) * length for kind, length in held.windows.items() if newest}
        self._write(held, {kind: end for kind, end in ends.items() if end > held.closed.get(kind, 0)}, seen)
        self.drafted[held.partition] = read

    def forget(self, partition: int) -> None:
        """The partition is another writer's now."""
        self.drafted.pop(partition, None)
        self.mender.since.pop(partition, None)

    def _write(self, held: Held, ends: dict[str, int], seen: Seen) -> None:
        """Write the open windows that end by then, from memory or from the log."""
        sweeps: list[Slice] = []
        refused: set[Key] = set()
        for kind, end in ends.items():
            builds, unbuilt = self._built(held, kind, end, seen)
            sweeps += unbuilt
            began = time.monotonic()
            with database.answering(self.settings):
                outcomes = documents.replace(self.libraries[kind], builds, self.by)
            if builds:
                self.done.mongo.add(time.monotonic() - began)
            for built, outcome in zip(builds, outcomes, strict=True):
                if outcome is Outcome.REFUSED:
                    refused.add((kind, built.symbol, built.span.start))
            last = [
                b.kept["ts_recv"][-1]
                for b, outcome in zip(builds, outcomes, strict=True)
                if outcome is Outcome.WRITTEN and len(b.kept)
            ]
            self.latencies.note("arctic", np.array(last, np.int64))
            self.done.written += outcomes.count(Outcome.WRITTEN)
            self.done.equal += outcomes.count(Outcome.EQUAL)
            self.done.refused += outcomes.count(Outcome.REFUSED)
        self.mender.mend(held, Mend(refused, sweeps))

    def _ends(self, held: Held, seen: Seen) -> dict[str, int]:
        """By kind, up to where windows may close."""
        grace = max(parse_duration(self.settings.writer.grace), held.margin)
        newest = max(reach.shown.newest for reach in held.reaches.values())
        if not newest:
            return {}
        known = self._waited_for(held, seen)
        through = max(min(known, default=0), self._slowest(held, newest) - grace + held.margin)
        ends = {kind: held.due(kind, through) for kind in held.windows}
        if self._is_quiet(held, seen):
            now = time.time_ns()
            for kind, length in held.windows.items():
                ends[kind] = max(ends[kind], min((newest // length + 1) * length, held.due(kind, now)))
        return ends

    def _slowest(self, held: Held, newest: int) -> int:
        """The newest time of the partition that is farthest behind of those that are not read to their ends:
        a grown vendor's windows are fed by several, and one may be caught up with long before another."""
        names = {pin.id: name for name, pin in self.pins.items()}
        return min(
            (
                reach.shown.newest
                for (topic_id, partition), reach in held.reaches.items()
                if (names[topic_id], partition) not in self.at_end
            ),
            default=newest,
        )

    def _waited_for(self, held: Held, seen: Seen) -> list[int]:
        """What each live partition's open collectors have shown; nothing where none is open."""
        shown = []
        for (topic_id, partition), reach in held.reaches.items():
            lives = [life for life in seen.meta.lives if life.topic_id == topic_id]
            shown.append(reach.shown.through(lives, partition, reach.position))
        return [time_ns for time_ns in shown if time_ns is not None]

    def _is_quiet(self, held: Held, seen: Seen) -> bool:
        """Whether all was read, a while ago, no collector is open and none has registered since."""
        ends = {
            (pin.name, p)
            for pin in self.pins.values()
            for p in of_groups([held.partition], self.backfill.partitions, pin.partitions)
        }
        quiet = time.monotonic() - self.last_record > IDLE_SECONDS
        return (
            quiet and seen.at > self.last_record and ends <= self.at_end and not self._waited_for(held, seen)
        )

    def _built(self, held: Held, kind: str, end: int, seen: Seen) -> tuple[list[Built], list[Slice]]:
        """Windows of a kind that close, built from memory, and those that can't be."""
        begin, length = held.closed.get(kind, 0), held.windows[kind]
        columns = held.open_rows(kind)
        inside = columns["ts_recv"][(columns["ts_recv"] >= begin) & (columns["ts_recv"] < end)]
        let_go = {start for start in held.let_go[kind] if start + length <= end}
        signs = held.open_signs()
        builds: list[Built] = []
        sweeps: list[Slice] = []
        for start in sorted({*np.unique(inside // length * length).tolist(), *let_go}):
            span = Slice(start, start + length)
            if start in let_go or not held.is_whole(span) or self._has_history(span.widen(held.margin), seen):
                sweeps.append(span)
                continue
            windows = build_windows(
                span, columns, None, held.margin, partition=held.partition, claims=held.claims(span),
                signs=signs,
            )  # fmt: skip
            builds += [b for symbol, b in windows.items() if (kind, symbol, start) not in held.touched]
        return builds, sweeps

    def _has_history(self, wide: Slice, seen: Seen) -> bool:
        """Whether something loaded, or a void, meets this time; what an open load holds marks its windows."""
        return any(
            extent.topic_id == self.backfill.id
            and extent.next is not None
            and wide.meets(extent.first, extent.last + 1)
            for extent in seen.meta.extents
        )
