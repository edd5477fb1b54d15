"""What a writer knows of `md.meta`, read anew every few seconds beside its work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tapedeck.errors import TapedeckError
from tapedeck.log import meta, topics
from tapedeck.log.meta import Meta, VendorTopics
from tapedeck.settings import Settings

SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """`md.meta` as it was at `at` (monotonic seconds) or later, its topics proved to be the pinned ones."""

    meta: Meta
    topics: VendorTopics
    at: float


def look(settings: Settings, vendor: str) -> Seen:
    """Read `md.meta` and prove the vendor's topics. Raises BadInput, Mismatch, Unavailable."""
    at = time.monotonic()
    known = meta.read(settings)
    return Seen(known, topics.verify(settings, vendor, known), at)


class Watch:
    """Looks again and again in a thread of its own. What it finds wrong is raised by `seen`."""

    def __init__(self, settings: Settings, vendor: str, first: Seen) -> None:
        self._seen, self._error = first, None
        self._again: Callable[[], Seen] = lambda: look(settings, vendor)
        self._ended, self._asked = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._thread.start()

    _error: TapedeckError | None

    @property
    def seen(self) -> Seen:
        """The newest look. Raises what the last one raised."""
        if self._error is not None:
            raise self._error
        return self._seen

    def hurry(self) -> None:
        """Look at once."""
        self._asked.set()

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._asked.set()
        self._thread.join(30)

    def _look(self) -> None:
        while not self._ended.is_set():
            self._asked.wait(SECONDS)
            self._asked.clear()
            if self._ended.is_set():
                return
            try:
                self._seen = self._again()
            except TapedeckError as e:
                self._error = e
                return
