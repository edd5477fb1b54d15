"""Kraken Futures: `trade`, `ticker` and `ticker_lite` → quote, `book_snapshot` and `book` → book.

Formats: https://docs.kraken.com/api/docs/futures-api/websocket/book and …/trade, …/ticker, …/ticker_lite.
Numbers are JSON numbers, times ms. A `book` payload changes one level, and `seq` counts its product's
changes up by one from the snapshot's; trades have a count of their own. Both begin anew with the venue's
engine. `ticker_lite` has neither sizes nor a time. On subscribing the venue repeats the last hundred
trades as `trade_snapshot`, the newest first.

Checked field by field against those pages and against frames that others recorded of the feed in 2021, 2023
and August and September 2026 (nautilus_trader's and cryptofeed's among them). What tardis-node's recordings
since 2019 also hold is read: books without a time, and quantities below 0, which take a level out.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from tapedeck.message import Book, Quote, Trade
from tapedeck.vendors import tagged
from tapedeck.vendors.decoding import NS_OF_MS, Id, Millis, Number, NumberOrNone, Side

FEEDS = ("trade", "ticker", "book")


class Said(Struct, tag_field="feed", gc=False):
    """What all that is read has."""

    product_id: str


class Match(Said, tag="trade", gc=False):
    """A trade: a fill, a liquidation, a termination or a block. `side` is the taker's."""

    side: Side
    time: Millis
    qty: Number
    price: Number
    seq: Id = 0

    def message(self, recv_ns: int, src: int) -> Trade:
        """The trade, chained by its count."""
        seq, event, side = self.seq, self.time * NS_OF_MS, 1 if self.side == "buy" else -1
        prev = seq and seq - 1
        return Trade(self.product_id, event, recv_ns, seq, prev, src, self.price, self.qty, side)


class TickerLite(Said, tag="ticker_lite", kw_only=True, gc=False):
    """Best bid and offer, without sizes and time; a side that is empty is 0 at 0."""

    bid: NumberOrNone = None
    ask: NumberOrNone = None

    def message(self, recv_ns: int, src: int) -> Quote:
        """The best bid and offer."""
        return Quote(self.product_id, 0, recv_ns, 0, 0, src, self.bid or 0.0, self.ask or 0.0)


class Ticker(TickerLite, tag="ticker", kw_only=True, gc=False):
    """Best bid and offer with their sizes."""

    time: Millis = 0
    bid_size: NumberOrNone = None
    ask_size: NumberOrNone = None

    def message(self, recv_ns: int, src: int) -> Quote:
        """The best bid and offer."""
        return Quote(
            self.product_id, self.time * NS_OF_MS, recv_ns, 0, 0, src,
            self.bid or 0.0, self.ask or 0.0, self.bid_size or 0.0, self.ask_size or 0.0,
        )  # fmt: skip


class Level(Struct, gc=False):
    """One level of a snapshot."""

    price: Number
    qty: Number


class Snapshot(Said, tag="book_snapshot", gc=False):
    """The whole image of a book."""

    bids: list[Level]
    asks: list[Level]
    seq: Id = 0
    timestamp: Millis = 0

    def message(self, recv_ns: int, src: int) -> Book:
        """The image."""
        bids, asks = (
            [(level.price, max(level.qty, 0.0)) for level in side] for side in (self.bids, self.asks)
        )
        return Book(self.product_id, self.timestamp * NS_OF_MS, recv_ns, self.seq, 0, src, 1, bids, asks)


class Change(Said, tag="book", gc=False):
    """A change of one level of a book; a quantity of 0 takes it out."""

    side: Side
    price: Number
    qty: Number
    seq: Id = 0
    timestamp: Millis = 0

    def message(self, recv_ns: int, src: int) -> Book:
        """The change, chained by its count."""
        seq, event, level = self.seq, self.timestamp * NS_OF_MS, [(self.price, max(self.qty, 0.0))]
        bids, asks = (level, []) if self.side == "buy" else ([], level)
        return Book(self.product_id, event, recv_ns, seq, seq and seq - 1, src, 0, bids, asks)


class Top(Struct, gc=False):
    """What a payload says of itself: an answer has an `event`, and names the feed that it is about."""

    product_id: str = ""
    event: str = ""
    feed: str = ""

    @property
    def word(self) -> str:
        """Its event, which the documents write "subscribed " too, else its feed."""
        return self.event.strip() or self.feed


class KrakenFuturesVendor(tagged.TaggedVendor):
    """Kraken Futures as a `Vendor`."""

    def websocket_opening(self, symbols: Sequence[str], url: str) -> list[str]:
        """See `Vendor.websocket_opening`. The feed of heartbeats shows that a quiet connection lives."""
        asked = [{"event": "subscribe", "feed": feed, "product_ids": list(symbols)} for feed in FEEDS]
        asked.append({"event": "subscribe", "feed": "heartbeat"})
        return [msgspec.json.encode(one).decode() for one in asked]


vendor = KrakenFuturesVendor(
    "kraken_futures", Match | Ticker | TickerLite | Snapshot | Change, Top,
    chatter={"info", "subscribed", "unsubscribed", "heartbeat", "pong", "trade_snapshot"},
    url="wss://futures.kraken.com/ws/v1", example="PF_XBTUSD",
)  # fmt: skip
