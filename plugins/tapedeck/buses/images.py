"""Images of books, for venues that stream a book's changes alone and answer its image over HTTP."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tapedeck.buses.bus import Image, Venue

PACE = 0.6
"""Seconds between two requests: 100 a minute weigh 5,000 of the 6,000 that Binance's spot market allows,
and 2,000 of the 2,400 of its futures."""
PATIENCE = 5.0
"""So long a stream is given to begin; where it does not, nothing changes: its image is asked for as it is."""
ANSWER_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
LARGEST = 64 * 2**20

Put = Callable[["Images", bytes], None]


class Images:
    """Asks for the images of one connection, one after another, in a thread of its own.

    An image is asked for when its stream has begun, unless that was with an image, and again where it is
    older than the stream's first change, or where no answer comes: the venue's `Retry-After` is heeded, else
    pauses double up to a minute. `put` is given each answer as a payload.
    """

    def __init__(
        self, wanted: Sequence[Image], venue: Venue, put: Put, *, pace: float = PACE,
        patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self._venue, self._give, self._pace, self._patience = venue, put, pace, patience
        self.unseen = {image.stream: image for image in wanted}
        """Streams that have not begun yet."""
        self.trouble = ""
        """Why an image is missing; empty where none is."""
        self._begun: queue.SimpleQueue[tuple[Image, bytes]] = queue.SimpleQueue()
        self._left = len(self.unseen)
        self._closing = threading.Event()
        threading.Thread(target=self._work, name="images", daemon=True).start()

    def see(self, payload: bytes) -> None:
        """Look whether a payload is the first of its stream. Never blocks."""
        if image := self.unseen.pop(self._venue.stream_of(payload), None):
            self._begun.put((image, payload))

    def close(self) -> None:
        """Ask for no more: the connection is gone. What is still answered is put to no use."""
        self._closing.set()
        self.trouble = ""

    def _work(self) -> None:
        given_up = time.monotonic() + self._patience
        failed: deque[tuple[float, int, Image, bytes]] = deque()
        while self._left and not self._closing.is_set():
            now = time.monotonic()
            if now >= given_up:
                for stream in list(self.unseen):
                    if image := self.unseen.pop(stream, None):
                        self._begun.put((image, b""))
            tries, image, first = 0, None, b""
            if failed and failed[0][0] <= now:
                _, tries, image, first = failed.popleft()
            else:
                try:
                    image, first = self._begun.get(timeout=0.05)
                except queue.Empty:
                    continue
            if not self._venue.image_wanted(first):
                self._left -= 1
                continue
            why, pause = self._ask(image, first, tries)
            if why:
                self.trouble = why if not self._closing.is_set() else ""
                failed.append((time.monotonic() + pause, tries + 1, image, first))
                failed = deque(sorted(failed, key=lambda one: one[0]))
            else:
                self._left -= 1
                if not failed:
                    self.trouble = ""
            self._closing.wait(self._pace)

    def _ask(self, image: Image, first: bytes, tries: int) -> tuple[str, float]:
        """Ask once; gives why there is no image yet and for how many seconds to wait, or ("", 0)."""
        pause = min(FIRST_PAUSE * 2 ** min(tries, 20), LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311
        try:
            with urlopen(Request(image.url), timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - http(s) by `Venue`
                found = answer.read(LARGEST)
        except HTTPError as e:
            told = e.headers.get("Retry-After", "")
            pause = max(pause, float(told)) if told.isdigit() else pause
            why = f"HTTP {e.code}"
            e.close()
        except (OSError, HTTPException) as e:
            why = str(e) or type(e).__name__
        else:
            if self._venue.image_reaches(found, first):
                self._give(self, b"%b%b%b" % (image.head, found, image.tail))
                return "", 0.0
            why = "it is no image, or older than the stream's first change"
        sentence = f"the book's image of {image.stream} could not be had from {image.url} ({why})"
        return f"{sentence}: it is asked for again in {pause:.0f} s", pause
