"""Binance spot: `trade`, `bookTicker` → quote, `depthUpdate` → book.

A book change covers the updates `U` to `u`, so the one before it ended at `U - 1`. The best quote has
neither an event's name nor a time.
"""

from __future__ import annotations

from typing import ClassVar

from tapedeck import native
from tapedeck.vendors import binance
from tapedeck.vendors.decoding import Id


class BookTicker(binance.BookTicker, gc=False):
    """Best bid and offer; when it was so, the venue does not say."""

    E: ClassVar[int] = 0


class DepthUpdate(binance.DepthUpdate, kw_only=True, gc=False):
    """Changes of the book from `U` to `u`."""

    U: Id

    @property
    def prev(self) -> int:
        """The update before this one, 0 where there is none."""
        return self.U and self.U - 1


vendor = binance.BinanceVendor(
    "binance_spot", "wss://stream.binance.com:9443", "BTCUSDT", BookTicker, "", DepthUpdate,
    image_path="/api/v3/depth", compiled=native.binance_spot_lines,
)  # fmt: skip
