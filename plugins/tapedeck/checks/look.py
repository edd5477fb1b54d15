"""What a partition group's log says of a slice, as checks need it: chains, heartbeats, non-messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec import structs

from tapedeck.columns import COMMON, Array, Columns, concat, different, empty
from tapedeck.log import client
from tapedeck.log.decode import Decoded, Undecodable, decode_records
from tapedeck.log.judge import Judged, judge
from tapedeck.log.lost import Lost
from tapedeck.log.owners import content_of
from tapedeck.log.plan import Plan, Range
from tapedeck.log.read import Records, read
from tapedeck.partitions import homes
from tapedeck.settings import Settings
from tapedeck.slices import Slice

LEAD = 5_000
"""So many records before the slice are read too: they tell where chains and collectors stood."""
KEPT = ("symbol", *COMMON, "snapshot", "code", "topic", "offset")


@dataclass(frozen=True, slots=True)
class Lane:
    """What was read of one partition of a live topic.

    `stamps`: by source, the sorted distinct receipt times of the messages, of whatever topic, whose symbols
    live in this partition. `begun`: by source, since when every record of it here was read. `cut`: Kafka has
    deleted records of the slice; `low` is the first offset left, `oldest` its time (ns), or the slice's end.
    """

    topic: str
    topic_id: str
    partition: int
    beats: Columns
    stamps: dict[int, Array]
    begun: dict[int, int]
    cut: bool
    low: int
    oldest: int


@dataclass(frozen=True, slots=True)
class Look:
    """All that was read of a partition group: the slice, its margins, and LEAD records before.

    Messages have only the columns that checks need. `beats` are those of all its live partitions,
    `lost` what Kafka lacks though it never deleted it.
    """

    partition: int
    judged: dict[str, Judged]
    beats: Columns
    undecodable: list[Undecodable]
    lanes: tuple[Lane, ...]
    lost: tuple[Lost, ...] = ()


def look(settings: Settings, plan: Plan, partition: int, of: Slice) -> Look:
    """Read one partition group of a plan. Raises Incomplete where Kafka deleted some of it meanwhile."""
    found: dict[str, list[Columns]] = {}
    voids: list[Columns] = []
    signs: list[Columns] = []
    bad: list[Undecodable] = []
    lost: list[Lost] = []
    ranges, lows = _with_lead(settings, plan.of(partition))
    live = {r: _Reading(of.end) for r in ranges if r.start_reason != "extent"}
    for records in read(settings, ranges, lost=lost.append):
        decoded = decode_records(records, plan.count_of(records.range))
        bad += [u for u in decoded.undecodable if of.start <= u.timestamp_ms * 1_000_000 < of.end]
        if records.range in live:
            live[records.range].take(records, decoded)
        for kind, columns in decoded.messages.items():
            found.setdefault(kind, []).append(_lean(columns))
        if decoded.voids is not None:
            voids.append(decoded.voids)
        if decoded.signs is not None:
            signs.append(decoded.signs)
    whole = {kind: concat(kind, parts) for kind, parts in found.items()}
    backfills = frozenset(r.number for r in ranges if r.start_reason == "extent")
    lanes = tuple(
        Lane(
            topic=r.topic, topic_id=r.topic_id, partition=r.partition,
            beats=concat("heartbeat", one.beats) if one.beats else empty("heartbeat"),
            stamps=_stamps(_living_in(whole, r.partition, plan.count_of(r), grown=len(live) > 1)),
            begun=one.begun, cut=r.start_reason == "expired", low=lows[r.topic, r.partition],
            oldest=one.oldest,
        )
        for r, one in live.items()
    )  # fmt: skip
    return Look(
        partition=partition,
        judged=judge(
            whole,
            concat("void", voids) if voids else None,
            plan.margin,
            backfills,
            concat("heartbeat", signs),
        ),
        beats=concat("heartbeat", [lane.beats for lane in lanes]),
        undecodable=bad,
        lanes=lanes,
        lost=tuple(lost),
    )


@dataclass(slots=True)
class _Reading:
    """What is gathered of one live partition while it is read."""

    oldest: int
    beats: list[Columns] = field(default_factory=list)
    begun: dict[int, int] = field(default_factory=dict)

    def take(self, records: Records, decoded: Decoded) -> None:
        if len(records):
            self.oldest = min(self.oldest, int(records.timestamps_ms.min()) * 1_000_000)
        for columns in decoded.messages.values():
            _since(self.begun, columns, records.range.start == 0)
        if decoded.heartbeats is not None:
            self.beats.append(decoded.heartbeats)
            _since(self.begun, decoded.heartbeats, records.range.start == 0)


def _living_in(whole: dict[str, Columns], partition: int, count: int, grown: bool) -> dict[str, Columns]:
    """The messages whose symbols live in a partition of a topic of so many; all where there is no other."""
    if not grown:
        return whole
    here = {kind: homes(c.symbols, c["symbol"], count) == partition for kind, c in whole.items()}
    return {kind: columns.take(here[kind]) for kind, columns in whole.items()}


def _with_lead(settings: Settings, ranges: Sequence[Range]) -> tuple[list[Range], dict[client.Place, int]]:
    """The ranges, live ones begun LEAD records earlier as far as Kafka still has them; first offsets."""
    bounds = client.bounds(settings, [(r.topic, r.partition) for r in ranges])
    lows = {place: low for place, (low, _) in bounds.items()}
    wide = [
        r
        if r.start_reason == "extent"
        else structs.replace(r, start=min(r.start, max(lows[r.topic, r.partition], r.start - LEAD)))
        for r in ranges
    ]
    return wide, lows


def _since(begun: dict[int, int], columns: Columns, from_the_beginning: bool) -> None:
    for src in different(columns["src"]):
        first = 0 if from_the_beginning else int(columns["ts_recv"][columns["src"] == src].min())
        begun[src] = min(begun.get(src, first), first)


def _stamps(whole: dict[str, Columns]) -> dict[int, Array]:
    if not whole:
        return {}
    src = np.concatenate([columns["src"] for columns in whole.values()])
    stamps = np.concatenate([columns["ts_recv"] for columns in whole.values()])
    return {one: _sorted(stamps[src == one]) for one in different(src)}


def _sorted(stamps: Array) -> Array:
    """Each once, in order; a source's own strictly increase where nothing came late or again."""
    return stamps if (stamps[1:] > stamps[:-1]).all() else np.unique(stamps)


def _lean(columns: Columns) -> Columns:
    arrays = {name: columns[name] for name in KEPT if name in columns}
    unsequenced = columns.kind != "status" and bool((columns["seq"] == 0).any())
    arrays["content"] = content_of(columns) if unsequenced else np.zeros(len(columns), np.uint64)
    return Columns(columns.kind, columns.symbols, arrays)
