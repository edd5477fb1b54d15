"""The tick size that prices show, and which prices lie off it. Pure.

No vendor of ours sends it with its ticks, so it is inferred: the coarsest of 1, 2, 2.5 and 5 × 10^n of which
all but a few prices are multiples.
"""

from __future__ import annotations

import numpy as np

from tapedeck.columns import Array

STEPS = np.array([m * 10.0**n for n in range(-9, 4) for m in (1.0, 2.0, 2.5, 5.0)])
LEAST = 20
"""Different prices without which nothing is inferred."""
EXACT = 2**31
"""Multiples up to which a float64 price tells a multiple from its neighbour."""


class Grain:
    """Prices as they come: for each candidate step, how many lie off it, and the first that did."""

    __slots__ = ("first", "off", "prices", "seen")

    def __init__(self) -> None:
        self.prices = 0
        self.off: Array = np.zeros(len(STEPS), np.int64)
        self.first: Array = np.full(len(STEPS), np.nan)
        self.seen: set[float] = set()

    def add(self, prices: Array) -> None:
        """Positive, finite prices."""
        values, counts = np.unique(prices, return_counts=True)
        self.prices += len(prices)
        if len(self.seen) < LEAST:
            self.seen.update(values[:LEAST].tolist())
        multiples = values[None, :] / STEPS[:, None]
        off = (np.abs(multiples - np.rint(multiples)) > 1e-4) & (multiples < EXACT)
        fresh = off.any(axis=1) & np.isnan(self.first)
        self.first[fresh] = values[off[fresh].argmax(axis=1)]
        self.off += (off * counts[None, :]).sum(axis=1)

    def inferred(self, share: float) -> tuple[float, int, float] | None:
        """The tick size, how many prices lie off it, and one of them (NaN: none does); None where too few
        different prices came. `share`: how many may."""
        if len(self.seen) < LEAST:
            return None
        fits = np.flatnonzero(self.off <= share * self.prices)
        if not len(fits):
            return None
        best = int(fits[np.argmax(STEPS[fits])])
        return float(f"{STEPS[best]:.12g}"), int(self.off[best]), float(self.first[best])


def least_move(prices: Array) -> float:
    """The least difference between prices, 0 where there is none."""
    steps = np.diff(np.unique(prices))
    steps = steps[steps > 1e-9 * np.abs(prices).max()] if len(steps) else steps
    return float(steps.min()) if len(steps) else 0.0
