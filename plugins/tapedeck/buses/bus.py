"""What a bus is to a taper: payloads, and when it was connected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from tapedeck.buses.stamping import Lines
from tapedeck.clock import Stamps

QUEUE = 1_000_000
"""Payloads that may wait in memory for a taper."""


class Change(Struct, frozen=True):
    """The bus was reached (`connected`) or lost; `why` says which end, or what went wrong."""

    connected: bool
    why: str


class Image(Struct, frozen=True):
    """The whole image of a book that is asked for at `url` (HTTP) once its `stream` has begun; the answer is
    a payload between `head` and `tail`, since of itself it does not say whose it is."""

    stream: str
    url: str
    head: bytes
    tail: bytes


class Venue(Protocol):
    """What a bus must know of a vendor: where the venue itself can be heard."""

    @property
    def name(self) -> str:
        """The vendor's name."""

    def websocket_url(self, symbols: Sequence[str], host: str = "") -> str:
        """Where to connect for these symbols' messages. Raises BadInput for no symbols."""

    @property
    def websocket_subprotocol(self) -> str:
        """What to ask for in the handshake; empty: nothing."""

    @property
    def websocket_ping(self) -> str:
        """What to send where nothing was heard for a while; empty: ping frames do."""

    def websocket_opening(self, symbols: Sequence[str], url: str) -> list[str]:
        """What to send over each connection, in this order, before anything else."""

    def websocket_reply(self, payload: bytes, symbols: Sequence[str]) -> list[str]:
        """What to send in answer to a payload, at once."""

    def websocket_images(self, symbols: Sequence[str], url: str) -> list[Image]:
        """What to ask for over HTTP on each connection to that URL."""

    def image_wanted(self, first: bytes) -> bool:
        """Whether a stream that begins with that payload lacks an image."""

    def websocket_refusal(self, payload: bytes) -> str:
        """Why the venue will send nothing over this connection; empty where it does not say so."""

    def image_reaches(self, answer: bytes, first: bytes) -> bool:
        """Whether an answer is an image that the stream's first payload goes on from."""

    def stream_of(self, payload: bytes) -> str:
        """The stream that a payload is of."""


class Bus(Protocol):
    """One subscription to a vendor's messages. Used by one thread, in this order, for ever:

    `bus.take(stamps, most)` (or `for payload in bus.drain()`), then `bus.changes()`, then
    `bus.wait(milliseconds)`.

    It reconnects by itself. What the bus sends while it is not connected is lost: buses have no history.
    """

    address: str
    """As settings have it, without a password."""

    @property
    def trouble(self) -> str:
        """What it lacks though it is connected; empty where nothing."""

    def drain(self) -> Iterator[bytes]:
        """Payloads, byte for byte, until none is waiting. Never blocks, and may be left at any time.

        It also ends at a change that came between payloads; ask `changes` and drain again.
        """

    def take(self, stamps: Stamps, most: int) -> Lines:
        """As `drain`, at most so many payloads, each as a line of the tape with its receipt time."""

    def changes(self) -> list[Change]:
        """What happened to the connection since it was last asked, in order; of a bus that knows which
        payloads came between two changes, the next one alone. Never blocks."""

    def wait(self, milliseconds: int) -> bool:
        """Block until a payload or a change is there (True), or for so long (False)."""

    def close(self) -> None:
        """Let go of the bus. May be called twice."""
