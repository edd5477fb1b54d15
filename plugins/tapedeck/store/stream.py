"""A slice larger than memory, frame by frame: stretches of whole windows, each read like any other slice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tapedeck import endpoints
from tapedeck.settings import Settings, load
from tapedeck.slices import Slice, Time, slice_of
from tapedeck.store import database, documents
from tapedeck.store import library as libraries
from tapedeck.store.library import Library
from tapedeck.store.read import read

ROWS = 1_000_000


def stream(
    library: str,
    symbol: str | Sequence[str],
    start: Time,
    end: Time,
    columns: Sequence[str] | None = None,
    *,
    rows: int = ROWS,
    tail: bool = True,
    as_of: Time | None = None,
    arrow: bool = False,
    settings: Settings | None = None,
) -> Iterator[Any]:
    """What `read` gives of the slice, in order, in frames of about so many rows; none of them is empty.

    A frame holds whole windows, so one busier than `rows` is one frame. Each is read when it is asked for:
    what came late meanwhile is in the frames that follow, and no row is in two.
    """
    deck = endpoints.resolve(settings or load())
    one, of = libraries.named(deck, library), slice_of(start, end)
    symbols = [symbol] if isinstance(symbol, str) else list(symbol)

    def between(at: int, stop: int) -> Any:
        return read(library, symbol, at, stop, columns, tail=tail, as_of=as_of, arrow=arrow, settings=deck)

    at, width = of.start, 1
    for stop in _edges(_sizes(deck, one, symbols, of), one.window, rows):
        if at < (stop := min(stop, of.end)):
            frame = between(at, stop)
            if len(frame):
                yield frame
            at = stop
    while at < of.end:  # nobody has counted what only the log holds
        stop = min(one.around(at).start + width * one.window, of.end)
        frame = between(at, stop)
        if len(frame):
            yield frame
        width = 2 * width if len(frame) < rows // 2 else max(1, width // 2)
        at = stop


def _edges(sizes: Mapping[int, int], window: int, rows: int) -> Iterator[int]:
    """Where frames end (UTC ns): before the window that would make one larger, and behind the last."""
    total = 0
    for start, count in sizes.items():
        if total and total + count > rows:
            yield start
            total = 0
        total += count
    if sizes:
        yield max(sizes) + window


def _sizes(deck: Settings, one: Library, symbols: Sequence[str], of: Slice) -> dict[int, int]:
    """By start (UTC ns), how many rows the stored windows hold, in order."""
    sizes: dict[int, int] = {}
    with database.answering(deck):
        for start, count in documents.sizes(one.collection, symbols, one.whole(of)):
            window = one.around(start).start
            sizes[window] = sizes.get(window, 0) + count
    return dict(sorted(sizes.items()))
