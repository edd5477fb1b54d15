"""What Binance's markets share: envelopes of combined streams, trades, quotes, books, snapshots, refusals.

Formats: developers.binance.com, "WebSocket Market Streams" of spot and of USD-M and COIN-M futures. The
book's streams carry changes alone; they begin with the answer to a REST depth request, taped as
`{"stream":"btcusdt@snapshot","data":{"lastUpdateId":…,"bids":[…],"asks":[…]}}`: the request's symbol in
small letters, the answer as it came. It is asked for when the stream of changes has begun, and again where
it is older than the stream's first change ("How to manage a local order book correctly").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote_plus, urlsplit

import msgspec
from msgspec import Raw, Struct

from tapedeck import native
from tapedeck.buses.bus import Image
from tapedeck.errors import BadInput
from tapedeck.message import Book, Int, Message, Quote, Trade
from tapedeck.vendors.decoding import BROKEN, ERROR, NS_OF_MS, Id, Levels, Millis, Number, sound, why
from tapedeck.vendors.vendor import Chatter, Normalised, Refusal, Vendor, some

MAX_STREAMS = 1024
"""What one connection may carry, spot and futures (COIN-M: 200)."""

IMAGE_LEVELS = 1000
"""Levels of a side that an image is asked for: what all markets give, at a weight of 20 (spot: 50)."""

REST_HOSTS = {
    "stream.binance.com": "https://api.binance.com",
    "data-stream.binance.vision": "https://data-api.binance.vision",
    "fstream.binance.com": "https://fapi.binance.com",
    "dstream.binance.com": "https://dapi.binance.com",
}
"""Who answers over HTTP for a host of streams; any other host answers for itself."""

_HEAD = b'{"stream":"'
_DEPTH = re.compile(r"depth(@\d{1,5}ms)?")
_MAX_ROUTES = 100_000

Build = Callable[[Any, str, int, int], Message]
"""(decoded data, symbol, recv_ns, src) → message."""


class TradeEvent(Struct, gc=False):
    """`trade` of all markets. `m`: the buyer is the maker, so the seller was the aggressor."""

    e: str
    E: Millis
    s: str
    t: Id
    p: Number
    q: Number
    m: bool


class BookTicker(Struct, gc=False):
    """Best bid and offer. Its `u` rises and is not chained; when it was so, `E`, only futures say."""

    s: str
    u: Id
    b: Number
    B: Number
    a: Number
    A: Number


class DepthUpdate(Struct, gc=False):
    """Changes of the book up to update `u`; each market says in its own way which update was before."""

    e: str
    E: Millis
    s: str
    u: Id
    b: Levels
    a: Levels


class FuturesTicker(BookTicker, kw_only=True, gc=False):
    """`bookTicker` of the futures."""

    e: str
    E: Millis


class FuturesDepth(DepthUpdate, kw_only=True, gc=False):
    """`depthUpdate` of the futures. `pu` is the `u` of the update before."""

    pu: Int

    @property
    def prev(self) -> int:
        """The update before this one, 0 where there is none."""
        return self.pu if self.pu > 0 else 0


class Snapshot(Struct, gc=False):
    """Answer to a REST depth request. Only COIN-M's names its symbol; only futures say when (`E`)."""

    lastUpdateId: Id
    bids: Levels
    asks: Levels
    E: Millis = 0
    symbol: str = ""


class Top(Struct, gc=False):
    """What any payload may begin with; what is absent is empty."""

    stream: str = ""
    lastUpdateId: Raw = Raw()
    result: Raw = Raw()
    id: Raw = Raw()
    error: Raw = Raw()
    code: Raw = Raw()


class Envelope(Struct, gc=False):
    """A combined stream's envelope, its data not looked at."""

    data: Raw


class Route(NamedTuple):
    """How messages of one stream are read: decoder of the envelope, its event, builder, symbol."""

    decode: Callable[[bytes], Any]
    event: str
    build: Build
    symbol: str


def trade(data: TradeEvent, symbol: str, recv_ns: int, src: int) -> Trade:
    """A trade; ids count up by one, so the one before is `t - 1`."""
    seq = data.t
    side = -1 if data.m else 1
    return Trade(symbol, data.E * NS_OF_MS, recv_ns, seq, seq and seq - 1, src, data.p, data.q, side)


def quote(data: Any, symbol: str, recv_ns: int, src: int) -> Quote:
    """The best bid and offer: a `BookTicker` with the `E` of its market."""
    return Quote(symbol, data.E * NS_OF_MS, recv_ns, data.u, 0, src, data.b, data.a, data.B, data.A)


def book(data: Any, symbol: str, recv_ns: int, src: int) -> Book:
    """One change of the book: a `DepthUpdate` with the `prev` of its market."""
    return Book(symbol, data.E * NS_OF_MS, recv_ns, data.u, data.prev, src, 0, data.b, data.a)


def snapshot(data: Snapshot, symbol: str, recv_ns: int, src: int) -> Book:
    """The whole image of a book."""
    event = data.E * NS_OF_MS
    return Book(symbol, event, recv_ns, data.lastUpdateId, 0, src, 1, data.bids, data.asks)


class BinanceVendor(Vendor):
    """One Binance market as a `Vendor`: its streams are trade, bookTicker and depth.

    `ticker` and `depth` are the types of their data; an `e` of a ticker must be `ticker_event`.
    """

    def __init__(
        self,
        name: str,
        host: str,
        example: str,
        ticker: type[Struct] = FuturesTicker,
        ticker_event: str = "bookTicker",
        depth: type[Struct] = FuturesDepth,
        max_streams: int = MAX_STREAMS,
        image_path: str = "/fapi/v1/depth",
        compiled: Callable[..., Any] = native.binance_futures_lines,
    ) -> None:
        self.name, self.compiled = name, compiled
        self._image_path, self._depth = image_path, _envelope(depth)
        self._host, self._example, self._max_streams = host, example, max_streams
        self._events: dict[str, tuple[Callable[[bytes], Any], str, Build]] = {
            "trade": (_envelope(TradeEvent), "trade", trade),
            "bookTicker": (_envelope(ticker), ticker_event, quote),
            "depth": (_envelope(depth), "depthUpdate", book),
        }
        self._routes: dict[bytes, Route] = {}

    def normalise(self, payload: bytes, recv_ns: int, src: int, symbol: str | None = None) -> Normalised:
        """See `Vendor.normalise`. A Binance payload says one thing, so k is always 0."""
        route = self._routes.get(payload[11 : payload.find(b'"', 11)])
        if route is None or not payload.startswith(_HEAD):
            return [self._first_seen(payload, recv_ns, src, symbol)]
        try:
            data = route.decode(payload).data
        except BROKEN as e:
            return [Refusal(why(e))]
        if data.s != route.symbol:  # another's, or written otherwise: as if nothing had come before
            return [self._first_seen(payload, recv_ns, src, symbol)]
        if route.event and data.e != route.event:
            return [Refusal("the stream names another event than its data")]
        return [route.build(data, route.symbol, recv_ns, src)]

    def stream_of(self, payload: bytes) -> str:
        """See `Vendor.stream_of`."""
        if payload.startswith(_HEAD):
            return payload[11 : payload.find(b'"', 11)].decode("utf-8", "replace")
        try:
            return _top(payload).stream
        except BROKEN:
            return ""

    def websocket_url(self, symbols: Sequence[str], host: str = "") -> str:
        """See `Vendor.websocket_url`. Trades, best quotes and the book's changes of each symbol."""
        some(symbols, self.name, self._example)
        streams = [f"{s.lower()}@{kind}" for s in symbols for kind in ("trade", "bookTicker", "depth@100ms")]
        if len(streams) > self._max_streams:
            raise BadInput(
                f"{len(symbols)} symbols of {self.name} are {len(streams)} streams and one connection "
                f"carries {self._max_streams}: give at most {self._max_streams // 3} symbols to a collector"
            )
        return f"{(host or self._host).rstrip('/')}/stream?streams={'/'.join(streams)}"

    def websocket_images(self, symbols: Sequence[str], url: str) -> list[Image]:
        """See `Vendor.websocket_images`: one for each stream of changes that the URL names."""
        parts = urlsplit(url)
        rest = REST_HOSTS.get(parts.hostname or "")
        if rest is None:
            scheme, host = parts.scheme.replace("ws", "http"), parts.netloc.rpartition("@")[2]
            rest = f"{scheme}://{host}"
        found = []
        for stream in "/".join(parse_qs(parts.query).get("streams", [])).split("/"):
            named, _, kind = stream.partition("@")
            if _DEPTH.fullmatch(kind):
                asked = f"{rest}{self._image_path}?symbol={quote_plus(named.upper())}&limit={IMAGE_LEVELS}"
                head = b'{"stream":"%b@snapshot","data":' % named.encode()
                found.append(Image(stream, asked, head, b"}"))
        return found

    def image_reaches(self, answer: bytes, first: bytes) -> bool:
        """See `Vendor.image_reaches`: the gap rule (DESIGN §3) of the first change after an image."""
        try:
            image = _snapshot(answer)
            return not first or self._depth(first).data.prev <= image.lastUpdateId
        except BROKEN:
            return False

    def _first_seen(
        self, payload: bytes, recv_ns: int, src: int, symbol: str | None
    ) -> Message | Refusal | Chatter:
        """All that is not a canonical envelope of a stream seen before."""
        try:
            top = _top(payload)
            if top.stream:
                return self._of_stream(top.stream, payload, recv_ns, src)
            if top.lastUpdateId:
                image = _snapshot(payload)
                if not (image.symbol or symbol):
                    return Refusal("snapshot names no symbol; load it with --symbol")
                return sound(snapshot(image, image.symbol or symbol or "", recv_ns, src))
        except BROKEN as e:
            return Refusal(why(e))
        if top.result and top.id:
            return Chatter("answer")
        if top.error or top.code:
            return Refusal(ERROR)
        return Refusal("payload is neither a stream's message nor a snapshot")

    def _of_stream(self, stream: str, payload: bytes, recv_ns: int, src: int) -> Message | Refusal:
        named, _, kind = stream.partition("@")
        if kind == "snapshot":
            image = _snapshot(_raw_envelope(payload).data)
            if image.symbol and image.symbol.lower() != named:
                return Refusal("the stream names another symbol than its data")
            return sound(snapshot(image, image.symbol or named.upper(), recv_ns, src))
        event = self._events.get("depth" if _DEPTH.fullmatch(kind) else kind)
        if event is None:
            return Refusal("no such stream: only trade, bookTicker and depth are read")
        decode, e, build = event
        data = decode(payload).data
        if data.s.lower() != named:
            return Refusal("the stream names another symbol than its data")
        if e and data.e != e:
            return Refusal("the stream names another event than its data")
        made = sound(build(data, data.s, recv_ns, src))
        if len(self._routes) < _MAX_ROUTES:
            self._routes[stream.encode()] = Route(decode, e, build, data.s)
        return made


def _envelope(data: type[Struct]) -> Callable[[bytes], Any]:
    envelope = msgspec.defstruct("Envelope", [("data", data)], gc=False)
    return msgspec.json.Decoder(envelope, strict=False).decode


_top = msgspec.json.Decoder(Top, strict=False).decode
_raw_envelope = msgspec.json.Decoder(Envelope).decode
_snapshot = msgspec.json.Decoder(Snapshot, strict=False).decode
