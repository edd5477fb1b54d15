"""Which messages stand: void, then resend, then copy (DESIGN §2.3, §2.6, §2.9). Pure and columnar.

A copy is told by its sequence; of what has none each instant has one owner (`log.owners`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapedeck.columns import Array, Columns
from tapedeck.log.owners import others
from tapedeck.message import WHOLE_FEED


@dataclass(frozen=True, slots=True)
class Judged:
    """Messages of one kind, each in exactly one place, each place in the order they came in."""

    kept: Columns
    duplicates: Columns
    """Resends and copies."""
    voided: Columns


def judge(
    columns: dict[str, Columns],
    voids: Columns | None,
    margin: int,
    backfills: frozenset[int] = frozenset(),
    signs: Columns | None = None,
) -> dict[str, Judged]:
    """Judge all messages of a slice widened by `margin` ns, of any number of symbols and sources.

    `backfills` are the numbers of backfill topics: there a void speaks only of offsets below its
    `before`, and only of its own topic and partition. `signs` of listening (`log.signs`) tell whose the
    messages without seq are; they too of the widened slice, those of the backfill topic of any time.
    """
    return {kind: _judge_kind(part, voids, margin, backfills, signs) for kind, part in columns.items()}


def _judge_kind(
    part: Columns, voids: Columns | None, margin: int, backfills: frozenset[int], signs: Columns | None
) -> Judged:
    out = _voided(part, voids, backfills) if voids is not None else np.zeros(len(part), np.bool_)
    voided = out.copy()
    out |= _resends(part, ~out)
    if part.kind != "status":
        standing = ~out
        out |= _copies(part, standing, margin)
        out |= others(part, standing, signs, voids, margin, backfills)
    nothing = part.take(np.zeros(0, np.int64))
    return Judged(
        kept=part.take(~out) if out.any() else part,
        duplicates=part.take(out & ~voided) if out.any() else nothing,
        voided=part.take(voided) if voided.any() else nothing,
    )


def _voided(part: Columns, voids: Columns, backfills: frozenset[int]) -> Array:
    out = np.zeros(len(part), np.bool_)
    live = ~np.isin(part["topic"], list(backfills))
    for i in range(len(voids)):
        symbol = voids.symbols[int(voids["symbol"][i])]
        if symbol != WHOLE_FEED and symbol not in part.symbols:
            continue
        meant = (part["src"] == voids["src"][i]) & (part["ts_recv"] >= voids["ts_recv"][i])
        meant &= part["ts_recv"] < voids["end"][i]
        if symbol != WHOLE_FEED:
            meant &= part["symbol"] == part.symbols.index(symbol)
        before = (part["topic"] == voids["topic"][i]) & (part["offset"] < voids["before"][i])
        out |= meant & (live | before)
    return out


def _resends(part: Columns, standing: Array) -> Array:
    """Messages whose name (src, kind, symbol, ts_recv) an earlier (topic, offset) bears."""
    out = np.zeros(len(part), np.bool_)
    index = np.flatnonzero(standing)
    stamps = part["ts_recv"][index]
    if len(index) < 2 or bool((stamps[1:] > stamps[:-1]).all()):
        return out  # strictly increasing stamps: no name occurs twice
    offset, topic, symbol, src = (part[name][index] for name in ("offset", "topic", "symbol", "src"))
    order = np.lexsort((offset, topic, stamps, symbol, src))
    same = (
        (stamps[order][1:] == stamps[order][:-1])
        & (symbol[order][1:] == symbol[order][:-1])
        & (src[order][1:] == src[order][:-1])
    )
    out[index[order[1:][same]]] = True
    return out


def _copies(part: Columns, standing: Array, margin: int) -> Array:
    """Messages with seq of which a lower-numbered source has the like within the margin.

    Likes (same symbol, snapshot flag and seq) that follow each other by at most the margin form one
    cluster; within it the n-th of a source is like the n-th of another.
    """
    out = np.zeros(len(part), np.bool_)
    index = np.flatnonzero(standing & (part["seq"] != 0))
    src = part["src"][index]
    if len(index) < 2 or bool((src == src[0]).all()):
        return out
    symbol, seq, stamps = part["symbol"][index], part["seq"][index], part["ts_recv"][index]
    flag = part["snapshot"][index] if part.kind == "book" else np.zeros(len(index), np.int64)
    order = np.lexsort((stamps, seq, flag, symbol))
    new = np.ones(len(index), np.bool_)
    new[1:] = (
        (np.diff(symbol[order]) != 0)
        | (np.diff(flag[order]) != 0)
        | (np.diff(seq[order]) != 0)
        | (np.diff(stamps[order]) > margin)
    )
    cluster = np.empty(len(index), np.int64)
    cluster[order] = np.cumsum(new)
    nth = _nth(cluster, src, stamps)
    by = np.lexsort((src, nth, cluster))
    first = np.ones(len(index), np.bool_)
    first[1:] = (np.diff(cluster[by]) != 0) | (np.diff(nth[by]) != 0)
    lowest = stamps[by][np.maximum.accumulate(np.where(first, np.arange(len(by)), 0))]
    near_lowest = np.abs(stamps[by] - lowest) <= margin
    near_next_lower = np.concatenate(([False], np.abs(np.diff(stamps[by])) <= margin))
    out[index[by[~first & (near_lowest | near_next_lower)]]] = True
    return out


def _nth(cluster: Array, src: Array, stamps: Array) -> Array:
    """How many likes of the same source stand before each message in its cluster."""
    order = np.lexsort((stamps, src, cluster))
    first = np.ones(len(order), np.bool_)
    first[1:] = (np.diff(cluster[order]) != 0) | (np.diff(src[order]) != 0)
    place = np.arange(len(order))
    begin = np.maximum.accumulate(np.where(first, place, 0))
    nth = np.empty(len(order), np.int64)
    nth[order] = place - begin
    return nth
