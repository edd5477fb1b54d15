"""Many byte strings in one array: how hot paths hold records' keys and values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapedeck import native

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Packed:
    """`n` byte strings, end to end in `data` (uint8). String i is `data[bounds[i] : bounds[i + 1]]`.

    `bounds` is int64 of shape (n + 1,) and need not begin at 0. `null` (bool, shape (n,)) marks those that
    are no string at all, as a record without a key has; None where there is no such.
    """

    data: Array
    bounds: Array
    null: Array | None = None

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, i: int) -> bytes:
        """String i; b"" for one that is null."""
        whole: bytes = self.data[self.bounds[i] : self.bounds[i + 1]].tobytes()
        return whole

    def __iter__(self) -> Iterator[bytes]:
        first, last = int(self.bounds[0]), int(self.bounds[-1])
        whole, bounds = self.data[first:last].tobytes(), (self.bounds - first).tolist()
        return (whole[begin:end] for begin, end in pairwise(bounds))

    def or_none(self, i: int) -> bytes | None:
        """String i, None for one that is null."""
        return None if self.null is not None and self.null[i] else self[i]

    @property
    def lengths(self) -> Array:
        """Bytes of each, int64 of shape (n,)."""
        return np.diff(self.bounds)

    def part(self, first: int, last: int) -> Packed:
        """Strings first … last - 1, as a view of the same memory."""
        null = None if self.null is None else self.null[first:last]
        return Packed(self.data, self.bounds[first : last + 1], null)

    def take(self, index: Array) -> Packed:
        """The strings at these positions."""
        bounds = np.zeros(len(index) + 1, np.int64)
        np.cumsum(self.lengths[index], out=bounds[1:])
        data = np.empty(int(bounds[-1]), np.uint8)
        begins = self.bounds[:-1][index]
        at = native.at
        native.copy(at(self.data), at(begins), len(index), at(data), at(bounds))
        return Packed(data, bounds, None if self.null is None else self.null[index])


def pack(values: Iterable[bytes | None]) -> Packed:
    """These strings, packed."""
    whole: list[Any] = list(values)
    null = None
    if None in whole:
        null = np.array([value is None for value in whole], np.bool_)
        whole = [value or b"" for value in whole]
    bounds = np.zeros(len(whole) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, whole), np.int64, len(whole)), out=bounds[1:])
    data = np.frombuffer(bytearray(b"".join(whole)), np.uint8)  # writable: compiled code asks for that
    return Packed(data, bounds, null)


def join(parts: Sequence[Packed]) -> Packed:
    """Parts one after another."""
    if len(parts) == 1:
        return parts[0]
    whole = (part.data[part.bounds[0] : part.bounds[-1]] for part in parts)
    data = np.concatenate([np.zeros(0, np.uint8), *whole])
    bounds = np.zeros(1 + sum(map(len, parts)), np.int64)
    np.cumsum(np.concatenate([np.zeros(0, np.int64), *(part.lengths for part in parts)]), out=bounds[1:])
    null = None
    if any(part.null is not None for part in parts):
        null = np.concatenate(
            [np.zeros(len(part), np.bool_) if part.null is None else part.null for part in parts]
        )
    return Packed(data, bounds, null)
