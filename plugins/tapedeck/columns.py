"""Messages of one kind as arrays: how hot paths hold ticks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

COMMON = ("ts_event", "ts_recv", "seq", "prev", "src")
FLOATS = frozenset({"price", "size", "bid", "ask", "bid_size", "ask_size"})
OBJECTS = frozenset({"text", "fields"})
OWN: dict[str, tuple[str, ...]] = {
    "trade": ("price", "size", "side"),
    "quote": ("bid", "ask", "bid_size", "ask_size"),
    "book": ("snapshot", "bids", "asks"),
    "status": ("code", "text"),
    "fields": ("fields",),
    "heartbeat": ("since", "sent", "closing", "connected"),
    "void": ("end", "before"),
}
"""Columns of each kind beside COMMON. A book's `bids` and `asks` are numbers of levels; the levels
themselves lie in `Columns.levels`. `text` and `fields` hold one str and one {name: number} each."""


@dataclass(frozen=True, slots=True)
class Columns:
    """`n` messages of one kind, in the order they were read.

    `symbols` is the table that the int32 column `symbol` points into. `arrays` holds `symbol`,
    COMMON and OWN[kind], each of shape (n,): int64, float64 (prices and sizes) or object. Readers of
    the log add `topic` (the topic's number in md.meta, int32) and `offset` (int64).
    `levels` is of shape (sum of bids + asks, 2): price and size, each message's bids, then its asks.
    """

    kind: str
    symbols: tuple[str, ...]
    arrays: dict[str, Array]
    levels: Array | None = None

    def __len__(self) -> int:
        return len(self.arrays["symbol"])

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def with_arrays(self, **arrays: Array) -> Columns:
        """The same messages with columns added or replaced."""
        return replace(self, arrays={**self.arrays, **arrays})

    def level_counts(self) -> Array:
        """Levels of each message, bids and asks together; only for books."""
        counts: Array = self.arrays["bids"] + self.arrays["asks"]
        return counts

    def take(self, which: Array) -> Columns:
        """The messages at these positions (an index array) or where the mask is true."""
        index = np.flatnonzero(which) if which.dtype == np.bool_ else which
        arrays = {name: array[index] for name, array in self.arrays.items()}
        levels = self.levels
        if levels is not None:
            levels = levels[_spans(self.level_counts(), index)]
        return Columns(self.kind, self.symbols, arrays, levels)

    def of(self, symbol: str) -> Columns:
        """The messages of one symbol, whose table then names only it."""
        if self.symbols == (symbol,):
            return self
        code = self.symbols.index(symbol) if symbol in self.symbols else -1
        part = self.take(self.arrays["symbol"] == code)
        arrays = {**part.arrays, "symbol": np.zeros(len(part), np.int32)}
        return Columns(self.kind, (symbol,), arrays, part.levels)

    def in_order(self) -> Columns:
        """The messages by (ts_recv, topic, offset); of two partitions with one offset the symbols decide."""
        keys = (self["offset"], self["topic"], self["ts_recv"])
        order = np.lexsort(keys)
        if bool(np.logical_and.reduce([key[order][1:] == key[order][:-1] for key in keys]).any()):
            order = np.lexsort((self["symbol"], *keys))
        return self if bool((order[1:] > order[:-1]).all()) else self.take(order)


def by_code(codes: Array) -> Array:
    """The stable order of small codes; those of 16 bits are sorted three times as fast."""
    small = len(codes) and int(codes.max()) < 2**16
    return np.argsort(codes.astype(np.uint16) if small else codes, kind="stable")


def different(column: Array) -> list[int]:
    """The values that an integer column has, in order; quick where it has only one, as most have."""
    if not len(column):
        return []
    least, most = int(column.min()), int(column.max())
    return [least] if least == most else np.unique(column).tolist()


def _spans(counts: Array, index: Array) -> Array:
    """Positions of the levels of the messages at `index`, where message i has `counts[i]` of them."""
    starts = np.cumsum(counts) - counts
    chosen = counts[index]
    ends = np.cumsum(chosen)
    total = int(ends[-1]) if len(ends) else 0
    shift = np.repeat(starts[index] - (ends - chosen), chosen)
    positions: Array = np.arange(total) + shift
    return positions


def empty(kind: str) -> Columns:
    """No messages of a kind."""
    arrays: dict[str, Array] = {"symbol": np.zeros(0, np.int32), "topic": np.zeros(0, np.int32)}
    for name in (*COMMON, *OWN[kind], "offset"):
        dtype: Any = np.float64 if name in FLOATS else object if name in OBJECTS else np.int64
        arrays[name] = np.zeros(0, dtype)
    return Columns(kind, (), arrays, np.zeros((0, 2)) if kind == "book" else None)


def concat(kind: str, parts: Iterable[Columns]) -> Columns:
    """Parts of one kind, one after another, over one symbol table. Keeps the columns all parts have."""
    full = [part for part in parts if len(part)]
    if not full:
        return empty(kind)
    if len(full) == 1:
        return full[0]
    table: dict[str, int] = {}
    codes = []
    for part in full:
        own = np.array([table.setdefault(s, len(table)) for s in part.symbols], np.int32)
        codes.append(own[part["symbol"]])
    shared = [name for name in full[0].arrays if all(name in part for part in full)]
    arrays = {name: np.concatenate([part[name] for part in full]) for name in shared if name != "symbol"}
    arrays["symbol"] = np.concatenate(codes)
    levels = np.concatenate([part.levels for part in full]) if full[0].levels is not None else None
    return Columns(kind, tuple(table), arrays, levels)


def from_messages(kind: str, messages: Sequence[Any]) -> Columns:
    """Columns of typed messages of one kind (the structs of `tapedeck.message`)."""
    table: dict[str, int] = {}
    code = [table.setdefault(m.symbol, len(table)) for m in messages]
    arrays: dict[str, Array] = {"symbol": np.array(code, np.int32)}
    for name in COMMON:
        arrays[name] = np.array([getattr(m, name) for m in messages], np.int64)
    levels = None
    if kind == "book":
        arrays["snapshot"] = np.array([m.snapshot for m in messages], np.int64)
        arrays["bids"] = np.array([len(m.bids) for m in messages], np.int64)
        arrays["asks"] = np.array([len(m.asks) for m in messages], np.int64)
        flat = [number for m in messages for side in (m.bids, m.asks) for level in side for number in level]
        levels = np.array(flat, np.float64).reshape(-1, 2)
    else:
        for name in OWN[kind]:
            values = [getattr(m, name) for m in messages]
            if name in OBJECTS:
                column = np.empty(len(values), object)
                column[:] = values
            else:
                column = np.array(values, np.float64 if name in FLOATS else np.int64)
            arrays[name] = column
    return Columns(kind, tuple(table), arrays, levels)
