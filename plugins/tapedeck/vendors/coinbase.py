"""Coinbase Exchange: `match` → trade, `ticker` → quote, `snapshot` and `l2update` → book.

Formats: https://docs.cdp.coinbase.com/exchange/websocket-feed/channels. Trade ids count up by one in a
product. `sequence` counts what happens in a product on all channels together, so on one channel it leaps:
a quote's seq, chained to nothing. Level 2 has no sequence. Times have up to nine digits; the year 1, which
the venue writes now and then, is none. On subscribing the venue repeats the last trade as `last_match`.
`level2_batch` is `level2` every 50 ms, for which it asks no key; it answers it as `level2_50`.

Checked field by field against those pages and against frames that others recorded of the feed in 2021, 2022
and August 2026 (crypto-msg-parser's and tardis-node's among them; tardis-node's mapper names the year 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from tapedeck.message import Book, Quote, Trade
from tapedeck.vendors import tagged
from tapedeck.vendors.decoding import Id, Levels, Number, NumberOrNone, Side, nanoseconds

CHANNELS = ("matches", "ticker", "level2_batch", "heartbeat")


class Said(Struct, tag_field="type", gc=False):
    """What all that is read has."""

    product_id: str


class Match(Said, tag="match", gc=False):
    """A trade. `side` is the maker's: where it sold, the aggressor bought."""

    trade_id: Id
    side: Side
    price: Number
    size: Number
    time: str

    def message(self, recv_ns: int, src: int) -> Trade:
        """The trade, chained by its id."""
        seq, event, side = self.trade_id, nanoseconds(self.time), 1 if self.side == "sell" else -1
        prev = seq and seq - 1
        return Trade(self.product_id, event, recv_ns, seq, prev, src, self.price, self.size, side)


class Ticker(Said, tag="ticker", kw_only=True, gc=False):
    """Best bid and offer after one trade or several at once; a side that is empty is 0 at 0."""

    sequence: Id
    best_bid: NumberOrNone
    best_ask: NumberOrNone
    best_bid_size: NumberOrNone = None
    best_ask_size: NumberOrNone = None
    time: str = ""

    def message(self, recv_ns: int, src: int) -> Quote:
        """The best bid and offer."""
        return Quote(
            self.product_id, nanoseconds(self.time), recv_ns, self.sequence, 0, src,
            self.best_bid or 0.0, self.best_ask or 0.0, self.best_bid_size or 0.0, self.best_ask_size or 0.0,
        )  # fmt: skip


class Snapshot(Said, tag="snapshot", gc=False):
    """The whole image of a book."""

    bids: Levels
    asks: Levels
    time: str = ""

    def message(self, recv_ns: int, src: int) -> Book:
        """The image."""
        return Book(self.product_id, nanoseconds(self.time), recv_ns, 0, 0, src, 1, self.bids, self.asks)


class Update(Said, tag="l2update", gc=False):
    """Changes of a book; a size of 0 takes the level out."""

    changes: list[tuple[Side, Number, Number]]
    time: str = ""

    def message(self, recv_ns: int, src: int) -> Book:
        """One change of the book."""
        bids = [(price, size) for side, price, size in self.changes if side == "buy"]
        asks = [(price, size) for side, price, size in self.changes if side == "sell"]
        return Book(self.product_id, nanoseconds(self.time), recv_ns, 0, 0, src, 0, bids, asks)


class Top(Struct, gc=False):
    """What a payload says of itself."""

    product_id: str = ""
    type: str = ""

    @property
    def word(self) -> str:
        """Its type."""
        return self.type


class CoinbaseVendor(tagged.TaggedVendor):
    """Coinbase Exchange as a `Vendor`."""

    def websocket_opening(self, symbols: Sequence[str], url: str) -> list[str]:
        """See `Vendor.websocket_opening`."""
        asked = {"type": "subscribe", "product_ids": list(symbols), "channels": CHANNELS}
        return [msgspec.json.encode(asked).decode()]


vendor = CoinbaseVendor(
    "coinbase", Match | Ticker | Snapshot | Update, Top,
    chatter={"subscriptions", "heartbeat", "last_match", "status"},
    url="wss://ws-feed.exchange.coinbase.com", example="BTC-USD",
)  # fmt: skip
