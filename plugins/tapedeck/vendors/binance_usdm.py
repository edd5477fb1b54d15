"""Binance USD-M futures: `trade`, `bookTicker` → quote, `depthUpdate` → book.

A book change names the last update before it (`pu`); a best quote's `u` rises but is not chained.
"""

from __future__ import annotations

from msgspec import Struct

from tapedeck.message import Book, Int, Quote
from tapedeck.vendors.binance import NS_OF_MS, BinanceVendor, Id, Levels, Millis, Number, TradeEvent, trade


class BookTicker(Struct, gc=False):
    """Best bid and offer; `E` is the time of the event."""

    e: str
    E: Millis
    s: str
    u: Id
    b: Number
    B: Number
    a: Number
    A: Number


class DepthUpdate(Struct, gc=False):
    """Changes of the book from `U` to `u`; `pu` is the `u` of the update before."""

    e: str
    E: Millis
    s: str
    u: Id
    pu: Int
    b: Levels
    a: Levels


def quote(data: BookTicker, symbol: str, recv_ns: int, src: int) -> Quote:
    """The best bid and offer."""
    return Quote(symbol, data.E * NS_OF_MS, recv_ns, data.u, 0, src, data.b, data.a, data.B, data.A)


def book(data: DepthUpdate, symbol: str, recv_ns: int, src: int) -> Book:
    """One change of the book, chained by `pu`."""
    prev = data.pu if data.pu > 0 else 0
    return Book(symbol, data.E * NS_OF_MS, recv_ns, data.u, prev, src, 0, data.b, data.a)


vendor = BinanceVendor(
    name="binance_usdm",
    host="wss://fstream.binance.com",
    events={
        "trade": (TradeEvent, "trade", trade),
        "bookTicker": (BookTicker, "bookTicker", quote),
        "depth": (DepthUpdate, "depthUpdate", book),
    },
)
