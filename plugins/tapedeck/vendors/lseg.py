"""LSEG (Refinitiv) Real-Time over WebSocket: Refresh and Update → fields, Status → status.

Format: "WebSocket API Protocol Specification" (tr_json2), developers.lseg.com, Websocket API; domain
MarketPrice. A payload is one message or an array of them. `Fields` hold what changed: numbers are kept;
text (times, enumerations, and a Real's "NaN", "Inf" and "-Inf"), blanks (null) and containers stay on the
tape, counted by name; what a consumer ripples (an older price into the field behind it) is not filled in.
Names are the field dictionary's; the few that begin with a digit get an F before it (52WK_HIGH →
F52WK_HIGH). A state that a Refresh leaves out is open and well.

`SeqNumber` rises within an item by leaps and begins anew after 16 bits: not chained. A Refresh bears that
of the state which it shows, so it has no seq of its own. No message says its time with a date.
The bus is the site's own distribution server: `websocket:ws://user@host:15000`. The token login of LSEG's
cloud is not spoken here.

Checked against the specification's tables of messages, primitive types and MarketPrice (as LSEG's site has
them), LSEG's own examples (Refinitiv/websocket-api) for login, batches and pings, and messages that users
quote in LSEG's forum for states: a service that is down, a name that redirects, a login that is refused.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from tapedeck.errors import BadInput
from tapedeck.message import OTHER, Fields, Status
from tapedeck.vendors.decoding import BROKEN, ERROR, Id, Pieces, Unsound, each, sound, whole_or_pieces, why
from tapedeck.vendors.vendor import Chatter, Normalised, Refusal, Vendor, some

MOST_NAMES = 65_536
"""How many names are counted each by itself; the dictionary has some ten thousand."""
ITEMS_A_REQUEST = 1000
MARKET_PRICE, LOGIN = ("MarketPrice", 6), ("Login", 1)
REFUSED = "the venue refused the login"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class Key(Struct, gc=False):
    """What a message is about; a list of names is a batch request's."""

    Name: str | list[str] | None = None


class State(Struct, gc=False):
    """How the stream and its data stand."""

    Stream: str | int = ""
    Data: str | int = ""
    Code: str | int = ""
    Text: str = ""

    @property
    def fine(self) -> bool:
        """Whether the data are the item's of now."""
        return self.Data == "Ok" and self.Stream in ("Open", "NonStreaming")


class Said(Struct):
    """Any message."""

    Type: str | int
    Domain: str | int = "MarketPrice"
    Key: Key | None = None
    State: State | None = None
    SeqNumber: Id = 0
    Fields: dict[str, float | str | bool | list[Any] | dict[str, Any] | None] | None = None


class LsegVendor(Vendor):
    """LSEG Real-Time as a `Vendor`."""

    name = "lseg"
    websocket_subprotocol = "tr_json2"

    def normalise(self, payload: bytes, recv_ns: int, src: int, symbol: str | None = None) -> Normalised:
        """See `Vendor.normalise`. A broken message of an array is refused, those beside it are not."""

        def say(part: Said | Raw, recv_ns: int) -> Normalised:
            return _say(_one(part) if isinstance(part, Raw) else part, recv_ns, src, symbol)

        try:
            return each(_parts(payload), say, recv_ns)
        except BROKEN as e:
            return [Refusal(why(e))]

    def websocket_url(self, symbols: Sequence[str], host: str = "") -> str:
        """See `Vendor.websocket_url`. There is no public host; its user is who logs in."""
        some(symbols, self.name, "EUR=")
        if not host:
            raise BadInput(
                "lseg has no public address: set bus in [vendors.lseg] to your distribution server, "
                'for example "websocket:ws://user@ads.example.org:15000"'
            )
        user, at, server = host.rstrip("/").rpartition("@")
        colon = ":" if at and user.count(":") < 2 else ""  # or the WebSocket library misses a password
        return f"{user}{colon}{at}{server}/WebSocket"

    def websocket_opening(self, symbols: Sequence[str], url: str) -> list[str]:
        """See `Vendor.websocket_opening`: the login."""
        elements = {"ApplicationId": "256", "Position": f"{socket.gethostname()}/net"}
        key = {"Name": urlsplit(url).username or "tapedeck", "Elements": elements}
        return [_text({"ID": 1, "Domain": "Login", "Key": key})]

    def websocket_reply(self, payload: bytes, symbols: Sequence[str]) -> list[str]:
        """See `Vendor.websocket_reply`: a Pong to a Ping, and the items once the login is accepted."""
        answers: list[str] = []
        if b'"Ping"' not in payload and b'"Login"' not in payload:
            return answers
        try:
            parts = [_one(part) if isinstance(part, Raw) else part for part in _parts(payload)]
        except BROKEN:
            return answers
        for said in parts:
            if said.Type == "Ping":
                answers.append(_text({"Type": "Pong"}))
            elif said.Type == "Refresh" and said.Domain in LOGIN and said.State and said.State.fine:
                answers += _requests(symbols)
        return answers

    def websocket_refusal(self, payload: bytes) -> str:
        """See `Vendor.websocket_refusal`: a login that is refused, though pings may go on."""
        if b'"Login"' not in payload:
            return ""
        try:
            parts = [_one(part) if isinstance(part, Raw) else part for part in _parts(payload)]
        except BROKEN:
            return ""
        return REFUSED if any(said.Domain in LOGIN and _refused(said) for said in parts) else ""


def _refused(said: Said) -> bool:
    """Whether a message of the domain Login ends the stream."""
    return said.State is not None and said.State.Stream not in ("", "Open", "NonStreaming")


def _parts(payload: bytes) -> list[Any]:
    """Its messages, some of them raw where one is broken."""
    found = whole_or_pieces(payload, _decode, _pieces)
    return found if isinstance(found, list) else [found]


def _say(said: Said, recv_ns: int, src: int, symbol: str | None) -> Normalised:
    """What one message says."""
    kind, state = said.Type, said.State
    if kind in ("Ping", "Pong", "Ack"):
        return [Chatter(str(kind))]
    if kind not in ("Refresh", "Update", "Status"):
        return [Refusal(ERROR if kind == "Error" else "no such type: only Refresh, Update, Status are read")]
    if said.Domain in LOGIN:
        return [Refusal(REFUSED) if _refused(said) else Chatter(f"Login {kind}")]
    if said.Domain not in MARKET_PRICE:
        return [Refusal("no such domain: only MarketPrice is read")]
    name = said.Key.Name if said.Key else None
    if not isinstance(name, str):
        if kind == "Status":
            return [Chatter("Status of a request")]
        if symbol is None:
            return [Refusal("the message names no symbol")]
        name = symbol
    numbers, rest = _sorted_out(said.Fields or {})
    made: Normalised = []
    if numbers:
        seq = said.SeqNumber if kind == "Update" else 0
        made.append(sound(Fields(name, 0, recv_ns, seq, 0, src, numbers)))
    if kind == "Status" or (state and not state.fine):
        text = _words(state or State())
        made.append(sound(Status(name, 0, recv_ns + len(made), 0, 0, src, OTHER, text)))
    made += rest
    return made or [Chatter("no fields")]


def _sorted_out(fields: dict[str, Any]) -> tuple[dict[str, float], list[Chatter]]:
    """The numbers by the names that they are kept under, and counts of the rest."""
    numbers: dict[str, float] = {}
    rest: list[Chatter] = []
    for name, value in fields.items():
        if type(value) is not float:
            what = "blank" if value is None else "text" if type(value) is str else "container"
            rest.append(_counted(what, name))
        elif column := _column(name):
            if column in numbers:
                raise Unsound("two fields would have one name")
            numbers[column] = value
        else:
            rest.append(_counted("unnameable", name))
    return numbers, rest


@lru_cache(maxsize=MOST_NAMES)
def _column(name: str) -> str:
    """The name that a number is kept under; empty where none is possible."""
    wanted = f"F{name}" if name[:1].isdigit() else name
    return wanted if _NAME.fullmatch(wanted) else ""


def _counted(what: str, name: str) -> Chatter:
    known = _chatter.get((what, name))
    if known is None:
        if len(_chatter) >= MOST_NAMES:
            return Chatter(f"{what} of other names")
        known = _chatter[what, name] = Chatter(f"{what} {name[:64]}")
    return known


def _words(state: State) -> str:
    return f"{' '.join(f'{state.Stream} {state.Data} {state.Code}'.split())}: {state.Text}"[:500]


def _requests(symbols: Sequence[str]) -> list[str]:
    """Batch requests; the items of one take the ids that follow its own."""
    firsts = range(0, len(symbols), ITEMS_A_REQUEST)
    return [
        _text({"ID": 2 + first + number, "Key": {"Name": list(symbols[first : first + ITEMS_A_REQUEST])}})
        for number, first in enumerate(firsts)
    ]


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_chatter: dict[tuple[str, str], Chatter] = {}
_decode: Callable[[bytes], Any] = msgspec.json.Decoder(list[Said] | Said).decode
_pieces: Callable[[bytes], Any] = msgspec.json.Decoder(Pieces).decode
_one = msgspec.json.Decoder(Said).decode
vendor = LsegVendor()
