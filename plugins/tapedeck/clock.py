"""The one clock (DESIGN §2.1): receipt times that strictly increase and leave room for k."""

from __future__ import annotations

import sys
import time

MAX_DRIFT = 2_000
"""A small error of the wall clock is taken out at 1 ns in so many: 500 ppm, as NTP slews."""
MAX_JUMP = 20
"""An error over STEP, as after a suspend or a step of the wall clock, at 1 ns in so many."""
STEP = 128_000_000


class Clock:
    """The system's clocks. Tests give one that they move by hand."""

    def wall(self) -> int:
        """UTC, ns since the epoch; may step either way."""
        return time.time_ns()

    def monotonic(self) -> int:
        """ns since some moment; never goes back."""
        return time.monotonic_ns()


class Stamps:
    """Receipt times, UTC ns: wall clock at the start plus monotonic time, slewed towards the wall clock.

    Each is above the one before by at least the bytes that were received with that one, so that the
    k-th message of a payload may be named `recv_ns + k` and no two messages of a source share a time.
    The first is above `above`, the last that an earlier taper can have issued.
    A loop that can't afford a call for each does what `take` does with `monotonic`, `offset` and `floor`,
    and puts `floor` back.
    """

    __slots__ = ("_clock", "_slewed", "floor", "monotonic", "offset", "steady")

    def __init__(self, above: int = 0, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self.monotonic = self._clock.monotonic
        self.steady = type(self._clock).monotonic is Clock.monotonic and sys.platform == "linux"
        """Whether `monotonic` is the system's CLOCK_MONOTONIC, which compiled loops may ask by themselves."""
        self._slewed = self.monotonic()
        self.offset = self._clock.wall() - self._slewed
        self.floor = above + 1

    def take(self, size: int = 1) -> int:
        """The receipt time of what came just now, `size` bytes long."""
        stamp = self.monotonic() + self.offset
        if stamp < self.floor:
            stamp = self.floor
        self.floor = stamp + (size or 1)
        return stamp

    def slew(self) -> int:
        """Move a little towards the wall clock; gives what error (ns) is left. Call about once a second."""
        now = self.monotonic()
        error = self._clock.wall() - (now + self.offset)
        most = (now - self._slewed) // (MAX_DRIFT if abs(error) < STEP else MAX_JUMP)
        step = max(-most, min(most, error))
        self.offset += step
        self._slewed = now
        return error - step
