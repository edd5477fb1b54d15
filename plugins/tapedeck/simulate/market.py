"""A synthetic market: random trades, best quotes and book changes with right sequences.

The same arguments give the same messages, byte for byte. Prices walk on a grid of ticks, symbols
share one update id for quotes and book as Binance's do, trade ids count up by one, and ids begin
at the start time in µs, so that a market that starts later never reuses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tapedeck.errors import BadInput
from tapedeck.message import check_symbol
from tapedeck.simulate import binance_format
from tapedeck.simulate.events import BOOK, TRADE, Events, Format
from tapedeck.slices import NS

FORMATS: dict[str, type[Format]] = {
    "binance_usdm": binance_format.UsdmFormat,
    "binance_spot": binance_format.SpotFormat,
}
"""Who writes a vendor's payloads."""

MIX = (0.25, 0.65, 0.10)
"""Shares of trades, quotes and book changes."""
CYCLE, BURST = 10, 1
"""Of every ten seconds the last one runs at the burst's rate."""
_CHUNK = 8192
_LEVELS = 4
_LOWEST_TICK = 500

Ints = npt.NDArray[np.int64]


def symbol_names(known: Sequence[str], count: int) -> list[str]:
    """So many symbols: the known ones first, then SYM0003USDT and so on, by place from 1."""
    return [*known[:count], *(f"SYM{place:04d}USDT" for place in range(len(known) + 1, count + 1))]


def generate(
    vendor: str,
    symbols: Sequence[str],
    rate: float,
    duration_s: float | None,
    seed: int,
    start_ns: int,
    burst: float = 1.0,
) -> Iterator[tuple[int, bytes]]:
    """Messages of that vendor as (recv_ns, payload), recv_ns strictly increasing from `start_ns`.

    `rate` messages a second over all symbols, `burst` times as many in each tenth second; for
    `duration_s` seconds, or without an end where that is None. Raises BadInput for a vendor whose
    format is not known, and for rates, times or symbols that make no market.
    """
    if vendor not in FORMATS:
        raise BadInput(
            f"the vendor {vendor!r} has no synthetic market (those that have one: {', '.join(FORMATS)}): "
            "give captured files"
        )
    for what, number in (("rate", rate), ("burst", burst), ("duration", duration_s)):
        if number is not None and not 0 < number < 1e9:
            raise BadInput(f"the {what} {number:g} is not a positive number: give one, for example 100")
    if not symbols or len(set(symbols)) != len(symbols):
        raise BadInput("the market has no symbols, or one twice: name each symbol once")
    for symbol in symbols:
        check_symbol(symbol)
    return _messages(FORMATS[vendor](symbols), _Market(len(symbols), seed, start_ns, rate, burst), duration_s)


def _messages(format: Format, market: _Market, duration_s: float | None) -> Iterator[tuple[int, bytes]]:
    end = None if duration_s is None else market.start_ns + round(duration_s * NS)
    while True:
        events = market.next_events()
        stamps = events.recv_ns
        if end is not None and stamps[-1] >= end:
            last = int(np.searchsorted(stamps, end))
            yield from zip(stamps[:last].tolist(), format.payloads(events)[:last], strict=True)
            return
        yield from zip(stamps.tolist(), format.payloads(events), strict=True)


class _Market:
    """What the market remembers between two chunks of events."""

    def __init__(self, symbols: int, seed: int, start_ns: int, rate: float, burst: float) -> None:
        self.start_ns = start_ns
        self._random = np.random.default_rng(seed)
        self._rate, self._burst = rate, burst
        self._mass = 0.0
        self._last_ns = start_ns - 1
        weights = 1 / np.sqrt(np.arange(1, symbols + 1))
        self._weights = weights / weights.sum()
        first = start_ns // 1000
        self._update = np.full(symbols, first, np.int64)
        self._book = np.full(symbols, first, np.int64)
        self._trade = np.full(symbols, first, np.int64)
        self._tick = np.full(symbols, 10, np.int64)
        self._tick[:2] = (1000, 100)[:symbols]
        self._mid = self._random.integers(2_000, 200_000, symbols)
        self._mid[:2] = (618_000, 268_000)[:symbols]

    def next_events(self) -> Events:
        """The next chunk of events, in time order."""
        random, n = self._random, _CHUNK
        recv_ns = self._stamps(n)
        symbol = random.choice(len(self._weights), n, p=self._weights)
        kind = random.choice(3, n, p=MIX)
        by_symbol = np.argsort(symbol, kind="stable")
        steps = np.where(kind != TRADE, random.integers(1, 10, n), 0)
        update = self._running(self._update, symbol, by_symbol, steps)
        trade = self._running(self._trade, symbol, by_symbol, (kind == TRADE).astype(np.int64))
        mid = self._running(self._mid, symbol, by_symbol, random.integers(-1, 2, n))
        mid = np.maximum(mid, _LOWEST_TICK)
        np.maximum(self._mid, _LOWEST_TICK, out=self._mid)
        spread = random.geometric(0.7, n)
        books = int((kind == BOOK).sum())
        tick = self._tick[symbol]
        return Events(
            recv_ns=recv_ns,
            symbol=symbol,
            kind=kind,
            seq=np.where(kind == TRADE, trade, update),
            prev=self._previous_books(symbol, kind, update, by_symbol),
            bid=mid * tick,
            ask=(mid + spread) * tick,
            bid_size=random.integers(1, 20_000, n),
            ask_size=random.integers(1, 20_000, n),
            buyer=random.random(n) < 0.5,
            tick=tick,
            levels=random.integers(0, _LEVELS + 1, (books, 2)),
            offsets=np.cumsum(random.integers(1, 4, (books, 2, _LEVELS)), axis=2) - 1,
            sizes=np.maximum(random.integers(-5_000, 20_000, (books, 2, _LEVELS)), 0),
        )

    def _stamps(self, n: int) -> Ints:
        """Receipt times of a Poisson process whose rate is `burst` times higher in the tenth second."""
        mass = self._mass + np.cumsum(self._random.exponential(1.0, n))
        self._mass = float(mass[-1])
        calm = self._rate * (CYCLE - BURST)
        cycle, rest = np.divmod(mass, calm + self._rate * self._burst * BURST)
        inside = np.where(
            rest < calm, rest / self._rate, CYCLE - BURST + (rest - calm) / (self._rate * self._burst)
        )
        places = np.arange(n)
        stamps = self.start_ns + ((cycle * CYCLE + inside) * NS).astype(np.int64)
        stamps = np.maximum.accumulate(np.maximum(stamps, self._last_ns + 1) - places) + places
        self._last_ns = int(stamps[-1])
        return stamps

    @staticmethod
    def _running(state: Ints, symbol: Ints, by_symbol: Ints, steps: Ints) -> Ints:
        """Running sums of the steps within each symbol, on from `state`, which moves to their ends."""
        sums = np.cumsum(steps[by_symbol])
        owner = symbol[by_symbol]
        starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        before = np.repeat(sums[starts] - steps[by_symbol][starts], np.diff(np.r_[starts, len(owner)]))
        running = np.empty_like(sums)
        running[by_symbol] = state[owner] + sums - before
        ends = np.r_[starts[1:], len(owner)] - 1
        state[owner[ends]] = running[by_symbol[ends]]
        return running

    def _previous_books(self, symbol: Ints, kind: Ints, update: Ints, by_symbol: Ints) -> Ints:
        """For each book change the update id that the symbol's change before it ended at; else 0."""
        previous = np.zeros_like(update)
        books = by_symbol[kind[by_symbol] == BOOK]
        if len(books):
            owner, ids = symbol[books], update[books]
            first = np.r_[True, owner[1:] != owner[:-1]]
            previous[books] = np.where(first, self._book[owner], np.r_[0, ids[:-1]])
            self._book[owner] = ids  # of several of one symbol the last assignment stays
        return previous
