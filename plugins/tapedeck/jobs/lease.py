"""Leases in Mongo: of several processes that would write one thing, one does and the others wait."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError

from tapedeck.errors import Unavailable
from tapedeck.jobs.origin import person
from tapedeck.settings import Settings
from tapedeck.store import database
from tapedeck.store.database import Document

COLLECTION = "job_leases"
SECONDS = 30
"""How long a lease outlives its owner's last sign of life."""
_RENEW_SECONDS = 5.0
_UNTIL = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": SECONDS}}


class Lease:
    """The right to write what `name` names, until `check` says otherwise."""

    def __init__(self, name: str, leases: Collection[Document]) -> None:
        self.name, self._leases, self._owner = name, leases, uuid.uuid4().hex
        self._renewed = time.monotonic()
        self._ended = threading.Event()

    def check(self) -> None:
        """Raises Unavailable once the lease may be another's; call it before each write."""
        if time.monotonic() - self._renewed > SECONDS - 5:
            raise Unavailable(
                f"the lease of {self.name} has run out, since this process or MongoDB stood still for "
                f"{SECONDS} s: nothing more is written; run this again"
            )

    def take(self) -> bool:
        """Take the lease where it is free or has run out."""
        now = time.monotonic()
        with suppress(DuplicateKeyError):
            self._leases.insert_one({"_id": self.name, "until": None})
        mine = [{"$set": {"owner": self._owner, "who": person(), "until": _UNTIL}}]
        free = {"_id": self.name, "$expr": {"$lt": ["$until", "$$NOW"]}}
        self._renewed = now
        return self._leases.update_one(free, mine).matched_count == 1

    def keep(self) -> None:
        """Renew the lease until it is given up or was lost."""
        while not self._ended.wait(_RENEW_SECONDS):
            now = time.monotonic()
            mine = {"_id": self.name, "owner": self._owner}
            with suppress(PyMongoError):  # `check` raises where this goes on
                if not self._leases.update_one(mine, [{"$set": {"until": _UNTIL}}]).matched_count:
                    return
                self._renewed = now

    def give_up(self) -> None:
        """Let the next one have it."""
        self._ended.set()
        self._leases.delete_one({"_id": self.name, "owner": self._owner})

    def holder(self) -> str:
        """Who holds it now, for people."""
        found = self._leases.find_one({"_id": self.name}) or {}
        return str(found.get("who", "another process"))


@contextmanager
def held(settings: Settings, name: str, patience: float = 600.0) -> Iterator[Lease]:
    """Hold the lease of that name in this block.

    A second one waits up to `patience` seconds, then Unavailable says who is at work. One that stands
    still for as long as a lease lives loses it, and its next `check` raises Unavailable. All times are
    the server's, so clocks need not agree.
    """
    deadline = time.monotonic() + patience
    with database.answering(settings):
        lease = Lease(name, database.collection(settings, COLLECTION))
        while not lease.take():
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{name} has been written by {lease.holder()} for longer than {patience:.0f} s: "
                    "wait for that to end, then run this again"
                )
            time.sleep(0.25)
    renewing = threading.Thread(target=lease.keep, daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        with database.answering(settings):
            lease.give_up()
        renewing.join()
