"""Venues whose data come as pushes of a channel: `{"arg":{"channel":…,"instId":…},"data":[…]}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct

from tapedeck.vendors.decoding import BROKEN, ERROR, Pieces, Unsound, each, sound, whole_or_pieces, why
from tapedeck.vendors.vendor import Chatter, Normalised, Refusal, Vendor

SYMBOLS_A_REQUEST = 200
_HEAD = b'{"arg":{"channel":"'
T = TypeVar("T")


class Arg(Struct, frozen=True, gc=False):
    """What a push was subscribed by."""

    channel: str = ""
    instId: str = ""


class Push(Struct, Generic[T], gc=False):
    """One push. `action` tells an image (`snapshot`) from a change (`update`) where both come."""

    arg: Arg
    data: list[T]
    action: str = ""

    def symbol(self, said: str) -> str:
        """The instrument. Raises Unsound where a part of the data says it is of another."""
        if said != self.arg.instId:
            raise Unsound("the channel names another symbol than its data")
        return said


class PushInPieces(Push[Raw], gc=False):
    """One push, its parts not looked at."""

    data: Pieces


class Top(Struct, gc=False):
    """What a payload says of itself: an answer has an `event`, a push an `arg` alone."""

    event: str = ""
    arg: Arg = Arg()


class Channel(NamedTuple):
    """How a channel's pushes are read, and one part of their data by itself."""

    push: Callable[[bytes], Push[Any]]
    part: Callable[[Raw], Any]


class PushVendor(Vendor):
    """A venue of pushes as a `Vendor`.

    `channels` has for each channel the type of one part of its data, a struct with
    `messages(push, recv_ns, src)`. Of answers, events in `chatter` are counted and all else is refused.
    """

    def __init__(self, name: str, channels: Mapping[str, Any], chatter: set[str]) -> None:
        self.name = name
        self._channels = {channel: _channel(part) for channel, part in channels.items()}
        self._chatter = chatter

    def normalise(self, payload: bytes, recv_ns: int, src: int, symbol: str | None = None) -> Normalised:
        """See `Vendor.normalise`. A broken part of a push is refused, those beside it are not."""
        name = payload[19 : payload.find(b'"', 19)].decode("latin-1") if payload.startswith(_HEAD) else ""
        try:
            channel = self._channels.get(name)
            if channel is None:
                top = _top(payload)
                name, channel = top.arg.channel, self._channels.get(top.arg.channel)
                if top.event or channel is None:
                    return [self._told(top.event)]
            push = whole_or_pieces(payload, channel.push, _in_pieces)
        except BROKEN as e:
            return [Chatter("pong") if payload == b"pong" else Refusal(why(e))]
        if push.arg.channel != name:
            return [Refusal("the push names two channels")]
        decode = channel.part

        def say(part: Any, recv_ns: int) -> Normalised:
            said: list[Any] = (decode(part) if isinstance(part, Raw) else part).messages(push, recv_ns, src)
            return [sound(message) for message in said]

        return each(push.data, say, recv_ns)

    def stream_of(self, payload: bytes) -> str:
        """See `Vendor.stream_of`: the channel and the instrument."""
        try:
            arg = _top(payload).arg
        except BROKEN:
            return ""
        return f"{arg.channel} {arg.instId}".strip()

    def subscribe(self, symbols: Sequence[str], channels: Sequence[str]) -> list[str]:
        """Requests for these channels of these symbols."""
        wanted = [{"channel": channel, "instId": symbol} for symbol in symbols for channel in channels]
        step = SYMBOLS_A_REQUEST * len(channels)
        requests = [wanted[first : first + step] for first in range(0, len(wanted), step)]
        return [msgspec.json.encode({"op": "subscribe", "args": args}).decode() for args in requests]

    def _told(self, event: str) -> Chatter | Refusal:
        """What a payload is that is no push of a channel that is read."""
        if event in self._chatter:
            return Chatter(event)
        read = ", ".join(sorted(self._channels))
        return Refusal(ERROR if "error" in event else f"payload is of no channel that is read: {read}")


def _channel(part: Any) -> Channel:
    push = msgspec.json.Decoder(Push[part], strict=False).decode
    return Channel(push, msgspec.json.Decoder(part, strict=False).decode)


_top = msgspec.json.Decoder(Top).decode
_in_pieces: Callable[[bytes], Push[Any]] = msgspec.json.Decoder(PushInPieces).decode
