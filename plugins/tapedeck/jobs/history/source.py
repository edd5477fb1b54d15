"""What is wanted of history, and what every source of it promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from tapedeck.message import Message
from tapedeck.settings import Settings
from tapedeck.slices import Slice

WHOLE = "*"
Say = Callable[[str], object]


class Want(Struct, frozen=True, kw_only=True):
    """A gap to be filled. `first` and `next` are the sequences that are missing, 0 and 0 where unknown."""

    id: str
    slice: Slice
    symbol: str = WHOLE
    kind: str = WHOLE
    first: int = 0
    next: int = 0


class Given(Struct, frozen=True):
    """What a file gave: messages published now, those of it that were there already, and when all lie."""

    published: int
    present: int
    span: Slice


class File(Protocol):
    """One file of history, read whole and found to be sound."""

    name: str
    """What people call it."""
    src: int
    """1000 + the first 48 bits of the SHA-256 of its uncompressed bytes."""

    def messages(self, of: Slice) -> Iterator[Message]:
        """Those that it has received, or dated, in a slice; all kinds that it holds."""
        ...

    def publish(self, settings: Settings, vendor: str, wants: Sequence[Want]) -> Given:
        """Publish what the wants lack into the backfill topic, each message once for ever.

        Returns when Kafka has acknowledged all. Safe to run again. Raises Unavailable.
        """
        ...


class Found(Struct, frozen=True):
    """A file, and the wants that it may fill."""

    file: File
    wants: tuple[Want, ...]


class Answer(Struct, frozen=True):
    """`found` files; for wants in `later` there may be one on another day; for all others there is none."""

    found: tuple[Found, ...] = ()
    later: frozenset[str] = frozenset()


class Source(Protocol):
    """Where a vendor's history may be had."""

    name: str
    """What it is and where, for people and for the record of what it was asked."""

    def find(self, wants: Sequence[Want], symbols: Sequence[str]) -> Answer:
        """The files that may fill the wants, each fetched, verified and read whole; publishes nothing.

        `symbols`: what a want of all symbols means. Raises BadInput for a file that is damaged or not of
        the known form, Unavailable where the source can't be reached.
        """
        ...
