"""What a vendor is to tapedeck: how its raw payloads become messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from tapedeck.buses.bus import Image
from tapedeck.errors import BadInput
from tapedeck.message import Message


class Refusal(Struct, frozen=True):
    """A payload (or a part of one) that can't be normalised; it goes to quarantine.

    `reason` is short and never quotes the payload, so that refusals can be counted by it.
    """

    reason: str


class Chatter(Struct, frozen=True):
    """What a venue says that is no market data (an answer to a subscription): counted by name."""

    name: str


Normalised = list[Message | Refusal | Chatter]


class Vendor(Protocol):
    """One upstream feed. Found by name through the entry points of group `tapedeck.vendors`.

    A vendor derives from it and has `name` and `normalise`; the rest says nothing where it is left out.
    """

    name: str
    """The vendor's name in settings, topics and libraries."""
    compiled: Callable[..., Any] | None = None
    """A compiled reader of tape lines that hold the venue's usual payloads (`tape.canonical`): what it reads
    it reads as `normalise` does, the rest it leaves to that. None: all is left."""
    websocket_subprotocol: str = ""
    """What to ask for in the handshake of a WebSocket; empty: nothing."""
    websocket_ping: str = ""
    """What to send over a WebSocket that has said nothing for 20 s; empty: its own ping frames do."""

    def normalise(self, payload: bytes, recv_ns: int, src: int, symbol: str | None = None) -> Normalised:
        """What one payload of the bus says, in its order. Must never raise on content.

        The same payload always says the same, whatever came before it. The k-th message or refusal has
        `ts_recv = recv_ns + k`; chatter takes no k. `symbol` is what a loader says for payloads that name
        none; one that names its symbol is believed.
        """

    def stream_of(self, payload: bytes) -> str:
        """The subscription that the payload came by, as the venue writes it; empty where it names none."""
        return ""

    def websocket_url(self, symbols: Sequence[str], host: str = "") -> str:
        """Where to connect for these symbols' messages. `host` (`wss://host:port`) replaces the venue's.

        Raises BadInput for no symbols, or for more than one connection may carry.
        """
        raise BadInput(
            f"{self.name} can't be asked over a WebSocket: set another bus in [vendors.{self.name}]"
        )

    def websocket_opening(self, symbols: Sequence[str], url: str) -> list[str]:
        """What to send over each connection to that URL, in this order, before anything else."""
        return []

    def websocket_reply(self, payload: bytes, symbols: Sequence[str]) -> list[str]:
        """What to send in answer to a payload, at once. Must never raise on content."""
        return []

    def websocket_images(self, symbols: Sequence[str], url: str) -> list[Image]:
        """Images of books to ask for over HTTP on each connection to that URL, where its streams carry
        changes alone. Each is asked for once its stream (`stream_of`) has begun."""
        return []

    def image_wanted(self, first: bytes) -> bool:
        """Whether a stream that begins with that payload (empty: it said nothing) lacks an image. Must never
        raise on content."""
        return True

    def websocket_refusal(self, payload: bytes) -> str:
        """Why the venue will send nothing over this connection, by its own word in that payload; empty where
        it says nothing of the sort. Must never raise on content."""
        return ""

    def image_reaches(self, answer: bytes, first: bytes) -> bool:
        """Whether an answer is an image that `first` goes on from, its stream's first payload (empty: none
        came). Must never raise on content."""
        return True


def some(symbols: Sequence[str], vendor: str, example: str) -> Sequence[str]:
    """The symbols themselves. Raises BadInput where there are none; `example` is one of the vendor's."""
    if not symbols:
        raise BadInput(
            f"no symbols are set for {vendor}, so there is nothing to subscribe to: "
            f'set symbols in [vendors.{vendor}], for example ["{example}"]'
        )
    return symbols
