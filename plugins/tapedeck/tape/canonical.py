"""The tape's usual lines to records in one compiled call, for vendors that have a reader for theirs.

It lays out the same records as `Lines` and stops at the first line that it does not know, which `Lines` then
reads by itself: one of the taper's own, in base64, refused, or written in another way than the venue does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tapedeck import native
from tapedeck.packed import Array, Packed
from tapedeck.tape.lines import Lines

SHORTEST_LINE = 64
"""Bytes. Records of a chunk are reckoned by it; where lines are shorter, more calls read them."""


class Batch(NamedTuple):
    """Records in order: lanes (int32), values, keys, CreateTime in ms. Valid until the next `read`."""

    lanes: Array
    values: Packed
    keys: Packed
    times_ms: Array


class Canonical:
    """Reads chunks with a vendor's `compiled` reader. It uses the same memory again and again."""

    def __init__(self, reader: Callable[..., Any], lines: Lines, src: int, limit: int) -> None:
        """`limit`: the most bytes of a value in the live topic."""
        self._reader, self._lines, self._src, self._limit = reader, lines, src, limit
        self._partitions = lines.quarantine
        self._mine = np.array(lines.mine, np.uint8)
        self._sent = np.zeros(len(lines.mine), np.int64)
        self._found = np.zeros(2, np.int64)
        self._room = 0

    def read(self, data: bytes, begin: int, limit: int) -> tuple[int, Batch]:
        """The records of `data`'s lines from offset `begin` on, and where the first begins that must be read
        by itself; `limit`: UTC ns that a line's stamp must not pass. Counts and stamp of `Lines` move on.

        Only while no lane is being passed over.
        """
        if len(data) > self._room:
            self._make_room(len(data))
        lines, sent, found, at = self._lines, self._sent, self._found, native.at
        sent[:] = 0
        end = self._reader(
            data, begin, len(data), limit, self._src, self._partitions, at(self._mine), self._limit,
            len(self._times), *self._addresses, at(sent), at(found),
        )  # fmt: skip
        count = int(found[0])
        if end > begin:
            lines.stamp = int(found[1])
            for lane in np.flatnonzero(sent).tolist():
                lines.sent[lane] += int(sent[lane])
        return end, Batch(
            self._lanes[:count],
            Packed(self._values, self._value_bounds[: count + 1]),
            Packed(self._keys, self._key_bounds[: count + 1]),
            self._times[:count],
        )

    def _make_room(self, size: int) -> None:
        most = size // SHORTEST_LINE + 1
        self._room = size
        self._lanes, self._times = np.empty(most, np.int32), np.empty(most, np.int64)
        self._values, self._value_bounds = np.empty(2 * size + 256, np.uint8), np.empty(most + 1, np.int64)
        self._keys, self._key_bounds = np.empty(size, np.uint8), np.empty(most + 1, np.int64)
        self._addresses = [
            native.at(array)
            for array in (
                self._lanes, self._values, self._value_bounds, self._keys, self._key_bounds, self._times
            )
        ]  # fmt: skip
