"""Whether the taper keeps up with its bus: what it does not take waits in memory, and past that is lost."""

from __future__ import annotations

from collections.abc import Callable

LONG = 2.0
"""Seconds after which it is told: a burst is taken in less."""
ALARM_SECONDS = 60.0


class Behind:
    """Noted after each batch. Tells `warn` at once and then each minute, and again when it is over."""

    def __init__(self, address: str, warn: Callable[[str], None], now: float) -> None:
        self._address, self._warn = address, warn
        self._kept_up = now
        self._told: float | None = None
        self.seconds = 0.0
        """For how long more has waited on the bus than is taken at once."""

    @property
    def trouble(self) -> str:
        """What to say of it; empty while it keeps up."""
        if self.seconds < LONG:
            return ""
        return (
            f"the bus {self._address} has sent faster than is taken for {self.seconds:.0f} s: what waits "
            "fills memory up to tape.queue messages, then the bus drops or disconnects; give the taper more "
            "of a core"
        )

    def note(self, more: bool, now: float) -> None:
        """After a batch at `now` (monotonic, s): whether `more` was waiting than it held."""
        self._kept_up = self._kept_up if more else now
        self.seconds = now - self._kept_up
        if self.seconds >= LONG and (self._told is None or now - self._told >= ALARM_SECONDS):
            self._told = now
            self._warn(self.trouble)
        elif not more and self._told is not None:
            self._told = None
            self._warn(f"the bus {self._address} is kept up with again")
