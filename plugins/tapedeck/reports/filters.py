"""The published filters that label ticks as outliers. They label; nothing is ever deleted.

BNHLS: Barndorff-Nielsen, Hansen, Lunde and Shephard, "Realized kernels in practice: trades and quotes",
Econometrics Journal 12(3), 2009, C1-C32, section 3.1: rules P2, T4, Q2, Q3 and Q4.
BG: Brownlees and Gallo, "Financial econometric analysis at ultra-high frequency: data handling concerns",
Computational Statistics & Data Analysis 51(4), 2006, 2232-2245, equation (1).

All are columnar. Where a rule asks for neighbours before and after, the first and last ticks use the nearest
whole neighbourhood; with fewer than LEAST neighbours nothing is labelled.
"""

from __future__ import annotations

import numpy as np

from tapedeck.columns import Array

LEAST = 10
"""Neighbours without which no tick is an outlier."""
CHUNK = 16_384
"""So many neighbourhoods are laid out at once."""


def far_mids(
    mid: Array,
    first: int = 0,
    last: int | None = None,
    *,
    half: int = 25,
    limit: float = 10.0,
    granularity: float = 0.0,
    jumps_survive: bool = False,
) -> Array:
    """BNHLS Q4: mids further than `limit` mean absolute deviations from the median of the `half` before and
    the `half` after, without itself. A mask for `mid[first:last]`.

    `granularity`: what is nearer than this is never labelled (0: as published). `jumps_survive`: the
    nearest of that median and those of the 2 × `half` before or after counts, so a true jump is not labelled.
    """
    last = len(mid) if last is None else last
    out = np.zeros(max(0, last - first), np.bool_)
    width = min(2 * half + 1, len(mid))
    if width <= LEAST or not len(out):
        return out
    at = np.arange(first, last)
    base = np.clip(at - half, 0, len(mid) - width)
    suspects = at[_may_be_far(mid, at, base, width, limit, granularity)]
    for some in np.array_split(suspects, max(1, -(-len(suspects) // CHUNK))):
        others = _others(mid, some, np.clip(some - half, 0, len(mid) - width), width)
        median = np.median(others, axis=1)
        spread = np.abs(others - median[:, None]).mean(axis=1)
        far = np.abs(mid[some] - median)
        if jumps_survive and len(some):
            span = min(2 * half, len(mid) - 1)
            for begin in (some - span, some + 1):
                whole = (begin >= 0) & (begin + span <= len(mid))
                there = np.lib.stride_tricks.sliding_window_view(mid, span)[begin[whole]]
                far[whole] = np.minimum(far[whole], np.abs(mid[some[whole]] - np.median(there, axis=1)))
        out[some - first] = far > np.maximum(limit * spread, granularity)
    return out


def far_prices(
    price: Array,
    first: int = 0,
    last: int | None = None,
    *,
    k: int = 60,
    trim: float = 0.1,
    granularity: float = 0.0,
) -> Array:
    """BG: prices that do not hold |p - mean| < 3 sd + `granularity`, mean and sd of the `k` neighbours
    without the share `trim` of the most extreme, half at each end. A mask for `price[first:last]`."""
    last = len(price) if last is None else last
    out = np.zeros(max(0, last - first), np.bool_)
    width = min(k + 1, len(price))
    if width <= LEAST or not len(out):
        return out
    at = np.arange(first, last)
    base = np.clip(at - k // 2, 0, len(price) - width)
    low, high = _extremes(price, width)
    reach = np.maximum(high[base] - price[at], price[at] - low[base])
    suspects = at[reach >= granularity]
    cut = int((width - 1) * trim / 2)
    for some in np.array_split(suspects, max(1, -(-len(suspects) // CHUNK))):
        others = _others(price, some, np.clip(some - k // 2, 0, len(price) - width), width)
        kept = np.sort(others, axis=1)[:, cut : width - 1 - cut]
        mean, sd = kept.mean(axis=1), kept.std(axis=1, ddof=1)
        tiny = 1e-12 * np.abs(mean)  # sums of equal numbers are equal to rounding only
        out[some - first] = np.abs(price[some] - mean) > np.maximum(3 * sd + granularity, tiny)
    return out


def outside_quotes(price: Array, bid: Array, ask: Array, spread: Array) -> Array:
    """BNHLS T4: trades above ask + spread, or below bid - spread. NaN labels nothing."""
    with np.errstate(invalid="ignore"):
        out: Array = (price > ask + spread) | (price < bid - spread)
    return out


def _others(x: Array, at: Array, base: Array, width: int) -> Array:
    """The neighbourhoods of `width` from `base`, each without its own tick; shape (len(at), width - 1)."""
    index = base[:, None] + np.arange(width - 1)[None, :]
    index += index >= at[:, None]
    others: Array = x[index]
    return others


def _may_be_far(x: Array, at: Array, base: Array, width: int, limit: float, granularity: float) -> Array:
    """No far tick is missed, and few others are named; costs a few passes instead of a median per tick.

    With n others of variance v, range r and mean m: |x - median| <= |x - m| + sqrt(v), and their mean
    absolute deviation is at least v / r.
    """
    low, high = _extremes(x, width)
    low, high, own = low[base], high[base], x[at]
    reach = np.maximum(high - own, own - low)
    centred = x - x[len(x) // 2]
    sums = np.concatenate(([0.0], np.cumsum(centred)))
    squares = np.concatenate(([0.0], np.cumsum(centred * centred)))
    n = width - 1
    mean = (sums[base + width] - sums[base] - centred[at]) / n
    power = (squares[base + width] - squares[base] - centred[at] ** 2) / n
    variance = np.maximum(power - mean * mean, 0.0)
    far = np.abs(centred[at] - mean) + np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.where(high > low, variance / (high - low), 0.0)
    sure = (variance > 1e-6 * power) & (far <= 0.99 * limit * least)
    out: Array = (reach > granularity) & ~sure
    return out


def _extremes(x: Array, width: int) -> tuple[Array, Array]:
    """Least and greatest of every `width` neighbours, in log2(width) passes."""
    low, high, span = x, x, 1
    while span * 2 <= width:
        low, high = np.minimum(low[:-span], low[span:]), np.maximum(high[:-span], high[span:])
        span *= 2
    if span < width:
        rest = width - span
        low, high = np.minimum(low[:-rest], low[rest:]), np.maximum(high[:-rest], high[rest:])
    return low, high
