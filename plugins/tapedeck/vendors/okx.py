"""OKX v5: `trades`, `bbo-tbt` and `tickers` → quote, `books` and its tick-by-tick kin → book.

Formats: https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel and the
channels beside it. Numbers are strings, times ms. One push may say several things.

- A trade is what one order took at one price: `count` trades, numbered up to `tradeId`.
- A book's update names the one before it (`prevSeqId`); numbers leap. Where nothing changed for a minute
  the venue says so with an update of no levels whose `seqId` is the last one again. After maintenance
  `seqId` may be below `prevSeqId`: the count began anew, which a status tells before the update.
- `books5` is not read: its images of five levels would stand between those of the whole book.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tapedeck.message import SEQUENCE_RESET, Book, Int, Quote, Status, Trade
from tapedeck.vendors.decoding import NS_OF_MS, Id, Millis, Number, NumberOrNone, Side, Unsound
from tapedeck.vendors.pushed import Push, PushVendor
from tapedeck.vendors.vendor import Normalised, some

CHANNELS = ("trades", "bbo-tbt", "books")
RESET = "seqId is below prevSeqId: the venue counts anew"


class Trades(Struct, gc=False):
    """Trades of one order at one price. `side` is the taker's."""

    instId: str
    tradeId: Id
    px: Number
    sz: Number
    side: Side
    ts: Millis
    count: Id = 1

    def messages(self, push: Push[Any], recv_ns: int, src: int) -> Normalised:
        """One trade, chained to the last one of the push before."""
        seq, side, symbol = self.tradeId, 1 if self.side == "buy" else -1, push.symbol(self.instId)
        prev = max(seq - self.count, 0) if self.count else 0
        return [Trade(symbol, self.ts * NS_OF_MS, recv_ns, seq, prev, src, self.px, self.sz, side)]


class Ticker(Struct, gc=False):
    """Best bid and offer among the day's figures; a side that is empty is 0 at 0."""

    instId: str
    bidPx: NumberOrNone
    askPx: NumberOrNone
    bidSz: NumberOrNone
    askSz: NumberOrNone
    ts: Millis

    def messages(self, push: Push[Any], recv_ns: int, src: int) -> Normalised:
        """One quote."""
        symbol, event, bid, ask = push.symbol(self.instId), self.ts * NS_OF_MS, self.bidPx, self.askPx
        sizes = self.bidSz or 0.0, self.askSz or 0.0
        return [Quote(symbol, event, recv_ns, 0, 0, src, bid or 0.0, ask or 0.0, *sizes)]


class Level(Struct, array_like=True, gc=False):
    """Price, size, and two numbers that are not kept: a deprecated one and that of the orders."""

    price: Number
    size: Number


class Best(Struct, gc=False):
    """Best bid and offer, each time whole; a side that is empty is 0 at 0."""

    asks: list[Level]
    bids: list[Level]
    ts: Millis
    seqId: Id = 0

    def messages(self, push: Push[Any], recv_ns: int, src: int) -> Normalised:
        """One quote."""
        symbol, event, seq = push.arg.instId, self.ts * NS_OF_MS, self.seqId
        bid, ask = (side[0] if side else Level(0.0, 0.0) for side in (self.bids, self.asks))
        return [Quote(symbol, event, recv_ns, seq, 0, src, bid.price, ask.price, bid.size, ask.size)]


class Depth(Best, gc=False):
    """The whole image of a book, or its changes; a size of 0 takes a level out."""

    prevSeqId: Int = -1

    def messages(self, push: Push[Any], recv_ns: int, src: int) -> Normalised:
        """The book, after a status where the count began anew."""
        if push.action not in ("snapshot", "update"):
            raise Unsound("the action is neither snapshot nor update")
        whole, symbol, event = push.action == "snapshot", push.arg.instId, self.ts * NS_OF_MS
        bids, asks = ([(level.price, level.size) for level in side] for side in (self.bids, self.asks))
        prev = 0 if whole else max(self.prevSeqId, 0)
        if self.seqId >= prev:
            return [Book(symbol, event, recv_ns, self.seqId, prev, src, int(whole), bids, asks)]
        return [
            Status(symbol, event, recv_ns, 0, 0, src, SEQUENCE_RESET, RESET),
            Book(symbol, event, recv_ns + 1, self.seqId, prev, src, 0, bids, asks),
        ]


class OkxVendor(PushVendor):
    """OKX as a `Vendor`."""

    websocket_ping = "ping"

    def websocket_url(self, symbols: Sequence[str], host: str = "") -> str:
        """See `Vendor.websocket_url`."""
        some(symbols, self.name, "BTC-USDT")
        return f"{host.rstrip('/') or 'wss://ws.okx.com:8443'}/ws/v5/public"

    def websocket_opening(self, symbols: Sequence[str], url: str) -> list[str]:
        """See `Vendor.websocket_opening`. A request may be 64 KB long."""
        return self.subscribe(symbols, CHANNELS)


vendor = OkxVendor(
    "okx",
    {"trades": Trades, "tickers": Ticker, "bbo-tbt": Best}
    | dict.fromkeys(("books", "books-l2-tbt", "books50-l2-tbt"), Depth),
    chatter={"subscribe", "unsubscribe", "notice", "login", "channel-conn-count"},
)
