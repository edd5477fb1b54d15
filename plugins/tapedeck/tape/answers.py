"""For which times a source answers: gathered as its lines go by (DESIGN §1, coverage)."""

from __future__ import annotations

from tapedeck.message import Status
from tapedeck.vendors import Chatter, Normalised, Refusal


class Answers:
    """From each connect to the last line before the connection, or the life, was over."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []
        self.connected = False
        self._first = self._last = 0
        self._unsequenced = False

    def connect(self) -> None:
        """The lines from here on were heard one after another."""
        self.end()
        self.connected = True

    def end(self) -> None:
        """Behind the last line nothing was heard."""
        if self._first:
            self._spans.append((self._first, self._last))
        self.connected, self._first = False, 0

    def line(self, stamp: int) -> None:
        """A line with this receipt time, UTC ns."""
        if self.connected:
            self._first, self._last = self._first or stamp, stamp

    def take(self, stamp: int, said: Normalised) -> None:
        """A line of the bus, and what it says."""
        self.line(stamp)
        if not self._unsequenced:
            self._unsequenced = any(
                not isinstance(one, Chatter | Refusal | Status) and one.seq == 0 for one in said
            )

    def spans(self) -> list[tuple[int, int]]:
        """(first, last) of each stretch, UTC ns, both included.

        None where all messages have a sequence, since those are told apart by it."""
        if not self._unsequenced:
            return []
        return [*self._spans, *([(self._first, self._last)] if self._first else [])]
