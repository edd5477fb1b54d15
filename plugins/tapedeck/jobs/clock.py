"""The clock of a replay in time: one anchor for all that share it, closed hours left out where asked.

Several vendors replayed together share one, so that what came a second apart goes a second apart, whichever
vendor it is of; each starts when all of them have their first message at hand.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from tapedeck.columns import Array
from tapedeck.errors import Unavailable

PATIENCE = 600.0
"""Seconds that one waits for the others' first messages."""


class Hours:
    """The parts of a slice in which a venue is open; what lies between them takes no time."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        """`spans`: [start, end) in UTC ns, in order, none touching another."""
        bounds = np.array(spans, np.int64).reshape(-1, 2)
        self._starts, self._lengths = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
        self._before = np.cumsum(self._lengths) - self._lengths

    @property
    def total(self) -> int:
        """How long the venue is open in all, ns."""
        return int(self._lengths.sum())

    def passed(self, ts: Array) -> Array:
        """How long the venue had been open before each instant (int64, ns); never falls where `ts` rises."""
        at = np.searchsorted(self._starts, ts, "right") - 1
        if not len(self._starts):
            return np.zeros(len(ts), np.int64)
        inside = np.minimum(ts - self._starts[at], self._lengths[at])
        passed: Array = np.where(at < 0, 0, self._before[at] + inside)
        return passed


class Clock:
    """One anchor. It begins when each of its sharers has said when its first message was, or has left."""

    def __init__(self, sharers: int = 1, hours: Hours | None = None) -> None:
        self.hours = hours
        self._missing, self._first, self._anchor = sharers, 0, 0
        self._turned = threading.Condition()

    def begin(self, first: int) -> tuple[int, int]:
        """Wait for the others; gives the anchor (monotonic ns) and the first time of all (ns).

        Raises Unavailable where another does not come within PATIENCE.
        """
        with self._turned:
            self._first = min(first, self._first or first)
            self._arrived()
            if not self._turned.wait_for(lambda: self._anchor, PATIENCE):
                raise Unavailable(
                    "another vendor of this replay has not had its first message at hand within "
                    f"{PATIENCE:.0f} s: see its log, then run this again"
                )
            return self._anchor, self._first

    def leave(self) -> None:
        """One that has nothing to send, or has failed, is not waited for."""
        with self._turned:
            self._arrived()

    def _arrived(self) -> None:
        self._missing -= 1
        if self._missing == 0:
            self._anchor = time.monotonic_ns()
            self._turned.notify_all()
