"""What a writer knows of `md.meta`, read anew every few seconds beside its work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import KafkaException

from tapedeck.errors import Mismatch, NothingRecorded, TapedeckError, Unavailable
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import Meta, VendorTopics
from tapedeck.settings import Settings

SECONDS = 2.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """`md.meta` as it was at `at` (monotonic seconds) or later, its topics proved to be the pinned ones."""

    meta: Meta
    topics: VendorTopics
    at: float


def look(settings: Settings, vendor: str) -> Seen:
    """Read `md.meta` and prove the topics, which are there. Raises BadInput, Mismatch, Unavailable."""
    at = time.monotonic()
    try:
        known = meta.read(settings)
        return Seen(known, topics.verify(settings, vendor, known), at)
    except KafkaException as e:
        raise client.unavailable(settings, e.args[0].str()) from e
    except NothingRecorded as e:  # it is recorded, but who answered lags behind
        raise client.unavailable(settings, f"a broker does not know of {vendor}'s topics yet") from e


def sure(asking: Callable[[], T], pause: Callable[[float], object] = time.sleep) -> T:
    """What `asking` gives; its Mismatch only if it raises one again after SECONDS.

    A broker that just took a topic over does not know it for a moment, and that looks like a topic that
    is gone.
    """
    try:
        return asking()
    except Mismatch:
        pause(SECONDS)
        return asking()


class Watch:
    """Looks again and again in a thread of its own. What it finds wrong is raised by `seen`."""

    def __init__(
        self, settings: Settings, vendor: str, first: Seen, again: Callable[[], Seen] | None = None
    ) -> None:
        self._seen = first
        self._error: TapedeckError | None = None
        self._name = meta.topic_name(settings)
        self._again = again or (lambda: look(settings, vendor))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._thread.start()

    @property
    def seen(self) -> Seen:
        """The newest look. Raises what the last one raised: Unavailable for what nobody foresaw."""
        if self._error is not None:
            raise self._error
        return self._seen

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join(30)

    def _look(self) -> None:
        while not self._ended.wait(SECONDS):
            try:
                self._seen = sure(self._again, self._ended.wait)
            except TapedeckError as e:
                self._error = e
                return
            except Exception as e:
                error = Unavailable(f"{self._name} can't be read anew ({e!r}): run this again")
                error.__cause__ = e
                self._error = error
                return
