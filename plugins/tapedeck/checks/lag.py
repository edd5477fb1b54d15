"""How far one clock lies behind another, told by the market itself: correlation of returns over lags. Pure.

Two feeds of one instrument move together at exactly one lag: on real FX data 0.992 at a whole zone error and
0.04 beside it (facts: X1). First over all lags on a grid of a second, then to 10 ms where most happened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapedeck.columns import Array
from tapedeck.slices import NS

COARSE, FINE = NS, NS // 100
FARTHEST = 14 * 3600 * NS
"""Zones lie no further apart."""
NEAR = 3 * NS
STRETCH = 1200 * NS
"""The fine look takes so long a stretch, the one in which the price moved most."""
LEAST = 100
"""So many seconds of overlap are needed, and a tenth of the shorter series: chance fits a short piece."""


@dataclass(frozen=True, slots=True)
class Lag:
    """The other's stamps lie `ns` after this one's. `correlation` is that of one-second returns at the lag,
    `beside` the greatest at lags that are more than three seconds away."""

    ns: int
    correlation: float
    beside: float


def lag(stamps: Array, prices: Array, other_stamps: Array, other_prices: Array) -> Lag | None:
    """Where two price series of one instrument fit, stamps in ns and sorted; None where they do nowhere.

    Finds lags up to FARTHEST, as far as the series then still share LEAST seconds.
    """
    if min(len(stamps), len(other_stamps)) < 2:
        return None
    start = int(min(stamps[0], other_stamps[0])) // COARSE * COARSE
    end = int(max(stamps[-1], other_stamps[-1]))
    grid = np.arange(start, end + COARSE, COARSE)
    one, other = (
        np.diff(_sampled(*series, grid)) for series in ((stamps, prices), (other_stamps, other_prices))
    )
    shorter = min(int(t[-1] - t[0]) for t in (stamps, other_stamps)) // COARSE
    scores = _correlations(one, other, min(FARTHEST // COARSE, len(one) - 1), max(LEAST, shorter // 10))
    if not np.isfinite(scores).any():
        return None
    best = int(np.nanargmax(scores))
    coarse = (best - len(scores) // 2) * COARSE
    away = np.abs(np.arange(len(scores)) - best) > NEAR // COARSE
    beside = float(np.nanmax(np.where(away, scores, np.nan))) if np.isfinite(scores[away]).any() else 0.0
    fine, score = _fine(stamps, prices, other_stamps, other_prices, coarse)
    return Lag(fine, max(score, float(scores[best])), beside)


def _sampled(stamps: Array, prices: Array, grid: Array) -> Array:
    """The logarithm of the last price at each time; before the first, the first."""
    place = np.clip(np.searchsorted(stamps, grid, "right") - 1, 0, None)
    logs: Array = np.log(prices)[place]
    return logs


def _correlations(one: Array, other: Array, farthest: int, least: int) -> Array:
    """Of `one[t]` with `other[t + lag]` for lags -farthest … farthest; NaN where too little moves."""
    n = len(one)
    size = 1 << (2 * n - 1).bit_length()
    transform = np.conj(np.fft.rfft(one, size))
    cross = np.fft.irfft(transform * np.fft.rfft(other, size), size)
    lags = np.arange(-farthest, farthest + 1)
    powers = [np.concatenate(([0.0], np.cumsum(series * series))) for series in (one, other)]
    first, last = np.maximum(0, -lags), np.minimum(n, n - lags)
    own = powers[0][last] - powers[0][first]
    its = powers[1][last + lags] - powers[1][first + lags]
    whole = np.sqrt(powers[0][-1] * powers[1][-1])
    enough = (last - first >= least) & (own * its > (0.01 * whole) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.where(enough, cross[lags] / np.sqrt(own * its), np.nan)
    return found


def _fine(
    stamps: Array, prices: Array, other_stamps: Array, other_prices: Array, coarse: int
) -> tuple[int, float]:
    """The lag to 10 ms near a coarse one, and the correlation of one-second returns there."""
    start = max(int(stamps[0]), int(other_stamps[0]) - coarse) + NEAR + NS
    end = min(int(stamps[-1]), int(other_stamps[-1]) - coarse) - NEAR
    if end - start < 10 * NS:
        return coarse, 0.0
    if end - start > STRETCH:
        begins = np.arange(start, end - STRETCH + 1, STRETCH)
        logs = np.log(prices)
        moved = [
            float(np.abs(np.diff(logs[slice(*np.searchsorted(stamps, (b, b + STRETCH)))])).sum())
            for b in begins.tolist()
        ]
        start = int(begins[int(np.argmax(moved))])
        end = start + STRETCH
    step = NS // FINE
    own = _sampled(stamps, prices, np.arange(start, end, FINE))
    reach = NEAR // 2 // FINE
    wide = np.arange(start + coarse - reach * FINE, end + coarse + reach * FINE, FINE)
    its = _sampled(other_stamps, other_prices, wide)
    own, its = own[step:] - own[:-step], its[step:] - its[:-step]
    scores = []
    for k in range(2 * reach + 1):
        part = its[k : k + len(own)]
        power = float(np.dot(part, part))
        short = own[: len(part)]
        power *= float(np.dot(short, short))
        scores.append(float(np.dot(short, part)) / np.sqrt(power) if power > 0 else -np.inf)
    best = max(scores)
    if not best > 0:
        return coarse, 0.0
    # the peak is as wide as a return is long: its middle is surer than its tip
    weights = np.clip(np.array(scores) - 0.7 * best, 0, None)
    middle = float(np.dot(weights, np.arange(len(weights))) / weights.sum())
    return coarse + round(middle - reach) * FINE, best
