"""The MarketData message (DESIGN §3): MsgPack arrays whose first field tells the kind.

Fields are only ever appended. Readers ignore extra trailing fields and fill missing ones with
defaults. Prices and sizes are finite float64, all integers fit int64, all times are UTC ns.
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tapedeck.errors import BadInput

Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Level = tuple[float, float]

WHOLE_FEED = "*"
KINDS = ("trade", "quote", "book", "status", "fields")
"""Long names of the kinds that are stored, one Arctic library `<vendor>.<kind>` each."""

HALT, OPEN, SEQUENCE_RESET, DISCONNECTED, CONNECTED, OTHER = 1, 2, 3, 4, 5, 0


class Trade(Struct, array_like=True, frozen=True, gc=False, tag="t"):
    """One trade. `side` is +1 buyer aggressor, -1 seller, 0 unknown."""

    symbol: str
    ts_event: Int
    ts_recv: Int
    seq: Int
    prev: Int
    src: Int
    price: float
    size: float
    side: Int = 0


class Quote(Struct, array_like=True, frozen=True, gc=False, tag="q"):
    """Best bid and offer with their sizes."""

    symbol: str
    ts_event: Int
    ts_recv: Int
    seq: Int
    prev: Int
    src: Int
    bid: float
    ask: float
    bid_size: float = 0.0
    ask_size: float = 0.0


class Book(Struct, array_like=True, frozen=True, gc=False, tag="b"):
    """One vendor update of the book. `snapshot` 1 = whole image, 0 = change; levels are (price, size)."""

    symbol: str
    ts_event: Int
    ts_recv: Int
    seq: Int
    prev: Int
    src: Int
    snapshot: Int = 0
    bids: list[Level] = []
    asks: list[Level] = []


class Status(Struct, array_like=True, frozen=True, gc=False, tag="s"):
    """`code`: 1 halt, 2 open, 3 sequence reset, 4 disconnected, 5 connected, 0 other."""

    symbol: str
    ts_event: Int
    ts_recv: Int
    seq: Int
    prev: Int
    src: Int
    code: Int = 0
    text: str = ""


class Fields(Struct, array_like=True, frozen=True, gc=False, tag="f"):
    """A sparse field update: {name: number}, names `[A-Za-z][A-Za-z0-9_]{0,63}`."""

    symbol: str
    ts_event: Int
    ts_recv: Int
    seq: Int
    prev: Int
    src: Int
    fields: dict[Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9_]{0,63}$")], float] = {}


class Heartbeat(Struct, array_like=True, frozen=True, gc=False, tag="h"):
    """Control record, symbol "*", every second, every partition: "published through here".

    `since` is the taper's first stamp in this life, `sent` the distinct messages that the tape has
    yielded for the partition since then. `closing` 1 = the collector ends here. `connected` 1 = the bus was
    connected then. In the backfill topic one heartbeat says that its source answers for [since, ts_recv].
    """

    symbol: str
    ts_event: Int
    ts_recv: Int
    seq: Int
    prev: Int
    src: Int
    since: Int = 0
    sent: Int = 0
    closing: Int = 0
    connected: Int = 1


class Void(Struct, array_like=True, frozen=True, gc=False, tag="v"):
    """Control record: messages of this src and symbol (or "*") in [ts_recv, end) are no data.

    It speaks of live topics, and of this backfill partition below offset `before`.
    """

    symbol: str
    ts_event: Int
    ts_recv: Int
    seq: Int
    prev: Int
    src: Int
    end: Int
    before: Int = 0
    reason: str = ""


Message = Trade | Quote | Book | Status | Fields | Heartbeat | Void
KIND_OF: dict[type[Struct], str] = {
    Trade: "trade", Quote: "quote", Book: "book", Status: "status", Fields: "fields",
    Heartbeat: "heartbeat", Void: "void",
}  # fmt: skip
TAG_OF = {kind: str(struct.__struct_config__.tag) for struct, kind in KIND_OF.items()}
"""What a message of each kind begins with."""


def check_symbol(symbol: str) -> str:
    """The symbol itself. Raises BadInput unless it is 1 to 64 printable characters."""
    if not 1 <= len(symbol) <= 64 or not symbol.isprintable():
        raise BadInput(
            f"the symbol {symbol[:80]!r} is not 1 to 64 printable characters: "
            "write it as the vendor does, for example BTCUSDT"
        )
    return symbol


def check_kinds(kinds: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The kinds themselves. Raises BadInput for one that is not known, listing those that are."""
    for kind in kinds:
        if kind not in KINDS:
            raise BadInput(f"there is no kind {kind!r}: the kinds are {', '.join(KINDS)}")
    return tuple(kinds)


def breach(message: Message) -> str | None:
    """Why a message breaks the contract of DESIGN §3, or None where it keeps it.

    Types and integer ranges are the structs' own; this adds what a type can't say.
    """
    if not 1 <= len(message.symbol) <= 64 or not message.symbol.isprintable():
        return "symbol is not 1 to 64 printable characters"
    if message.ts_recv <= 0 or message.ts_event < 0 or message.src <= 0:
        return "time or source is not positive"
    if isinstance(message, Trade):
        numbers = message.price * 0.0 + message.size * 0.0  # 0 or NaN, never an overflow
        if message.side not in (-1, 0, 1):
            return "side is not -1, 0 or 1"
    elif isinstance(message, Quote):
        numbers = message.bid * 0.0 + message.ask * 0.0 + message.bid_size * 0.0 + message.ask_size * 0.0
    elif isinstance(message, Book):
        numbers = sum(p * 0.0 + s * 0.0 for p, s in (*message.bids, *message.asks))
        if message.snapshot not in (0, 1):
            return "snapshot is not 0 or 1"
    elif isinstance(message, Fields):
        numbers = sum(v * 0.0 for v in message.fields.values())
    else:
        return None
    return None if math.isfinite(numbers) else "a price or size is not finite"


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """MsgPack bytes of one message, the value of its Kafka record."""
    return _encoder.encode(message)


def decode(value: bytes) -> Message:
    """The typed message of one Kafka record's value.

    Raises msgspec.DecodeError (or its ValidationError) on anything that is not a message.
    """
    return _decoder.decode(value)
