"""What Binance's markets share: envelopes of combined streams, trades, snapshots, refusals.

Formats: developers.binance.com, "Web Socket Streams" of the spot and of the USD-M futures API. Lax
typed decoding parses the venue's price strings exactly; bounds on floats keep out what it lets
through ("nan", "inf"), bounds on times keep milliseconds from being something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct

from tapedeck.errors import BadInput
from tapedeck.message import Book, Message, Trade, breach
from tapedeck.vendors.vendor import Chatter, Normalised, Refusal

Number = Annotated[float, Meta(ge=-1.7e308, le=1.7e308)]
"""Finite: NaN and the infinities fall outside the bounds."""
Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Millis = Annotated[int, Meta(ge=0, le=(2**63 - 1) // 1_000_000)]
Levels = list[tuple[Number, Number]]

NS_OF_MS = 1_000_000
MAX_STREAMS = 1024
"""What one connection may carry, both markets."""

_HEAD = b'{"stream":"'
_DEPTH = re.compile(r"depth(@\d{1,5}ms)?")
_MAX_ROUTES = 100_000
_BROKEN = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)

Build = Callable[[Any, str, int, int], Message]
"""(decoded data, symbol, recv_ns, src) → message."""


class TradeEvent(Struct, gc=False):
    """`trade` of both markets. `m`: the buyer is the maker, so the seller was the aggressor."""

    e: str
    E: Millis
    s: str
    t: Id
    p: Number
    q: Number
    m: bool


class Snapshot(Struct, gc=False):
    """Answer to a REST depth request. It names no symbol; only futures say when (`E`)."""

    lastUpdateId: Id
    bids: Levels
    asks: Levels
    E: Millis = 0


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


def snapshot(data: Snapshot, symbol: str, recv_ns: int, src: int) -> Book:
    """The whole image of a book."""
    event = data.E * NS_OF_MS
    return Book(symbol, event, recv_ns, data.lastUpdateId, 0, src, 1, data.bids, data.asks)


class BinanceVendor:
    """One Binance market as a `Vendor`.

    `events` has, for `trade`, `bookTicker` and `depth`, the type of the data, the value that its `e`
    must have (empty: the data has no `e`), and the builder of the message.
    """

    def __init__(self, name: str, host: str, events: Mapping[str, tuple[type[Struct], str, Build]]) -> None:
        self.name = name
        self._host = host
        self._events = {kind: (_envelope(data), e, build) for kind, (data, e, build) in events.items()}
        self._routes: dict[bytes, Route] = {}

    def normalise(self, payload: bytes, recv_ns: int, src: int, symbol: str | None = None) -> Normalised:
        """See `Vendor.normalise`. A Binance payload says one thing, so k is always 0."""
        route = self._routes.get(payload[11 : payload.find(b'"', 11)])
        if route is None or not payload.startswith(_HEAD):
            return [self._first_seen(payload, recv_ns, src, symbol)]
        try:
            data = route.decode(payload).data
        except _BROKEN as e:
            return [Refusal(_why(e))]
        if data.s != route.symbol:
            return [Refusal("the stream names another symbol than its data")]
        if route.event and data.e != route.event:
            return [Refusal("the stream names another event than its data")]
        return [route.build(data, route.symbol, recv_ns, src)]

    def stream_of(self, payload: bytes) -> str:
        """See `Vendor.stream_of`."""
        if payload.startswith(_HEAD):
            return payload[11 : payload.find(b'"', 11)].decode("utf-8", "replace")
        try:
            return _top(payload).stream
        except _BROKEN:
            return ""

    def websocket_url(self, symbols: Sequence[str], host: str = "") -> str:
        """See `Vendor.websocket_url`. Trades, best quotes and the book's changes of each symbol."""
        if not symbols:
            raise BadInput(
                f"no symbols are set for {self.name}, so there is nothing to subscribe to: "
                f'set symbols in [vendors.{self.name}], for example ["BTCUSDT"]'
            )
        streams = [f"{s.lower()}@{kind}" for s in symbols for kind in ("trade", "bookTicker", "depth@100ms")]
        if len(streams) > MAX_STREAMS:
            raise BadInput(
                f"{len(symbols)} symbols of {self.name} are {len(streams)} streams and one connection "
                f"carries {MAX_STREAMS}: give at most {MAX_STREAMS // 3} symbols to a collector"
            )
        return f"{(host or self._host).rstrip('/')}/stream?streams={'/'.join(streams)}"

    def _first_seen(
        self, payload: bytes, recv_ns: int, src: int, symbol: str | None
    ) -> Message | Refusal | Chatter:
        """All that is not a canonical envelope of a stream seen before."""
        try:
            top = _top(payload)
            if top.stream:
                return self._of_stream(top.stream, payload, recv_ns, src)
            if top.lastUpdateId:
                if symbol is None:
                    return Refusal("snapshot names no symbol; load it with --symbol")
                return _kept(snapshot(_snapshot(payload), symbol, recv_ns, src))
        except _BROKEN as e:
            return Refusal(_why(e))
        if top.result and top.id:
            return Chatter("answer")
        if top.error or top.code:
            return Refusal("the venue answered with an error")
        return Refusal("payload is neither a stream's message nor a snapshot")

    def _of_stream(self, stream: str, payload: bytes, recv_ns: int, src: int) -> Message | Refusal:
        named, _, kind = stream.partition("@")
        if kind == "snapshot":
            image = _snapshot(_raw_envelope(payload).data)
            return _kept(snapshot(image, named.upper(), recv_ns, src))
        event = self._events.get("depth" if _DEPTH.fullmatch(kind) else kind)
        if event is None:
            return Refusal("no such stream: only trade, bookTicker and depth are read")
        decode, e, build = event
        data = decode(payload).data
        if data.s.lower() != named:
            return Refusal("the stream names another symbol than its data")
        if e and data.e != e:
            return Refusal("the stream names another event than its data")
        made = _kept(build(data, data.s, recv_ns, src))
        if not isinstance(made, Refusal) and len(self._routes) < _MAX_ROUTES:
            self._routes[stream.encode()] = Route(decode, e, build, data.s)
        return made


def _envelope(data: type[Struct]) -> Callable[[bytes], Any]:
    envelope = msgspec.defstruct("Envelope", [("data", data)], gc=False)
    return msgspec.json.Decoder(envelope, strict=False).decode


def _kept(message: Message) -> Message | Refusal:
    reason = breach(message)
    return Refusal(reason) if reason else message


def _why(error: Exception) -> str:
    """A reason that never quotes the payload."""
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        return "a price or size is not finite" if "e+308" in text else f"payload is not as documented: {text}"
    if isinstance(error, UnicodeDecodeError):
        return "payload is not UTF-8"
    if isinstance(error, RecursionError):
        return "payload is nested too deeply"
    return "payload is not JSON"


_top = msgspec.json.Decoder(Top, strict=False).decode
_raw_envelope = msgspec.json.Decoder(Envelope).decode
_snapshot = msgspec.json.Decoder(Snapshot, strict=False).decode
