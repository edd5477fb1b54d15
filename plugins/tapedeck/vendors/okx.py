"""OKX v5: `trades`, `bbo-tbt` and `tickers` → quote, `books` and its tick-by-tick kin → book.

Formats: https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel and the
channels beside it. Numbers are strings, times ms. One push may say several things.

- A trade is what one order took at one price: `count` trades, numbered up to `tradeId`.
- A book's update names the one before it (`prevSeqId`); numbers leap. Where nothing changed for a minute
  the venue says so with an update of no levels whose `seqId` is the last one again. After maintenance
  `seqId` may be below `prevSeqId`: the count began anew, which a status tells before the update.
- A book begins with an image. The venue has announced (February 2026) that it will push none and answer
  it over HTTP instead: where a stream begins without one, it is asked for.
- `books5` is not read: its images of five levels would stand between those of the whole book. `checksum` is
  0 since June 2026, and was never needed beside the chain.

Checked field by field against those pages and their changelog, and against frames that others recorded of
the feed until September 2026 (nautilus_trader's, tickvault's and ccxt's among them).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote_plus, urlsplit

import msgspec
from msgspec import Struct

from tapedeck.buses.bus import Image
from tapedeck.message import SEQUENCE_RESET, Book, Int, Quote, Status, Trade
from tapedeck.vendors.decoding import BROKEN, NS_OF_MS, Id, Millis, Number, NumberOrNone, Side, Unsound
from tapedeck.vendors.pushed import Push, PushVendor
from tapedeck.vendors.vendor import Normalised, some

CHANNELS = ("trades", "bbo-tbt", "books")
IMAGE_LEVELS = 400
"""As many as `books` has on a side."""
REST_HOSTS = {"ws.okx.com": "https://www.okx.com", "wsaws.okx.com": "https://aws.okx.com"}
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
    instId: str = ""

    def messages(self, push: Push[Any], recv_ns: int, src: int) -> Normalised:
        """One quote."""
        symbol, event, seq = push.symbol(self.instId or push.arg.instId), self.ts * NS_OF_MS, self.seqId
        bid, ask = (side[0] if side else Level(0.0, 0.0) for side in (self.bids, self.asks))
        return [Quote(symbol, event, recv_ns, seq, 0, src, bid.price, ask.price, bid.size, ask.size)]


class Depth(Best, gc=False):
    """The whole image of a book, or its changes; a size of 0 takes a level out."""

    prevSeqId: Int = -1

    def messages(self, push: Push[Any], recv_ns: int, src: int) -> Normalised:
        """The book, after a status where the count began anew."""
        if push.action not in ("snapshot", "update"):
            raise Unsound("the action is neither snapshot nor update")
        symbol, event = push.symbol(self.instId or push.arg.instId), self.ts * NS_OF_MS
        whole = push.action == "snapshot"
        bids, asks = ([(level.price, level.size) for level in side] for side in (self.bids, self.asks))
        prev = 0 if whole else max(self.prevSeqId, 0)
        if self.seqId >= prev:
            return [Book(symbol, event, recv_ns, self.seqId, prev, src, int(whole), bids, asks)]
        return [
            Status(symbol, event, recv_ns, 0, 0, src, SEQUENCE_RESET, RESET),
            Book(symbol, event, recv_ns + 1, self.seqId, prev, src, 0, bids, asks),
        ]


class Answer(Struct, gc=False):
    """What the venue answers over HTTP: one book, or an error with a code."""

    code: str
    data: list[Best]

    def messages(self, push: Push[Any], recv_ns: int, src: int) -> Normalised:
        """The image of the book that was asked for."""
        if self.code != "0" or len(self.data) != 1:
            raise Unsound("the answer is no image of a book")
        [book] = self.data
        bids, asks = ([(level.price, level.size) for level in side] for side in (book.bids, book.asks))
        return [Book(push.arg.instId, book.ts * NS_OF_MS, recv_ns, book.seqId, 0, src, 1, bids, asks)]


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

    def websocket_images(self, symbols: Sequence[str], url: str) -> list[Image]:
        """See `Vendor.websocket_images`: for books that begin without one."""
        parts = urlsplit(url)
        scheme, host = parts.scheme.replace("ws", "http"), parts.netloc.rpartition("@")[2]
        rest = REST_HOSTS.get(parts.hostname or "", f"{scheme}://{host}")
        return [
            Image(
                f"books {symbol}",
                f"{rest}/api/v5/market/books?instId={quote_plus(symbol)}&sz={IMAGE_LEVELS}",
                b'{"arg":{"channel":"%b","instId":%b},"data":[' % (IMAGE, msgspec.json.encode(symbol)),
                b"]}",
            )
            for symbol in symbols
        ]  # fmt: skip

    def image_wanted(self, first: bytes) -> bool:
        """See `Vendor.image_wanted`."""
        try:
            return _depth(first).action != "snapshot"
        except BROKEN:
            return True

    def image_reaches(self, answer: bytes, first: bytes) -> bool:
        """See `Vendor.image_reaches`: the gap rule (DESIGN §3) of the first change after an image."""
        try:
            image = _answer(answer)
            if image.code != "0" or len(image.data) != 1:
                return False
            return not first or _depth(first).data[0].prevSeqId <= image.data[0].seqId
        except (*BROKEN, IndexError):
            return False


IMAGE = b"books over HTTP"
_depth = msgspec.json.Decoder(Push[Depth], strict=False).decode
_answer = msgspec.json.Decoder(Answer, strict=False).decode
vendor = OkxVendor(
    "okx",
    {"trades": Trades, "tickers": Ticker, "bbo-tbt": Best, IMAGE.decode(): Answer}
    | dict.fromkeys(("books", "books-l2-tbt", "books50-l2-tbt"), Depth),
    chatter={"subscribe", "unsubscribe", "notice", "login", "channel-conn-count"},
)
