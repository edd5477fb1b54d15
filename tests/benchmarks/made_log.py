"""Logs to be read: a vendor's live topic as a collector that has ended leaves it, laid out as arrays."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapedeck import message as m
from tapedeck.columns import Array, by_code
from tapedeck.log.meta import TopicPin
from tapedeck.log.produce import Outbox, Target
from tapedeck.packed import Packed
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tests.published import Published

END = (time.time_ns() // NS // 86_400 * 24 - 2) * 3600 * NS
"""Ten in the evening of yesterday: the day is over, and the log keeps it."""
RATE = 11_600
"""Messages a second of market time: a billion a day."""
SYMBOLS = 300
"""So a symbol's window of ten minutes holds about 23,000 messages of all kinds."""
QUIET = 1000
"""Symbols of a log in which each says ten messages a minute."""
MIX = (0.25, 0.65, 0.10)
"""Shares of trades, quotes and book changes, as the recorded futures have them."""
LEVELS = 4
"""Of each side of a book change."""
CHUNK = 200_000


@dataclass(frozen=True, slots=True)
class MadeLog:
    """So many messages of `bytes` each on average, all within `slice`, none twice."""

    vendor: str
    pin: TopicPin
    messages: int
    bytes: float
    slice: Slice
    stamps: NDArray[np.int64]
    """ts_recv of each, increasing."""

    def first(self, count: int) -> tuple[Slice, int]:
        """A slice of whole ms from the log's beginning of about so many messages, and how many it holds."""
        end = int(self.stamps[count]) // 1_000_000 * 1_000_000
        return Slice(self.slice.start, end), int(np.searchsorted(self.stamps, end))


def make_log(
    settings: Settings,
    vendor: str,
    count: int,
    *,
    symbols: int = SYMBOLS,
    per_second: float = RATE,
    mix: Sequence[float] = MIX,
    even: bool = True,
) -> MadeLog:
    """So many messages of that mix. `even`: all symbols say about as much; else the first say most."""
    random = np.random.default_rng(1)
    digits = max(4, len(str(symbols)))  # one length for all
    names = [f"SYM{place:0{digits}d}USDT" for place in range(1, symbols + 1)]
    weights = np.ones(symbols) if even else 1 / np.sqrt(np.arange(1, symbols + 1))
    step = int(NS / per_second)
    begin = END - count * step // (600 * NS) * 600 * NS
    stamps = begin + np.cumsum(random.integers(1, 2 * step, count))
    forms = [_trade(names[0]), _quote(names[0]), _book(names[0])]
    log = Published(settings, vendor)
    log.register(begin)
    partitions = log.live.partitions
    homes = np.array([partition_of(name, partitions) for name in names])
    letters = np.array([list(name.encode()) for name in names], np.uint8)
    outbox = Outbox(settings, [Target(log.live.name, p) for p in range(partitions)], lambda: None)
    counted, size = [np.full(symbols, 2**31) for _ in forms], 0
    for first in range(0, count, CHUNK):
        times = stamps[first : first + CHUNK]
        said = random.choice(symbols, len(times), p=weights / weights.sum()).astype(np.int32)
        kinds = random.choice(len(forms), len(times), p=mix)
        parts, places = [], np.empty(len(times), np.int64)
        done = 0
        for kind, form in enumerate(forms):
            own = np.flatnonzero(kinds == kind)
            places[own] = done + np.arange(len(own))
            done += len(own)
            seqs = _counted(counted[kind], said[own])
            parts.append(form.rows(letters[said[own]], times[own], seqs, said[own], random))
        whole = _together(parts)
        size += len(whole.data)
        for p in range(partitions):
            own = np.flatnonzero(homes[said] == p)
            outbox.send_all(p, whole.take(places[own]), _even(letters[said[own]]), times[own] // 1_000_000)
    outbox.drain()
    outbox.close()
    log.close(int(stamps[-1]) + 60 * NS)
    return MadeLog(vendor, log.live, count, size / count, Slice(begin, int(stamps[-1]) + NS), stamps)


@dataclass(frozen=True, slots=True)
class _Form:
    """Messages of one kind as rows of one length: where the bytes of each field lie."""

    row: bytes
    symbol: slice
    event: slice
    recv: slice
    seq: slice
    prev: slice | None
    prices: tuple[slice, ...]
    sizes: tuple[slice, ...]
    side: bool

    def rows(
        self, letters: Array, times: Array, seqs: Array, said: Array, random: np.random.Generator
    ) -> Array:
        """One message for each symbol and time; prices walk on a grid of ticks."""
        n = len(times)
        rows = np.tile(np.frombuffer(self.row, np.uint8), (n, 1))
        rows[:, self.symbol] = letters
        rows[:, self.event] = _bytes((times - 7_000_000) // 1_000_000 * 1_000_000, ">i8")
        rows[:, self.recv] = _bytes(times, ">i8")
        rows[:, self.seq] = _bytes(seqs, ">u4")
        if self.prev is not None:
            rows[:, self.prev] = _bytes(seqs - 1, ">u4")
        ticks = 5_000 + 317 * said + np.cumsum(random.integers(-1, 2, n))
        for far, place in enumerate(self.prices):
            rows[:, place] = _bytes((ticks + far) / 10, ">f8")
        for place in self.sizes:
            rows[:, place] = _bytes(random.integers(1, 100_000, n) / 1000, ">f8")
        if self.side:
            rows[:, -1] = np.where(random.random(n) < 0.5, 1, 255)
        return rows


_EVENT, _RECV, _SEQ, _PREV = 0x7123456789ABCDEF, 0x71F2E3D4C5B6A798, 0xFEDCBA98, 0xFA1B2C3D


def _form(sample: m.Trade | m.Quote | m.Book, prices: Sequence[float], sizes: Sequence[float]) -> _Form:
    row = m.encode(sample)

    def place(value: bytes) -> slice:
        assert row.count(value) == 1
        at = row.index(value)
        return slice(at, at + len(value))

    return _Form(
        row=row, symbol=place(sample.symbol.encode()), event=place(_EVENT.to_bytes(8)),
        recv=place(_RECV.to_bytes(8)), seq=place(_SEQ.to_bytes(4)),
        prev=place(_PREV.to_bytes(4)) if sample.prev else None,
        prices=tuple(place(struct.pack(">d", one)) for one in prices),
        sizes=tuple(place(struct.pack(">d", one)) for one in sizes), side=isinstance(sample, m.Trade),
    )  # fmt: skip


def _trade(name: str) -> _Form:
    return _form(m.Trade(name, _EVENT, _RECV, _SEQ, _PREV, 1, 100.25, 1.5, 1), [100.25], [1.5])


def _quote(name: str) -> _Form:
    sample = m.Quote(name, _EVENT, _RECV, _SEQ, 0, 1, 100.25, 100.5, 1.5, 2.5)
    return _form(sample, [100.25, 100.5], [1.5, 2.5])


def _book(name: str) -> _Form:
    levels = [(100.25 + i, 1.125 + i) for i in range(2 * LEVELS)]
    sample = m.Book(name, _EVENT, _RECV, _SEQ, _PREV, 1, 0, levels[:LEVELS], levels[LEVELS:])
    return _form(sample, [price for price, _ in levels], [size for _, size in levels])


def _counted(state: Array, owner: Array) -> Array:
    """Each one's number in its owner's count, on from `state`, which moves on."""
    order = by_code(owner)
    ordered = owner[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    lengths = np.diff(np.append(starts, len(ordered)))
    out = np.empty(len(owner), np.int64)
    out[order] = state[ordered] + 1 + np.arange(len(ordered)) - np.repeat(starts, lengths)
    state[ordered[starts]] += lengths
    return out


def _bytes(column: Array, dtype: str) -> Array:
    wide = np.ascontiguousarray(column.astype(dtype))
    return wide.view(np.uint8).reshape(len(column), wide.itemsize)


def _even(rows: Array) -> Packed:
    """Byte strings of one length."""
    count, width = rows.shape
    return Packed(np.ascontiguousarray(rows).reshape(-1), np.arange(count + 1, dtype=np.int64) * width)


def _together(parts: Sequence[Array]) -> Packed:
    """The rows of all parts, one after another."""
    lengths = np.concatenate([np.full(len(rows), rows.shape[1], np.int64) for rows in parts])
    bounds = np.append(0, np.cumsum(lengths))
    return Packed(np.concatenate([rows.reshape(-1) for rows in parts]), bounds)
