"""What one partition's log says of a slice, as far as checks need it: chains, heartbeats, non-messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import structs

from tapedeck.columns import COMMON, Array, Columns, concat, different, empty
from tapedeck.log import client
from tapedeck.log.decode import Undecodable, decode_records
from tapedeck.log.judge import Judged, judge
from tapedeck.log.lost import Lost
from tapedeck.log.plan import Plan, Range
from tapedeck.log.read import read
from tapedeck.settings import Settings
from tapedeck.slices import Slice

LEAD = 5_000
"""So many records before the slice are read too: they tell where chains and collectors stood."""
KEPT = ("symbol", *COMMON, "snapshot", "code", "topic", "offset")


@dataclass(frozen=True, slots=True)
class Look:
    """All that was read of a partition: the slice, its margins, and LEAD records before.

    Messages have only the columns that checks need. `stamps`: by source, the sorted distinct receipt times
    of its messages. `begun`: by source, since when every record of it was read. `cut`: Kafka has deleted
    records of the slice; `low` is then the first offset left, `oldest` its time (ns), or the slice's end.
    `lost`: what Kafka lacks besides.
    """

    partition: int
    judged: dict[str, Judged]
    beats: Columns
    undecodable: list[Undecodable]
    stamps: dict[int, Array]
    begun: dict[int, int]
    cut: Range | None
    low: int
    oldest: int
    lost: tuple[Lost, ...] = ()


def look(settings: Settings, plan: Plan, partition: int, of: Slice) -> Look:
    """Read one partition of a plan. Raises Incomplete where Kafka deleted some of it meanwhile."""
    found: dict[str, list[Columns]] = {}
    beats: list[Columns] = []
    voids: list[Columns] = []
    signs: list[Columns] = []
    bad: list[Undecodable] = []
    begun: dict[int, int] = {}
    lost: list[Lost] = []
    ranges, lows = _with_lead(settings, plan.of(partition))
    cut = next((r for r in ranges if r.start_reason == "expired"), None)
    oldest = of.end
    for records in read(settings, ranges, lost=lost.append):
        decoded = decode_records(records, plan.partitions)
        bad += [u for u in decoded.undecodable if of.start <= u.timestamp_ms * 1_000_000 < of.end]
        live = records.range.start_reason != "extent"
        if live and cut is not None and len(records):
            oldest = min(oldest, int(records.timestamps_ms.min()) * 1_000_000)
        for kind, columns in decoded.messages.items():
            found.setdefault(kind, []).append(_lean(columns))
            if live:
                _since(begun, columns, records.range.start == 0)
        if decoded.heartbeats is not None and live:
            beats.append(decoded.heartbeats)
            _since(begun, decoded.heartbeats, records.range.start == 0)
        if decoded.voids is not None:
            voids.append(decoded.voids)
        if decoded.signs is not None:
            signs.append(decoded.signs)
    whole = {kind: concat(kind, parts) for kind, parts in found.items()}
    backfills = frozenset(r.number for r in ranges if r.start_reason == "extent")
    return Look(
        partition=partition,
        judged=judge(
            whole,
            concat("void", voids) if voids else None,
            plan.margin,
            backfills,
            concat("heartbeat", signs),
        ),
        beats=concat("heartbeat", beats) if beats else empty("heartbeat"),
        undecodable=bad,
        stamps=_stamps(whole),
        begun=begun,
        cut=cut,
        low=lows[cut.topic] if cut else 0,
        oldest=oldest,
        lost=tuple(lost),
    )


def _with_lead(settings: Settings, ranges: Sequence[Range]) -> tuple[list[Range], dict[str, int]]:
    """The ranges, live ones begun LEAD records earlier as far as Kafka still has them; first offsets."""
    bounds = client.bounds(settings, [(r.topic, r.partition) for r in ranges])
    lows = {topic: low for (topic, _), (low, _) in bounds.items()}
    wide = [
        r
        if r.start_reason == "extent"
        else structs.replace(r, start=min(r.start, max(lows[r.topic], r.start - LEAD)))
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
    return Columns(columns.kind, columns.symbols, arrays)
