"""Binance spot: `trade`, `bookTicker` → quote, `depthUpdate` → book.

A book change covers the updates `U` to `u`, so the one before it ended at `U - 1`. The best quote has
neither an event's name nor a time.
"""

from __future__ import annotations

from msgspec import Struct

from tapedeck.message import Book, Quote
from tapedeck.vendors.binance import NS_OF_MS, BinanceVendor, Id, Levels, Millis, Number, TradeEvent, trade


class BookTicker(Struct, gc=False):
    """Best bid and offer, without a time."""

    s: str
    u: Id
    b: Number
    B: Number
    a: Number
    A: Number


class DepthUpdate(Struct, gc=False):
    """Changes of the book from `U` to `u`."""

    e: str
    E: Millis
    s: str
    U: Id
    u: Id
    b: Levels
    a: Levels


def quote(data: BookTicker, symbol: str, recv_ns: int, src: int) -> Quote:
    """The best bid and offer; when it was so, the venue does not say."""
    return Quote(symbol, 0, recv_ns, data.u, 0, src, data.b, data.a, data.B, data.A)


def book(data: DepthUpdate, symbol: str, recv_ns: int, src: int) -> Book:
    """One change of the book, chained by `U - 1`."""
    first = data.U
    return Book(symbol, data.E * NS_OF_MS, recv_ns, data.u, first and first - 1, src, 0, data.b, data.a)


vendor = BinanceVendor(
    name="binance_spot",
    host="wss://stream.binance.com:9443",
    events={
        "trade": (TradeEvent, "trade", trade),
        "bookTicker": (BookTicker, "", quote),
        "depth": (DepthUpdate, "depthUpdate", book),
    },
)
