"""Faults that no sequence tells of: silence, volume, clocks, quotes that stand, prices that are off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tapedeck.checks.activity import BUCKET
from tapedeck.columns import Array, Columns
from tapedeck.drill.placing import ABOUT, Random, log_size, log_sizes, span, start_times
from tapedeck.drill.played import Allowed, Played, Truth, as_it_was, chosen
from tapedeck.drill.take import Take, delays
from tapedeck.reports.grain import least_move
from tapedeck.slices import NS

HOUR = 3600 * NS


def mute(take: Take, random: Random) -> Played | None:
    """One symbol of a vendor without sequences went silent while the others went on."""
    if len(take.symbols) < 2:
        return None
    bare = _without_chains(take)
    symbol = str(random.choice(take.symbols))
    longest = min(120.0, (take.of.end - take.of.start) / NS / 4)
    length = int(log_size(random, 2.0, longest) * NS)
    [start] = start_times(take, random, 1, length + NS)
    inside = np.flatnonzero(span(take, start, length))
    own = inside[[take.symbol_of(i) == symbol for i in inside.tolist()]]
    keep = np.ones(len(take), np.bool_)
    keep[own] = False
    played = chosen(bare, np.flatnonzero(keep), take.ts[keep])
    end = start + length
    played.truths = [Truth(checks=("silence",), start=start, end=end, symbol=symbol, size=length / NS)]
    played.allowed = [Allowed(checks=("volume", "silence"), start=start // BUCKET * BUCKET, end=end + BUCKET)]
    return played


def thin(take: Take, random: Random) -> Played | None:
    """A vendor without sequences sent only a part of a symbol's messages for ten minutes."""
    starts = np.arange(-(-take.of.start // BUCKET) * BUCKET, take.of.end - BUCKET + 1, BUCKET)
    if not len(starts):
        return None
    bare, symbol = _without_chains(take), str(random.choice(take.symbols))
    start, share = int(random.choice(starts)), float(random.uniform(0.5, 0.98))
    inside = np.flatnonzero(span(take, start, BUCKET))
    own = inside[[take.symbol_of(i) == symbol for i in inside.tolist()]]
    keep = np.ones(len(take), np.bool_)
    keep[own[random.random(len(own)) < share]] = False
    played = chosen(bare, np.flatnonzero(keep), take.ts[keep])
    whose = ("volume", "silence")
    truth = Truth(checks=whose, start=start, end=start + BUCKET, symbol=symbol, size=100 * share)
    played.truths = [truth]
    played.allowed = [Allowed(checks=whose, start=start, end=start + BUCKET)]
    return played


def skew(take: Take, random: Random) -> Played | None:
    """From some time on the collector's clock is slow, or the vendor's fast."""
    least = min(delays(take), default=None)
    if least is None:
        return None
    shift = int(log_size(random, 0.01, 3.0) * NS)
    [at] = start_times(take, random, 1, NS)
    played = _of_events(take, lambda c: c["ts_event"] + np.where(c["ts_recv"] >= at, shift, 0))
    size = 1000 * shift / NS
    played.truths = [Truth(checks=("clock",), start=at, end=take.of.end, size=size)]
    return played


def zone(take: Take, random: Random) -> Played | None:
    """The vendor's times are in another zone."""
    if not list(delays(take)):
        return None
    quarters = int(random.integers(1, 57)) * int(random.choice((-1, 1)))
    played = _of_events(take, lambda c: c["ts_event"] - quarters * HOUR // 4)
    size = abs(quarters) / 4
    played.truths = [Truth(checks=("clock",), start=take.of.start, end=take.of.end, size=size)]
    return played


def frozen(take: Take, random: Random) -> Played | None:
    """A symbol's quotes came on, but said the same, while others moved."""
    if "quote" not in take.columns or len(take.columns["quote"].symbols) < 2:
        return None
    symbol = str(random.choice(take.columns["quote"].symbols))
    longest = min(240.0, (take.of.end - take.of.start) / NS / 2)
    length = int(log_size(random, 20.0, longest) * NS)
    [start] = start_times(take, random, 1, length + NS)
    played, quotes = as_it_was(take), take.columns["quote"]
    own = quotes["symbol"] == quotes.symbols.index(symbol)
    stamps = quotes["ts_recv"]
    inside = np.flatnonzero(own & (stamps >= start) & (stamps < start + length))
    before = np.flatnonzero(own & (stamps < start))
    if not len(before) or not len(inside):
        return None
    changed = {}
    for name in ("bid", "ask", "bid_size", "ask_size"):
        values = played.columns["quote"][name].copy()
        values[inside] = values[before[-1]]
        changed[name] = values
    played.columns["quote"] = played.columns["quote"].with_arrays(**changed)
    end = start + length
    truth = Truth(checks=("stale",), start=start, end=end, symbol=symbol, kind="quote", size=length / NS)
    played.truths = [truth]
    # Trades beside quotes that stand lie outside them, and the day's median spread is theirs: both are true.
    played.allowed = [Allowed(checks=("outlier",), start=take.of.start, end=take.of.end)]
    return played


def outlier(take: Take, random: Random) -> Played | None:
    """Single trades and quotes whose price is off by a share."""
    priced = [code for code, kind in enumerate(take.kinds) if kind in ("trade", "quote")]
    places = np.flatnonzero(np.isin(take.kind, priced))
    if len(places) < 10 * ABOUT:
        return None
    played = as_it_was(take)
    some = np.sort(random.choice(places[100:-100], ABOUT, replace=False))
    for kind in ("trade", "quote"):
        if kind not in take.columns:
            continue
        own = some[take.kind[some] == take.kinds.index(kind)]
        rows = take.row[own]
        columns = played.columns[kind]
        names = ("price",) if kind == "trade" else ("bid", "ask")
        share = log_sizes(random, 0.0002, 0.05, len(own)) * random.choice((-1, 1), len(own))
        changed = {}
        grain = np.zeros(len(columns.symbols))
        for code in range(len(columns.symbols)):
            prices = columns[names[0]][columns["symbol"] == code]
            grain[code] = float(f"{least_move(prices) or 1e-9:.6g}")
        tick = grain[columns["symbol"][rows]]  # exact, so that no finer grain comes in
        for name in names:
            values = columns[name].copy()
            values[rows] = np.round(np.round(values[rows] * (1 + share) / tick) * tick, 9)
            changed[name] = values
        played.columns[kind] = columns.with_arrays(**changed)
        for i, size in zip(own.tolist(), np.abs(share).tolist(), strict=True):
            at = int(take.ts[i])
            truth = Truth(
                checks=("outlier",), start=at, end=at, symbol=take.symbol_of(i), kind=kind, size=100 * size
            )
            played.truths.append(truth)
    return played


def _of_events(take: Take, moved: Callable[[Columns], Array]) -> Played:
    played = as_it_was(take)
    for kind, columns in played.columns.items():
        events = np.where(columns["ts_event"] != 0, moved(columns), 0)
        played.columns[kind] = columns.with_arrays(ts_event=events)
    return played


def _without_chains(take: Take) -> Take:
    """The same tape of a vendor that has no sequences."""
    bare = {
        kind: columns.with_arrays(**{name: np.zeros(len(columns), np.int64) for name in ("seq", "prev")})
        for kind, columns in take.columns.items()
    }
    return replace(take, columns=bare)
