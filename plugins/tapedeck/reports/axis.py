"""The bins of time that a page's plots have: at most 240, of a round length, over where data is."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from tapedeck.columns import Array
from tapedeck.slices import NS, Slice

MOST = 240
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 360)
"""Seconds; 360 for a whole day."""


class Axis(Struct, frozen=True):
    """`bins` bins of `step` ns from `start` (ns, UTC) on."""

    start: int
    step: int
    bins: int

    @property
    def end(self) -> int:
        """The instant after the last bin."""
        return self.start + self.step * self.bins

    def bin_of(self, times: Array) -> Array:
        """The bin of each instant; what lies outside goes to the nearest."""
        out: Array = np.clip((times - self.start) // self.step, 0, self.bins - 1)
        return out

    def place(self, time: int) -> float:
        """Where an instant lies, in bins, within the axis."""
        return min(max((time - self.start) / self.step, 0.0), float(self.bins))

    def time(self, i: int) -> int:
        """When a bin begins."""
        return self.start + i * self.step


def axis(of: Slice) -> Axis:
    """The axis of a slice of at most a day; it begins and ends on a whole step."""
    seconds = max(1, -(-(of.end - of.start) // NS))
    step = next((s for s in STEPS if seconds / s <= MOST), STEPS[-1]) * NS
    start = of.start // step * step
    return Axis(start, step, max(1, -(-(of.end - start) // step)))
