"""Level 1: what the log and what Arctic hold of a partition group, by kind: counts and digests.

`log_side` reads the log; a coverage ledger of it (DESIGN §4) may answer in its place. `arctic_side` sums
what the documents say of themselves.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import structs

from tapedeck.log import client, meta
from tapedeck.log.decode import Undecodable
from tapedeck.log.plan import Plan
from tapedeck.log.reading import Reading
from tapedeck.log.resolve import HEAD
from tapedeck.log.stop import first_shown
from tapedeck.message import KINDS
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import database, documents, positions
from tapedeck.store.library import Library
from tapedeck.store.window import Tally, between, tally_of

SETTLE = 300 * NS
"""How long after a window's end a writer may take to close it before it is judged all the same."""

Tallies = tuple[Tally, Tally, Tally]
"""Kept, duplicate, voided."""
NOTHING: Tallies = (Tally(), Tally(), Tally())


@dataclass(slots=True)
class Sides:
    """One partition by kind. Kinds of which a side holds nothing are NOTHING."""

    log: dict[str, Tallies] = field(default_factory=lambda: dict.fromkeys(KINDS, NOTHING))
    arctic: dict[str, Tallies] = field(default_factory=lambda: dict.fromkeys(KINDS, NOTHING))
    undecodable: list[Undecodable] = field(default_factory=list)

    @property
    def differing(self) -> list[str]:
        """The kinds whose counts or digests differ."""
        return [kind for kind in KINDS if self.log[kind] != self.arctic[kind]]


def of_partition(plan: Plan, partition: int) -> Plan:
    """The plan's part of one partition group."""
    return structs.replace(plan, ranges=plan.of(partition), claims=plan.claimed(partition))


def log_side(settings: Settings, plan: Plan, partition: int, spans: Mapping[str, Slice], to: Sides) -> None:
    """Add what the log holds of each kind's span. Reads the partition once."""
    for part in Reading(settings, of_partition(plan, partition)).parts():
        to.undecodable += part.undecodable
        for kind, judged in part.judged.items():
            own = [
                tally_of(between(columns, spans[kind]))
                for columns in (judged.kept, judged.duplicates, judged.voided)
            ]
            to.log[kind] = add(to.log[kind], (own[0], own[1], own[2]))


def arctic_side(
    settings: Settings,
    libraries: Mapping[str, Library],
    partition: int,
    spans: Mapping[str, Slice],
    to: Sides,
) -> None:
    """Add what the documents of each kind's span say."""
    with database.answering(settings):
        for kind, span in spans.items():
            if span.end > span.start:
                for stored in documents.heads(libraries[kind].collection, partition, span):
                    to.arctic[kind] = add(to.arctic[kind], stored.tallies)


def add(one: Tallies, other: Tallies) -> Tallies:
    """Both together."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def spans_to_judge(
    settings: Settings,
    plan: Plan,
    partition: int,
    libraries: Mapping[str, Library],
    of: Slice,
    *,
    expired: bool = False,
) -> tuple[dict[str, Slice], list[str]]:
    """By kind, the whole windows of a slice that can be judged now, and sentences on those that can't.

    Not those that Kafka no longer holds whole, unless `expired` ones are meant too, and not those that a
    writer has yet to close.
    """
    notes: list[str] = []
    first = 0 if expired else _held_from(settings, plan, partition)
    if first > of.start:
        notes.append(f"partition {partition}: Kafka has deleted part of the slice; there Arctic stands alone")
    saved = positions.read(settings, plan.vendor)
    own = [position for (_, p), position in saved.items() if p % plan.partitions == partition]
    spans, now = {}, time.time_ns()
    for kind, one in libraries.items():
        windows = one.windows(of)
        closed = min((position.closed.get(kind, 0) for position in own if position.closed), default=0)
        judged = [w for w in windows if w.start >= first and (w.end <= closed or w.end + SETTLE <= now)]
        if len(judged) < len(windows) and windows[-1].end > max(closed, now - SETTLE):
            notes.append("the last windows are still open and were not judged")
        start = judged[0].start if judged else windows[0].start
        spans[kind] = Slice(start, judged[-1].end if judged else start)
    return spans, notes


def _held_from(settings: Settings, plan: Plan, partition: int) -> int:
    """Since when (UTC ns) windows can be built from the log alone; 0: it holds the whole slice."""
    if partition not in plan.expired:
        return 0
    cut = [r for r in plan.of(partition) if r.start_reason == "expired"]
    bounds = client.bounds(settings, [(r.topic, r.partition) for r in cut])
    known = meta.read(settings)
    latest = 0
    for r in cut:
        low, high = bounds[r.topic, r.partition]
        head = structs.replace(r, start=low, stop=min(low + HEAD, high))
        sources = {life.src for life in known.lives if life.topic_id == r.topic_id}
        shown = first_shown(settings, [head], sources, 0).get(r.partition, {})
        latest = max([latest, *(one.ts_recv for one in shown.values())]) if shown else plan.slice.end
    return latest + plan.margin
