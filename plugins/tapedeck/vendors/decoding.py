"""What vendors of JSON share: types that keep out what no message may hold, and reasons without quotes.

Lax typed decoding (`strict=False`) parses a venue's number strings exactly; bounds on floats keep out
what it lets through ("nan", "inf"), bounds on times keep one unit from being taken for another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw

from tapedeck.errors import BadInput
from tapedeck.message import WHOLE_FEED, Message
from tapedeck.slices import parse_time
from tapedeck.vendors.vendor import Chatter, Normalised, Refusal

NS_OF_MS = 1_000_000
_MAX_NS = 2**63 - 1

Number = Annotated[float, Meta(ge=-1.7e308, le=1.7e308)]
"""Finite: NaN and the infinities fall outside the bounds."""
NumberOrNone = Number | Literal[""] | None
"""A price or size that a venue leaves empty where a side of the book is: `value or 0.0`."""
Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Millis = Annotated[int, Meta(ge=0, le=_MAX_NS // NS_OF_MS)]
Levels = list[tuple[Number, Number]]
Side = Literal["buy", "sell"]

Pieces = Annotated[list[Raw], Meta(max_length=10_000)]
"""Parts of a payload, each to be read by itself."""
MOST_BROKEN = 16
LONGEST_IN_PIECES = 2**20
"""Taking apart 10 MB of nonsense cost a minute and a gigabyte (a list of 5 million zeros)."""

ERROR = "the venue answered with an error"
BROKEN = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
"""What decoding and building raise on content, and `why` has a reason for."""

T = TypeVar("T")
_INDEX = re.compile(r"\[\d+\]")
_NO_TIME = re.compile(r"0001-01-01T00:00:00(\.0{1,9})?Z", re.ASCII)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Unsound(ValueError):
    """What is JSON of the right types and still no message; its text is the reason."""


def why(error: Exception) -> str:
    """A reason that never quotes the payload, nor says where in a list it went wrong."""
    if isinstance(error, Unsound):
        return str(error)
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        if "e+308" in text:
            return "a price or size is not finite"
        if text.startswith("Invalid"):  # it quotes the value
            text = "Unknown value" + "".join(text.rpartition(" - at ")[1:])
        return f"payload is not as documented: {_INDEX.sub('[…]', text)}"
    if isinstance(error, UnicodeDecodeError):
        return "payload is not UTF-8"
    if isinstance(error, RecursionError):
        return "payload is nested too deeply"
    return "payload is not JSON"


def sound(message: Message) -> Message:
    """The message. Raises Unsound where it breaks the contract in what the types above can't say."""
    symbol = message.symbol
    if not 1 <= len(symbol) <= 64 or not symbol.isprintable():
        raise Unsound("symbol is not 1 to 64 printable characters")
    if symbol == WHOLE_FEED:
        raise Unsound('symbol is "*", which means the whole feed')
    return message


def whole_or_pieces(payload: bytes, whole: Callable[[bytes], T], pieces: Callable[[bytes], T]) -> T:
    """The payload decoded whole, or in pieces where some part of it is not as documented.

    Raises as both do. What is longer than a venue's payloads are is not taken apart but refused whole.
    """
    try:
        return whole(payload)
    except msgspec.ValidationError:
        if len(payload) > LONGEST_IN_PIECES:
            raise
        return pieces(payload)


def each(parts: Iterable[Any], say: Callable[[Any, int], Normalised], recv_ns: int) -> Normalised:
    """What each part of a payload says, by `say(part, recv_ns + k)`.

    A part that is broken is refused; those beside it are not. Where too many are, the payload is refused
    whole: each refusal keeps all of it in quarantine.
    """
    said: Normalised = []
    broken = 0
    for part in parts:
        try:
            new = say(part, recv_ns)
        except BROKEN as e:
            new = [Refusal(why(e))]
            broken += 1
            if broken > MOST_BROKEN:
                return new
        recv_ns += sum(not isinstance(one, Chatter) for one in new)
        said += new
    return said or [Chatter("nothing")]


def nanoseconds(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time with a zone, exact to nine digits; 0 for no text, and
    for the year 1 in UTC, by which Go says that there is no time.

    Raises Unsound for anything else.
    """
    if not text or _NO_TIME.fullmatch(text):
        return 0
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise Unsound("a time is not RFC 3339")
    second, fraction, zone = match.groups("")
    time = _second(second + zone) + int(fraction.ljust(9, "0"))
    if time > _MAX_NS:
        raise Unsound("a time is after 2262")
    return time


@lru_cache(maxsize=1024)
def _second(text: str) -> int:
    try:
        return parse_time(text)
    except BadInput:
        raise Unsound("a time is not RFC 3339, or not after 1969") from None
