"""The compiled reader of trades, quotes and books: MsgPack bytes straight into columns.

It knows the shapes that `message.encode` writes and nothing else. Whatever differs (another kind, an
integer where a float is due, a field more, a number that is not finite, a symbol beyond ASCII) it
leaves alone, and `codec` has msgspec read that record instead: so there is one contract, and poison
gets msgspec's reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tapedeck import native
from tapedeck.packed import Array, Packed, pack

TRADE, QUOTE, BOOK, LEFT = 0, 1, 2, 3
"""What a record was found to be; LEFT: for msgspec."""
_LEVEL_BYTES = 19
"""A level as `message.encode` writes it: an array's head and two float64."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A batch of `n` records. Where `kind` (int8) is LEFT the other arrays mean nothing.

    `symbol` (int32) points into `symbols`; `common` is int64 of shape (5, n): ts_event, ts_recv, seq,
    prev, src; `numbers` float64 (4, n): price and size, or bid, ask and their sizes; `extra` int64
    (3, n): side, or snapshot, bids and asks. `levels`: the books' levels, (price, size) each.
    """

    kind: Array
    symbols: tuple[str, ...]
    symbol: Array
    common: Array
    numbers: Array
    extra: Array
    levels: Array


def unpack(values: Packed) -> Unpacked:
    """Read what can be read of a batch."""
    n = len(values)
    kind, symbol = np.empty(n, np.int8), np.empty(n, np.int32)
    common, extra = np.empty((5, n), np.int64), np.empty((3, n), np.int64)
    numbers = np.empty((4, n), np.float64)
    levels = np.empty((int(values.bounds[-1] - values.bounds[0]) // _LEVEL_BYTES + 1, 2), np.float64)
    table = np.full(1 << max(4, (2 * n).bit_length()), -1, np.int32)
    names, filled = np.empty((n, 2), np.int64), np.zeros(1, np.int64)
    at, data = native.at, values.data
    count = native.unpack(
        at(data), at(values.bounds), n, at(kind), at(symbol), at(common), at(numbers), at(extra), at(levels),
        at(table), len(table), at(names), at(filled),
    )  # fmt: skip
    symbols = tuple(
        data[begin : begin + length].tobytes().decode("ascii") for begin, length in names[:count].tolist()
    )
    return Unpacked(kind, symbols, symbol, common, numbers, extra, levels[: int(filled[0])])


def about(values: Packed, tag: str, symbols: Sequence[str]) -> Array:
    """Which of a batch (bool) a reader of one kind, told by its tag, and of these symbols must look at.

    All but those that are plainly of another kind, or of a symbol that is not asked for; a void, and what is
    no message, is always among them.
    """
    names, meant = pack(symbol.encode() for symbol in symbols), np.empty(len(values), np.bool_)
    at = native.at
    native.about(
        at(values.data), at(values.bounds), len(values), ord(tag), at(names.data), at(names.bounds),
        len(names), at(meant),
    )  # fmt: skip
    return meant
