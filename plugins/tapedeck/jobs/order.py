"""What a replay was asked for, and what was done of it."""

from __future__ import annotations

from msgspec import Struct

from tapedeck.digest import to_hex
from tapedeck.jobs.pacing import Lateness
from tapedeck.slices import Slice


class Order(Struct, frozen=True, kw_only=True):
    """A replay as it was asked for and frozen. `plan` is the digest of a kept plan.

    `speed`: so many times real time, 0 = as fast as possible. `rate`: so many records of the log are
    read a second at most by one process, 0 = no limit. `restamp`: a topic's records get the time of
    their replay. `tape`: the folder of a raw tape whose payloads are replayed in place of messages.
    """

    vendor: str
    slice: Slice
    to: str
    symbols: tuple[str, ...]
    kinds: tuple[str, ...]
    partitions: int
    """Of the target, where it is a topic; else of the vendor's live topic."""
    plan: str = ""
    speed: float = 0.0
    rate: int = 0
    restamp: bool = False
    tape: str = ""
    skip_closed: bool = False
    """In time: hours in which no symbol's venue is open take none."""

    @property
    def asked(self) -> dict[str, object]:
        """What a receipt says of it beside the slice."""
        more = {
            "restamp": self.restamp, "tape": self.tape, "rate": self.rate, "skip_closed": self.skip_closed,
        }  # fmt: skip
        return {
            "to": self.to, "symbols": list(self.symbols), "kinds": list(self.kinds),
            "speed": f"{self.speed:g}" if self.speed else "max",
            **{name: value for name, value in more.items() if value},
        }  # fmt: skip


class Preview(Struct, frozen=True, kw_only=True):
    """What a replay would find at its target: so many of its messages, and that in a sentence."""

    already: int
    says: str


class Copied(Struct, frozen=True, kw_only=True):
    """What happened to one part of the target. `before`, `after`: digests in hexadecimal."""

    partition: int
    messages: int = 0
    already: int = 0
    written: int = 0
    behind: int = 0
    """Of those written, how many stand behind later ones, since an earlier replay came before them."""
    duplicates: int = 0
    voided: int = 0
    undecodable: int = 0
    before: str = to_hex(0)
    after: str = to_hex(0)
    more: dict[str, int] = {}
    """What else the target counts, for example windows or files."""
    lateness: Lateness | None = None
    notes: tuple[str, ...] = ()
