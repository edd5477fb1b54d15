"""Frames for research, as `import tapedeck` gives them; apart from `doors`, which loads what makes pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapedeck import endpoints
from tapedeck.reports import conditions
from tapedeck.settings import Settings, load
from tapedeck.slices import Time, slice_of
from tapedeck.store import library as libraries
from tapedeck.store import read as store


def read(
    library: str,
    symbol: str | Sequence[str],
    start: Time,
    end: Time,
    columns: Sequence[str] | None = None,
    *,
    require: str = "",
    tail: bool = True,
    as_of: Time | None = None,
    arrow: bool = False,
    settings: Settings | None = None,
) -> Any:
    """`tapedeck.store.read.read`, of days that are worth reading.

    `require="available"` raises Incomplete, with the days' names, where a day that [start, end) meets is
    not available or closed by its report; "degraded" lets days with known gaps pass too. Raises BadInput
    for another.
    """
    if require:
        deck = endpoints.resolve(settings or load())
        vendor = libraries.named(deck, library).vendor
        some = [symbol] if isinstance(symbol, str) else list(symbol)
        conditions.require(deck, vendor, some, slice_of(start, end), require)
    return store.read(
        library, symbol, start, end, columns, tail=tail, as_of=as_of, arrow=arrow, settings=settings
    )
