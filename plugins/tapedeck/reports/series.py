"""A series of ticks that comes window by window, judged with the neighbours on both sides of the seams."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tapedeck.columns import Array

AROUND = 64
"""So many ticks are kept before, and held back after, what is judged."""
Judge = Callable[[Mapping[str, Array], int, int], None]
"""Called with columns and the range [first, last) of those that are to be judged now."""


class Series:
    """Columns of equal length, appended; each tick is judged once, in order."""

    __slots__ = ("_columns", "_judge", "_judged")

    def __init__(self, judge: Judge) -> None:
        self._columns: dict[str, Array] = {}
        self._judge, self._judged = judge, 0

    def add(self, columns: Mapping[str, Array]) -> None:
        """The next ticks."""
        old = self._columns
        self._columns = {n: np.concatenate((old[n], c)) if n in old else c for n, c in columns.items()}
        self._go(AROUND)

    def end(self) -> None:
        """No more will come."""
        if self._columns:
            self._go(0)

    def _go(self, back: int) -> None:
        size = len(next(iter(self._columns.values())))
        last = size - back
        if last > self._judged:
            self._judge(self._columns, self._judged, last)
            self._judged = last
        if (spare := self._judged - AROUND) > 0:
            self._columns = {name: column[spare:] for name, column in self._columns.items()}
            self._judged = AROUND
