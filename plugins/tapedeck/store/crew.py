"""The writers of all machines, as each says of itself in MongoDB: who holds what, and how far it is behind.

A record on a machine's own disk tells only whoever asks there. Nothing hangs on an entry here: it is for
people to look at, and one that is not renewed is of a writer that is gone, or can't reach MongoDB.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from tapedeck.errors import TapedeckError
from tapedeck.settings import Settings
from tapedeck.store import database

COLLECTION = "writers"
EVERY_SECONDS = 2.0
FRESH_SECONDS = 15.0
"""A writer that has not said anything for so long does not run."""
KEPT_SECONDS = 86_400
"""After that it is forgotten."""


class Telling(threading.Thread):
    """Says the newest report now and then, so that no writer waits for MongoDB to say how it is."""

    def __init__(self, settings: Settings, who: str) -> None:
        """`who` names the writer over all machines."""
        super().__init__(name="telling", daemon=True)
        self._settings, self._who = settings, who
        self._report: Mapping[str, Any] = {}
        self._ended = threading.Event()
        self._said = False

    def tell(self, report: Mapping[str, Any]) -> None:
        """What is to be said next."""
        self._report = report

    def run(self) -> None:
        """Until `end`. Where MongoDB does not answer, nothing is said until it does."""
        made = False
        while not self._ended.wait(EVERY_SECONDS):
            if not self._report:
                continue
            self._said = False
            try:
                with database.answering(self._settings):
                    entries = database.database(self._settings)[COLLECTION]
                    if not made:
                        entries.create_index("at", expireAfterSeconds=KEPT_SECONDS)
                        made = True
                    entry = {"$literal": {**self._report}}
                    said = {"$replaceWith": {"$mergeObjects": [{"_id": self._who, "at": "$$NOW"}, entry]}}
                    entries.update_one({"_id": self._who}, [said], upsert=True)
                    self._said = True
            except TapedeckError:
                continue

    def end(self) -> None:
        """Take the entry away: this writer has ended as it was told to. MongoDB is not waited for."""
        self._ended.set()
        self.join(EVERY_SECONDS)
        if not self._said:
            return  # what was never said, or can't be reached, is forgotten by itself
        try:
            with database.answering(self._settings):
                database.database(self._settings)[COLLECTION].delete_one({"_id": self._who})
        except TapedeckError:
            return


def entries(settings: Settings) -> list[dict[str, Any]]:
    """What each writer said last, with `age`, the seconds since then, and whether it seems to be `running`.

    Raises Unavailable.
    """
    with database.answering(settings):
        found = database.database(settings)[COLLECTION]
        now, said = database.server_time(found), list(found.find({}).sort("_id", 1))
    for one in said:
        one["age"] = max(0.0, (now - one.pop("at")).total_seconds())
        one["running"] = one["age"] < FRESH_SECONDS
    return said
