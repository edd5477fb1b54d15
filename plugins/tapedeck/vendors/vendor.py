"""What a vendor is to tapedeck: how its raw payloads become messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

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
    """One upstream feed. Found by name through the entry points of group `tapedeck.vendors`."""

    @property
    def name(self) -> str:
        """The vendor's name in settings, topics and libraries."""

    def normalise(self, payload: bytes, recv_ns: int, src: int, symbol: str | None = None) -> Normalised:
        """What one payload of the bus says, in its order. Must never raise on content.

        The k-th message or refusal has `ts_recv = recv_ns + k`; chatter takes no k. `symbol` is what
        a loader says for payloads that name none; one that names its symbol is believed.
        """

    def stream_of(self, payload: bytes) -> str:
        """The subscription that the payload came by, as the venue writes it; empty where it names none."""

    def websocket_url(self, symbols: Sequence[str], host: str = "") -> str:
        """Where to connect for these symbols' messages. `host` (`wss://host:port`) replaces the venue's.

        Raises BadInput for no symbols, or for more than one connection may carry.
        """
