"""A bus that is heard by a thread of its own: it connects, hears, and connects again until it is closed."""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from tapedeck.buses.bus import QUEUE, Change
from tapedeck.buses.stamping import Lines, stamped
from tapedeck.clock import Stamps
from tapedeck.errors import Unavailable
from tapedeck.settings import shown_address

FULL_SECONDS = 0.002
"""Between two looks whether a full queue has room again."""


class Lost(Exception):
    """A connection ended, or none came about; its text says why."""


class Listener(ABC):
    """Hears one URL for as long as it lives.

    At most `queue` payloads wait in memory for a taper that is starved; then nothing more is read, until the
    other end has enough of that and ends the connection, which is told.

    The n-th try in a row that brought no payload waits a random time of up to `min(first × 2ⁿ, longest)`
    seconds, so that many collectors do not come back at once.
    """

    trouble = ""

    def __init__(self, url: str, kind: str, first: float, longest: float, queue: int = QUEUE) -> None:
        self.address = f"{kind}:{shown(url)}"
        self._url = url
        self._first, self._longest = first, longest
        self._inbox: deque[bytes | Change] = deque()
        self._queue = queue
        self._news = threading.Event()
        self._closing = threading.Event()
        self._is_connected = self._heard = False
        self._thread = threading.Thread(target=self._listen, name=self.address[:60], daemon=True)

    def drain(self) -> Iterator[bytes]:
        """See `Bus.drain`."""
        self._news.clear()
        inbox = self._inbox
        while inbox:
            payload = inbox[0]
            if isinstance(payload, Change):
                return
            inbox.popleft()
            yield payload

    def take(self, stamps: Stamps, most: int) -> Lines:
        """See `Bus.take`."""
        return stamped(self.drain(), stamps, most)

    def changes(self) -> list[Change]:
        """See `Bus.changes`. One at a time: who then drains stays before the next one."""
        if self._inbox and isinstance(change := self._inbox[0], Change):
            self._inbox.popleft()
            return [change]
        return []

    def wait(self, milliseconds: int) -> bool:
        """See `Bus.wait`. Raises Unavailable where the listening thread has died, so that it is loud."""
        if not self._thread.is_alive() and not self._inbox and not self._closing.is_set():
            raise Unavailable(f"the listener of {self.address} has died: start the collector again")
        return bool(self._inbox) or self._news.wait(milliseconds / 1000)

    def close(self) -> None:
        """See `Bus.close`."""
        self._closing.set()
        self._let_go()
        self._thread.join(timeout=15)

    @abstractmethod
    def _hear(self) -> None:
        """One connection's life: say `_connected`, `_put` each payload, until it is lost or `_closing`.

        Raises Lost where it ended before it was to.
        """

    @abstractmethod
    def _let_go(self) -> None:
        """Make a `_hear` that waits end soon. Called from another thread."""

    def _listen(self) -> None:
        barren, said = 0, ""
        while not self._closing.is_set():
            self._is_connected = self._heard = False
            try:
                self._hear()
                why = "closed by this collector"
            except Lost as e:
                why = str(e)
            if self._is_connected or why != said:
                self._lost(why)
            said = why
            barren = 0 if self._heard else barren + 1
            self._closing.wait(random.uniform(0, min(self._first * 2 ** min(barren, 20), self._longest)))  # noqa: S311

    def _connected(self) -> None:
        self._is_connected = True
        self._put(Change(True, shown(self._url)))

    def _lost(self, why: str) -> None:
        self._is_connected = False
        self._put(Change(False, why))

    def _put(self, item: bytes | Change) -> None:
        while len(self._inbox) >= self._queue and not self._closing.is_set():
            time.sleep(FULL_SECONDS)
        self._inbox.append(item)
        self._news.set()


def shown(url: str) -> str:
    """The URL without who logs in and with which password: it stands on the tape and in the log."""
    parts = urlsplit(url)
    return shown_address(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
