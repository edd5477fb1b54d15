"""What happens in a synthetic market, as columns, before a vendor's words are put on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

TRADE, QUOTE, BOOK = 0, 1, 2

Ints = npt.NDArray[np.int64]

PRICE_UNITS = 10_000
"""Prices are integers of 1/10,000."""
SIZE_UNITS = 1_000
"""Sizes are integers of 1/1,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """A chunk of n events in time order. `levels`, `offsets` and `sizes` have a row a book change.

    `seq` and `prev` are the vendor's ids: a trade's own, else the symbol's update id, and for a book
    change the id that the one before it ended at. `levels[i]` says how many bids and asks change;
    the j-th lies `offsets[i, side, j]` ticks from the best price and has `sizes[i, side, j]` (0: gone).
    """

    recv_ns: Ints
    symbol: Ints
    kind: Ints
    seq: Ints
    prev: Ints
    bid: Ints
    ask: Ints
    bid_size: Ints
    ask_size: Ints
    buyer: npt.NDArray[np.bool_]
    tick: Ints
    levels: Ints
    offsets: Ints
    sizes: Ints


class Format(Protocol):
    """Writes events as a vendor's bus would send them."""

    def __init__(self, symbols: Sequence[str]) -> None: ...

    def payloads(self, events: Events) -> list[bytes]:
        """One payload an event, in order."""
