"""What a page says of one symbol's day, gathered window by window from Arctic: counts, prices, flags.

Memory is of a partition's symbols, whatever the number of ticks. Ticks are flagged, never changed.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

import numpy as np

from tapedeck.columns import Array, Columns
from tapedeck.reports import filters
from tapedeck.reports.axis import Axis
from tapedeck.reports.grain import Grain, least_move
from tapedeck.reports.series import Series
from tapedeck.reports.thresholds import Thresholds
from tapedeck.slices import NS
from tapedeck.spread import Spread

MARKED = 100
"""So many flagged ticks of a rule are kept one by one; all are counted."""
US = 1000
RULES = {
    "zero": "price zero or negative (BNHLS P2)",
    "outside": "trade outside the quote by more than the spread (BNHLS T4)",
    "far_price": "trade far from its neighbours (Brownlees & Gallo)",
    "crossed": "bid above ask (BNHLS Q2)",
    "wide": "spread over 50 medians of the day (BNHLS Q3)",
    "far_mid": "mid far from its neighbours (BNHLS Q4)",
}
"""The flags that are marked on a symbol's plot."""


class Band:
    """Least, greatest and last value in each bin; NaN where there is none."""

    __slots__ = ("high", "last", "low")

    def __init__(self, bins: int) -> None:
        self.low: Array = np.full(bins, np.nan)
        self.high: Array = np.full(bins, np.nan)
        self.last: Array = np.full(bins, np.nan)

    def add(self, bins: Array, values: Array) -> None:
        """Values in order of time, with the bin of each."""
        if not len(values):
            return
        at = np.flatnonzero(np.append(True, np.diff(bins) != 0))
        own = bins[at]
        self.low[own] = np.fmin(self.low[own], np.minimum.reduceat(values, at))
        self.high[own] = np.fmax(self.high[own], np.maximum.reduceat(values, at))
        self.last[own] = values[np.append(at[1:], len(values)) - 1]


class Tally:
    """One symbol of a day. `delays` are shared by the vendor: per kind, receipt - event in µs by bin. So many
    flagged ticks of a rule are kept one by one as `marked` says."""

    def __init__(
        self, symbol: str, on: Axis, limits: Thresholds, delays: dict[str, Spread], marked: int = MARKED
    ) -> None:
        self.symbol, self.on, self.limits, self.delays, self.most = symbol, on, limits, delays, marked
        self.counts: dict[str, int] = {}
        self.bins: Array = np.zeros(on.bins, np.int64)
        self.trades, self.mids = Band(on.bins), Band(on.bins)
        self.volume: Array = np.zeros(on.bins)
        self.first = self.last = 0
        self.delay, self.grain, self.spreads = Spread(centred=True), Grain(), Spread()
        self.unknown_event = self.backwards_event = self.backwards_log = self.identical = 0
        self.crossed = self.locked = self.nonpositive = 0
        self.flags: dict[str, int] = dict.fromkeys(RULES, 0)
        self.marked: dict[str, list[tuple[int, float]]] = {rule: [] for rule in RULES}
        self.widest: list[tuple[float, int, float]] = []
        self.stale: list[tuple[int, int]] = []
        self.partial = 0
        self._events: dict[tuple[str, int], int] = {}
        self._trade_series, self._quote_series = Series(self._judge_trades), Series(self._judge_quotes)
        self._quote: dict[str, Array] = {}
        self._gamma = {"trade": -1.0, "quote": -1.0}
        self._stood: tuple[float, float, int] | None = None

    def add(self, found: Mapping[str, Columns]) -> None:
        """The next windows of all kinds, each in order of receipt, all of the same time."""
        quotes = found.get("quote")
        for kind, columns in found.items():
            if len(columns):
                self._common(kind, columns)
        if quotes is not None and len(quotes):
            self._quotes(quotes)
        trades = found.get("trade")
        if trades is not None and len(trades):
            self._trades(trades, quotes)
        if quotes is not None and len(quotes):
            self._quote = {name: quotes[name][-1:] for name in ("bid", "ask")}
        book = found.get("book")
        if book is not None and book.levels is not None:
            self.nonpositive += int((book.levels[:, 0] <= 0).sum())

    def end(self) -> None:
        """The day is over: what waited for its neighbours is judged."""
        self._trade_series.end()
        self._quote_series.end()
        if self._stood is not None and self.last - self._stood[2] > self.limits.stale_seconds * NS:
            self.stale.append((self._stood[2], self.last))
        median = self.spreads.quantile(0.5)
        if median > 0:  # spreads are counted in millionths of the price
            self.flags["wide"] = self.spreads.above(self.limits.q3_medians * median)
            far = [(at, mid) for size, at, mid in self.widest if size > self.limits.q3_medians * median]
            self.marked["wide"] = sorted(far)

    def _common(self, kind: str, columns: Columns) -> None:
        stamps, events = columns["ts_recv"], columns["ts_event"]
        self.counts[kind] = self.counts.get(kind, 0) + len(columns)
        bins = self.on.bin_of(stamps)
        self.bins += np.bincount(bins, minlength=self.on.bins)
        self.first = min(self.first or int(stamps[0]), int(stamps[0]))
        self.last = max(self.last, int(stamps[-1]))
        known = events != 0
        self.unknown_event += int((~known).sum())
        delay = (stamps[known] - events[known]) / US
        self.delays.setdefault(kind, Spread(self.on.bins, centred=True)).add(delay, bins[known])
        self.delay.add(delay)
        for src in np.unique(columns["src"]).tolist():
            own = columns["src"] == src
            seen = events[own & known]
            self.backwards_event += int((np.diff(seen) < 0).sum())
            if len(seen):
                self.backwards_event += int(seen[0] < self._events.get((kind, src), seen[0]))
                self._events[kind, src] = int(seen[-1])
            for topic in np.unique(columns["topic"][own]).tolist():
                offsets = columns["offset"][own & (columns["topic"] == topic)]
                self.backwards_log += int((np.diff(offsets) < 0).sum())

    def _trades(self, trades: Columns, quotes: Columns | None) -> None:
        price, size, stamps = trades["price"], trades["size"], trades["ts_recv"]
        good = price > 0
        self.nonpositive += int((~good).sum() + (size <= 0).sum())
        self._mark("zero", stamps[~good], price[~good])
        bins = self.on.bin_of(stamps)
        self.trades.add(bins[good], price[good])
        self.volume += np.bincount(bins, weights=np.maximum(size, 0), minlength=self.on.bins)
        same = np.diff(trades["ts_event"]) == 0
        for name in ("price", "size", "side"):
            same &= np.diff(trades[name]) == 0
        self.identical += int(same.sum())
        self.grain.add(price[good])
        outside = filters.outside_quotes(price, *self._near(stamps, quotes)) & good
        self.flags["outside"] += int(outside.sum())
        self._mark("outside", stamps[outside], price[outside], count=False)
        if good.any():
            if self._gamma["trade"] < 0:
                self._gamma["trade"] = self.limits.granularity_ticks * least_move(price[good])
            self._trade_series.add({"price": price[good], "at": stamps[good]})

    def _quotes(self, quotes: Columns) -> None:
        bid, ask, stamps = quotes["bid"], quotes["ask"], quotes["ts_recv"]
        good = (bid > 0) & (ask > 0)  # an empty side is 0: no price
        self.nonpositive += int(((bid < 0) | (ask < 0)).sum())
        crossed = good & (bid > ask)
        self.crossed += int(crossed.sum())
        self.locked += int((good & (bid == ask)).sum())
        mid = (bid + ask) / 2
        self._mark("crossed", stamps[crossed], mid[crossed])
        bins = self.on.bin_of(stamps)
        self.mids.add(bins[good], mid[good])
        self.grain.add(np.concatenate((bid[good], ask[good])))
        spread = np.where(good, ask - bid, 0.0) / np.where(good, mid, 1.0) * 1e6
        open_ = good & (spread > 0)
        self.spreads.add(spread[open_])
        size = spread[open_]
        if len(size):
            top = np.argsort(size, kind="stable")[-MARKED:]
            rows = zip(size[top].tolist(), stamps[open_][top].tolist(), mid[open_][top].tolist(), strict=True)
            self.widest = heapq.nlargest(MARKED, [*self.widest, *rows])
        self._unchanged(bid, ask, stamps)
        if good.any():
            if self._gamma["quote"] < 0:
                self._gamma["quote"] = self.limits.granularity_ticks * least_move(mid[good])
            self._quote_series.add({"mid": mid[good], "at": stamps[good]})

    def _unchanged(self, bid: Array, ask: Array, stamps: Array) -> None:
        """How long each quote stood."""
        new = np.append(True, (np.diff(bid) != 0) | (np.diff(ask) != 0))
        if self._stood is not None and self._stood[:2] == (float(bid[0]), float(ask[0])):
            new[0] = False
        since = stamps[new]
        if self._stood is not None:
            since = np.concatenate(([self._stood[2]], since))
        long = np.flatnonzero(np.diff(since) > self.limits.stale_seconds * NS)
        self.stale += [(int(since[i]), int(since[i + 1])) for i in long]
        if len(since):
            self._stood = float(bid[-1]), float(ask[-1]), int(since[-1])

    def _near(self, stamps: Array, quotes: Columns | None) -> tuple[Array, Array, Array]:
        """Least bid and greatest ask of each trade's second and those beside it, and the spread of the quote
        in force; NaN before the first quote. (The rule's own data had stamps of a second; here trades and
        quotes come by channels of their own, in no common order.)"""
        before = [self._quote.get(name, np.full(1, np.nan)) for name in ("bid", "ask")]
        if quotes is None or not len(quotes):
            bid, ask = (side[np.zeros(len(stamps), np.int64)] for side in before)
            return bid, ask, ask - bid
        good = (quotes["bid"] > 0) & (quotes["ask"] > 0)
        at = quotes["ts_recv"][good]
        bid, ask = (np.concatenate((b, quotes[n][good])) for b, n in zip(before, ("bid", "ask"), strict=True))
        second = min(int(stamps[0]), int(at[0]) if len(at) else int(stamps[0])) // NS
        size = max(int(stamps[-1]), int(at[-1]) if len(at) else 0) // NS - second + 3
        low, high = np.full(size, np.inf), np.full(size, -np.inf)
        np.minimum.at(low, at // NS - second + 1, bid[1:])
        np.maximum.at(high, at // NS - second + 1, ask[1:])
        place, force = stamps // NS - second + 1, np.searchsorted(at, stamps)
        least = np.minimum(np.minimum(low[place - 1], low[place]), np.minimum(low[place + 1], bid[force]))
        most = np.maximum(np.maximum(high[place - 1], high[place]), np.maximum(high[place + 1], ask[force]))
        return least, most, np.maximum(ask[force] - bid[force], 0.0)

    def _judge_trades(self, columns: Mapping[str, Array], first: int, last: int) -> None:
        far = filters.far_prices(
            columns["price"], first, last, k=self.limits.bg_neighbours, trim=self.limits.bg_trim,
            granularity=self._gamma["trade"],
        )  # fmt: skip
        self._mark("far_price", columns["at"][first:last][far], columns["price"][first:last][far])

    def _judge_quotes(self, columns: Mapping[str, Array], first: int, last: int) -> None:
        far = filters.far_mids(
            columns["mid"], first, last, half=self.limits.q4_half, limit=self.limits.q4_deviations,
            granularity=self._gamma["quote"], jumps_survive=True,
        )  # fmt: skip
        self._mark("far_mid", columns["at"][first:last][far], columns["mid"][first:last][far])

    def _mark(self, rule: str, at: Array, value: Array, count: bool = True) -> None:
        if count:
            self.flags[rule] += len(at)
        room = self.most - len(self.marked[rule])
        self.marked[rule] += zip(at[:room].tolist(), value[:room].tolist(), strict=True)

    def to_json(self) -> dict[str, Any]:
        """The symbol's numbers; times in ns, delays in ms, NaN as None."""
        tick = self.grain.inferred(self.limits.off_tick_share)
        quotes, trades = self.counts.get("quote", 0), self.counts.get("trade", 0)
        return {
            "messages": sum(self.counts.values()),
            "kinds": dict(sorted(self.counts.items())),
            "first_ns": self.first,
            "last_ns": self.last,
            "bins": self.bins.tolist(),
            "delay_ms": delay_of(self.delay),
            "order": {
                "event_backwards": self.backwards_event, "log_backwards": self.backwards_log,
                "unknown_event": self.unknown_event, "identical_neighbours": self.identical,
            },
            "validity": {
                "crossed": self.crossed, "crossed_share": share(self.crossed, quotes),
                "locked": self.locked, "locked_share": share(self.locked, quotes),
                "zero_or_negative": self.nonpositive,
                "tick": tick[0] if tick else None, "off_tick": tick[1] if tick else None,
                "off_tick_example": number(tick[2]) if tick else None,
                "flags": dict(self.flags),
                "outlier_share": max(
                    share(self.flags["far_price"] + self.flags["outside"], trades),
                    share(self.flags["far_mid"], quotes),
                ),
                "stale": [{"start_ns": a, "end_ns": b} for a, b in self.stale[:MARKED]],
            },
            "volume": rounded(float(self.volume.sum())),
        }  # fmt: skip

    def plot(self) -> dict[str, Any]:
        """What the symbol's own page draws."""
        band, what = (self.trades, "trade") if "trade" in self.counts else (self.mids, "mid")
        return {
            "what": what,
            "low": list(map(number, band.low.tolist())),
            "high": list(map(number, band.high.tolist())),
            "last": list(map(number, band.last.tolist())),
            "volume": [rounded(v) for v in self.volume.tolist()],
            "marked": {rule: [[at, v] for at, v in some] for rule, some in self.marked.items() if some},
        }  # fmt: skip


def delay_of(delays: Spread) -> dict[str, Any]:
    """Quantiles in ms of delays in µs: least and greatest exactly, the others to 2 %."""
    if not len(delays):
        return {"messages": 0}
    return {
        "messages": len(delays),
        "min": rounded(delays.least / 1000),
        **{f"p{q}": rounded(delays.quantile(q / 100) / 1000) for q in (1, 50, 95, 99)},
        "max": rounded(delays.greatest / 1000),
        "negative_share": share(delays.below(0), len(delays)),
    }


def share(part: int, whole: int) -> float:
    """A share to nine digits; 0 of nothing."""
    return rounded(part / whole) if whole else 0.0


def rounded(value: float) -> float:
    """Six significant digits: what a page shows, and no more than its input can tell."""
    return float(f"{value:.6g}")


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if value != value else float(f"{value:.12g}")
