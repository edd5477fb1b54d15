"""Quantiles of numbers that are too many to keep: counts in cells 2 % wide, which add up. Pure."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from tapedeck.columns import Array

RATIO = 1.02
"""A cell's upper bound over its lower bound: what a quantile is exact to."""
HALF = 1400
"""Cells of each sign; together they reach from 1 to 1.09e12."""
CELLS = 2 * HALF + 1


class Packed(Struct, frozen=True, kw_only=True):
    """A spread as plain data: its filled cells, row by row, as bytes of little-endian integers."""

    rows: int
    origin: float
    least: float
    greatest: float
    centred: bool
    cells: bytes
    counts: bytes


class Spread:
    """How numbers lie: count, least and greatest exactly, quantiles to 2 % of their distance from an origin.

    `rows` of them at once: one for each bin of time. `centred`: the origin is the first number, so that what
    hardly varies about a great offset, as a clock's error, is told finely; else it is 0.
    """

    __slots__ = ("cells", "centred", "greatest", "least", "origin")

    def __init__(self, rows: int = 1, *, centred: bool = False) -> None:
        self.cells: Array = np.zeros((rows, CELLS), np.int32 if rows > 1 else np.int64)
        self.least, self.greatest = np.inf, -np.inf
        self.centred, self.origin = centred, 0.0

    def add(self, values: Array, rows: Array | None = None) -> None:
        """Finite numbers, each into its row."""
        if not len(values):
            return
        if self.centred and self.least > self.greatest:
            self.origin = float(values[0])
        cell = cell_of(values - self.origin)
        if rows is None:
            self.cells[0] += np.bincount(cell, minlength=CELLS)
        else:
            np.add.at(self.cells.reshape(-1), rows * CELLS + cell, 1)
        self.least = min(self.least, float(values.min()))
        self.greatest = max(self.greatest, float(values.max()))

    def merge(self, other: Spread) -> None:
        """Take in another of as many rows. Where its origin is another one, its numbers count as the middles
        of their cells: quantiles of both together are exact to 4 %."""
        if other.least > other.greatest:
            return
        if self.centred and self.least > self.greatest:
            self.origin = other.origin
        rows, cells = np.nonzero(other.cells)
        counts = other.cells[rows, cells]
        if self.origin != other.origin:
            middles = np.clip(_middle(cells) + other.origin, other.least, other.greatest)
            cells = cell_of(middles - self.origin)
        np.add.at(self.cells, (rows, cells), counts)
        self.least, self.greatest = min(self.least, other.least), max(self.greatest, other.greatest)

    def packed(self) -> Packed:
        """As plain data; `Spread.of` makes it again."""
        filled = np.flatnonzero(self.cells)
        return Packed(
            rows=len(self.cells), origin=self.origin, least=self.least, greatest=self.greatest,
            centred=self.centred, cells=filled.astype("<i4").tobytes(),
            counts=self.cells.reshape(-1)[filled].astype("<i8").tobytes(),
        )  # fmt: skip

    @classmethod
    def of(cls, packed: Packed) -> Spread:
        """The spread that was packed."""
        made = cls(packed.rows, centred=packed.centred)
        made.origin, made.least, made.greatest = packed.origin, packed.least, packed.greatest
        made.cells.reshape(-1)[np.frombuffer(packed.cells, "<i4")] = np.frombuffer(packed.counts, "<i8")
        return made

    def __len__(self) -> int:
        return int(self.cells.sum())

    def below(self, limit: float) -> int:
        """How many lie below a limit, to a cell."""
        return int(self.cells[:, : int(cell_of(np.array([limit - self.origin]))[0])].sum())

    def above(self, limit: float) -> int:
        """How many lie above a limit, to a cell."""
        return int(self.cells[:, int(cell_of(np.array([limit - self.origin]))[0]) + 1 :].sum())

    def quantile(self, q: float) -> float:
        """Of all rows together; NaN where there is none."""
        return float(self._quantiles(self.cells.sum(axis=0, dtype=np.int64)[None, :], q)[0])

    def quantiles(self, q: float) -> Array:
        """Of each row; NaN where it has none."""
        return self._quantiles(self.cells.astype(np.int64), q)

    def _quantiles(self, cells: Array, q: float) -> Array:
        total = cells.sum(axis=1)
        rank = np.maximum(1, np.ceil(q * total))
        cell = (np.cumsum(cells, axis=1) < rank[:, None]).sum(axis=1)
        middle = _middle(cell) + self.origin
        out: Array = np.where(total > 0, np.clip(middle, self.least, self.greatest), np.nan)
        return out


def _middle(cell: Array) -> Array:
    """The middle of each cell, about an origin of 0."""
    step = np.abs(cell - HALF)
    middle: Array = np.where(step == 0, 0.0, RATIO ** (step - 0.5)) * np.sign(cell - HALF)
    return middle


def cell_of(values: Array) -> Array:
    """The cell of each number."""
    size = np.abs(values)
    with np.errstate(divide="ignore"):
        step = np.floor(np.log(size) / np.log(RATIO)) + 1
    step = np.clip(np.where(size < 1, 0, step), 0, HALF)
    cell: Array = (HALF + np.sign(values) * step).astype(np.int64)
    return cell
