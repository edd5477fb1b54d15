"""Vendors of the same instrument against each other, by what Arctic holds (facts: X1)."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from tapedeck.checks import findings
from tapedeck.checks.findings import WHOLE, Finding, identity
from tapedeck.checks.lag import COARSE, lag
from tapedeck.columns import Array
from tapedeck.errors import BadInput
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store import library
from tapedeck.store.read import read

CHECK = "cross"
WRONG = NS // 4
"""Venues lead and follow each other by less than this; more is a clock."""
SURE, TIMES = 0.3, 2.0
"""A lag is believed where the correlation is at least SURE, and TIMES what it is elsewhere. (Recorded futures
and spot of one coin, five minutes: 0.90 and 0.31; chance alone gives nearly equal ones.)"""
MINUTE = 60 * NS
BUSY = 10
"""A minute in which one has so many ticks and the other none is counted."""
HOUR = 3600 * NS


class Pair(Struct, frozen=True, kw_only=True):
    """Two vendors of one instrument. `lag_ns`: the second's stamps lie so long after the first's; None where
    the returns fit nowhere. Differences of price are taken after the lag, in basis points."""

    vendors: tuple[str, str]
    symbols: tuple[str, str]
    ticks: tuple[int, int]
    lag_ns: int | None
    correlation: float
    beside: float
    median_bp: float | None
    p99_bp: float | None
    alone_minutes: tuple[int, int]
    """Minutes in which only the first, and only the second, had ticks."""

    @property
    def wrong(self) -> bool:
        """Whether one of the clocks, or a zone, is wrong."""
        return self.lag_ns is not None and abs(self.lag_ns) > WRONG

    @property
    def said(self) -> str:
        """For a person."""
        names = [f"{v} {s}" for v, s in zip(self.vendors, self.symbols, strict=True)]
        head = f"{names[0]} ({self.ticks[0]:,} ticks) and {names[1]} ({self.ticks[1]:,})"
        if self.lag_ns is None:
            return f"{head}: their returns fit at no lag (correlation {self.correlation:.3f})"
        shift = f"{self.vendors[1]}'s stamps lie {self.lag_ns / NS:+.2f} s after {self.vendors[0]}'s"
        bp = (
            ""
            if self.median_bp is None
            else f", prices differ by {self.median_bp:.2f} bp (p99 {self.p99_bp:.2f})"
        )
        alone = f", minutes alone {self.alone_minutes[0]} and {self.alone_minutes[1]}"
        return f"{head}: {shift} (correlation {self.correlation:.3f}, beside {self.beside:.3f}){bp}{alone}"

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        ratio = self.ticks[0] / self.ticks[1] if self.ticks[1] else None
        return {**found, "wrong": self.wrong, "count_ratio": ratio}


def cross(settings: Settings, instrument: str, of: Slice, run: str = "cross") -> list[Pair]:
    """Every pair of vendors of an instrument in a slice; a wrong clock or zone is kept as a finding of the
    pair's first vendor. Raises BadInput for an instrument that settings do not know, Unavailable."""
    if instrument not in settings.instruments:
        known = ", ".join(sorted(settings.instruments)) or "none"
        raise BadInput(
            f"there is no instrument {instrument!r} in the settings: known are {known}; add a table "
            f"[instruments.{instrument}] with a symbol for each vendor"
        )
    called = settings.instruments[instrument]
    series = {vendor: _prices(settings, vendor, symbol, of) for vendor, symbol in called.items()}
    pairs = [
        compare((a, b), (called[a], called[b]), series[a], series[b])
        for a, b in combinations(sorted(called), 2)
    ]
    for vendor in sorted(called):
        own = [_finding(instrument, one, of) for one in pairs if one.wrong and one.vendors[0] == vendor]
        findings.record(settings, vendor, (CHECK,), of, own, run)
    return pairs


def compare(
    vendors: tuple[str, str], symbols: tuple[str, str], one: tuple[Array, Array], other: tuple[Array, Array]
) -> Pair:
    """Two series of (stamps in ns, prices), each in order of time; pure."""
    found = lag(*one, *other)
    sure = found is not None and found.correlation >= max(SURE, TIMES * found.beside)
    shift = int(found.ns) if found is not None and sure else None
    median = p99 = None
    alone = (0, 0)
    if shift is not None:
        stamps = other[0] - shift
        start, end = max(one[0][0], stamps[0]), min(one[0][-1], stamps[-1])
        grid = np.arange(start, end, COARSE)
        if len(grid):
            prices = [
                p[np.searchsorted(t, grid, "right") - 1] for t, p in ((one[0], one[1]), (stamps, other[1]))
            ]
            bp = np.abs(prices[1] / prices[0] - 1) * 1e4
            median, p99 = float(np.median(bp)), float(np.quantile(bp, 0.99))
        alone = _alone(one[0], stamps, int(start), int(end))
    return Pair(
        vendors=vendors, symbols=symbols, ticks=(len(one[0]), len(other[0])), lag_ns=shift,
        correlation=float(found.correlation) if found else 0.0,
        beside=float(found.beside) if found else 0.0,
        median_bp=median, p99_bp=p99, alone_minutes=alone,
    )  # fmt: skip


def _alone(one: Array, other: Array, start: int, end: int) -> tuple[int, int]:
    edges = np.arange(start, end + 1, MINUTE)
    if len(edges) < 2:
        return 0, 0
    counts = [np.histogram(t, edges)[0] for t in (one, other)]
    return (
        int(((counts[0] >= BUSY) & (counts[1] == 0)).sum()),
        int(((counts[1] >= BUSY) & (counts[0] == 0)).sum()),
    )


def _prices(settings: Settings, vendor: str, symbol: str, of: Slice) -> tuple[Array, Array]:
    """Mids where the vendor has quotes, else prices of trades; none where nothing ever came of the symbol."""
    for kind, names in (("quote", ["bid", "ask"]), ("trade", ["price"])):
        if symbol not in library.symbols_of(settings, f"{vendor}.{kind}"):
            continue
        frame = read(f"{vendor}.{kind}", symbol, of.start, of.end, names, tail=False, settings=settings)
        if len(frame):
            stamps = frame.index.asi8  # ns, UTC
            prices = frame[names].to_numpy(np.float64).mean(axis=1)
            good = (frame[names].to_numpy(np.float64) > 0).all(axis=1)
            return stamps[good], prices[good]
    return np.zeros(0, np.int64), np.zeros(0)


def _finding(instrument: str, one: Pair, of: Slice) -> Finding:
    assert one.lag_ns is not None  # noqa: S101
    zone = round(one.lag_ns / (HOUR / 4)) * HOUR // 4
    why = one.said
    if zone and abs(one.lag_ns - zone) < 60 * NS:
        rest = (one.lag_ns - zone) / NS
        why = f"a time zone is wrong by {zone / HOUR:+g} h, and a clock by {rest:+.2f} s: {why}"
    return Finding(
        id=identity(CHECK, one.vendors[0], instrument, one.vendors[1], of.start // HOUR), check=CHECK,
        reason="collector", vendor=one.vendors[0], symbol=one.symbols[0], kind=WHOLE, start=of.start,
        end=of.end, at=of.start, messages=0, severity="warn",
        evidence={
            "instrument": instrument, "other": one.vendors[1], "lag_seconds": one.lag_ns / NS,
            "zone_hours": zone / HOUR if abs(one.lag_ns - zone) < 60 * NS else 0.0,
            "correlation": round(one.correlation, 4), "from": format_time(of.start), "why": why,
        },
    )  # fmt: skip
