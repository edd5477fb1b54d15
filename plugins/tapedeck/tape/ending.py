"""When a live process is to end: on SIGTERM or SIGINT, or when the process that started it is gone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 15.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Told once, remembered. A process that was started with a `parent` also ends when that one is gone,
    however it went: two halves of a collector without a supervisor would never be ended by anyone.
    """

    def __init__(self, parent: int | None = None, patience: float = PATIENCE) -> None:
        self._parent, self._patience = parent, patience
        self._asked_at: float | None = None

    def listen(self) -> Ending:
        """Take SIGTERM and SIGINT as the word to end, also those that were `deferred`. Only in a main
        thread."""
        for number in SIGNALS:
            signal.signal(number, self._heard)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return self

    def ask(self) -> None:
        """Say that it is time to end."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()

    def asked(self) -> bool:
        """Whether it is time to end."""
        if self._asked_at is None and self._parent is not None and os.getppid() != self._parent:
            self.ask()
        return self._asked_at is not None

    def overdue(self) -> bool:
        """Whether it has been time to end for longer than anyone should wait for the rest."""
        return (
            self.asked() and self._asked_at is not None and time.monotonic() - self._asked_at > self._patience
        )

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until it is time to end."""
        end = time.monotonic() + seconds
        while not self.asked() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.ask()


@contextmanager
def deferred() -> Iterator[None]:
    """A process that is started in this block hears SIGTERM and SIGINT only once it listens: one that came
    while it was still importing waits for it, and kills it not. (The mask survives exec.)
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
