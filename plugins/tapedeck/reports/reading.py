"""One partition of a day, read whole: what of it differs from the log, and what its ticks are like.

This is a report's slow part. What it finds is plain data, so that tasks of its own can make it, to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from tapedeck.checks import reconcile
from tapedeck.columns import Columns, concat
from tapedeck.log.plan import Plan
from tapedeck.message import WHOLE_FEED
from tapedeck.reports.axis import Axis
from tapedeck.reports.tallies import Tally
from tapedeck.reports.thresholds import Thresholds
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.spread import Packed, Spread
from tapedeck.store import database, documents, tallies
from tapedeck.store.library import Library
from tapedeck.store.window import between

AT_ONCE = 300_000
"""About how many messages are held in memory at once."""
VERSION = 1
"""Raised where the same ticks give other numbers: what was kept before is then read again."""


class PartRead(Struct, frozen=True, kw_only=True):
    """What reading one partition of a day found. `delays`: by kind, receipt - event in µs by bin of time."""

    partition: int
    compared: reconcile.Part | None
    """With the log; None where there is no log."""
    symbols: list[dict[str, Any]]
    plots: dict[str, dict[str, Any]]
    delays: dict[str, Packed]
    partial: list[str]
    notes: list[str]
    rows: int


def read_part(
    settings: Settings,
    libraries: Mapping[str, Library],
    of: Slice,
    on: Axis,
    limits: Thresholds,
    plan: Plan | None,
    order: reconcile.Order,
    partition: int,
    progress: Callable[[int, int], object] = lambda at, rows: None,
) -> PartRead:
    """Compare with the log, then tally every tick, block of windows after block of windows.

    `libraries`: none where Arctic holds nothing. Memory is of the partition's symbols and one block.
    `progress` is told up to when (ns) is read, and the messages so far. Raises as `reconcile.part`.
    """
    compared = reconcile.part(settings, order, plan, partition) if plan is not None else None
    of_symbol: dict[str, Tally] = {}
    delays: dict[str, Spread] = {}
    partial: set[str] = set()
    notes: list[str] = []
    rows = 0
    for block in _blocks(settings, libraries, partition, Slice(max(of.start, on.start), min(of.end, on.end))):
        by_symbol = _block(settings, libraries, partition, block, of, partial, notes)
        for symbol in sorted(by_symbol):
            found = {
                kind: whole.in_order()
                for kind, parts in by_symbol[symbol].items()
                if len(whole := concat(kind, parts))
            }
            if found:
                rows += sum(map(len, found.values()))
                of_symbol.setdefault(symbol, Tally(symbol, on, limits, delays)).add(found)
        progress(block.end, rows)
    for tally in of_symbol.values():
        tally.end()
    return PartRead(
        partition=partition, compared=compared,
        symbols=[{"symbol": s, "partition": partition, **t.to_json()} for s, t in of_symbol.items()],
        plots={symbol: tally.plot() for symbol, tally in of_symbol.items()},
        delays={kind: spread.packed() for kind, spread in delays.items()},
        partial=sorted(partial), notes=notes, rows=rows,
    )  # fmt: skip


def _blocks(
    settings: Settings, libraries: Mapping[str, Library], partition: int, of: Slice
) -> Iterator[Slice]:
    """Consecutive whole windows of all kinds, so many together that about AT_ONCE messages are read."""
    if not libraries:
        return
    length = max(one.window for one in libraries.values())
    first = of.start // length * length
    held: dict[int, int] = {}
    with database.answering(settings):
        for one in tallies.read(libraries.values(), Slice(first, of.end), exact=False, partition=partition):
            held[one.start // length] = held.get(one.start // length, 0) + one.tallies[0].messages
    start, together = first, 0
    for end in range(first + length, of.end + length, length):
        together += held.get(end // length - 1, 0)
        if together + held.get(end // length, 0) > AT_ONCE or end >= of.end:
            yield Slice(start, end)
            start, together = end, 0


def _block(
    settings: Settings,
    libraries: Mapping[str, Library],
    partition: int,
    block: Slice,
    of: Slice,
    partial: set[str],
    notes: list[str],
) -> dict[str, dict[str, list[Columns]]]:
    """The stored messages of a block of windows, by symbol and kind."""
    by_symbol: dict[str, dict[str, list[Columns]]] = {}
    with database.answering(settings):
        for kind, one in libraries.items():
            for stored in documents.in_partition(one.collection, partition, block):
                if stored.symbol == WHOLE_FEED:
                    continue
                if stored.partial:
                    partial.add(stored.symbol)
                try:
                    rows = between(stored.rows(kind), of)
                except Exception:  # bytes that were altered may fail in any way
                    notes.append(f"the window {stored.id} of {one.name} can't be decoded")
                    continue
                by_symbol.setdefault(stored.symbol, {}).setdefault(kind, []).append(rows)
    return by_symbol
