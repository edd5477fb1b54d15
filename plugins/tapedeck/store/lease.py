"""Who writes a vendor: one writer at a time holds the lease, by MongoDB's clock.

It saves work and is no lock: two writers at once are harmless, since documents only go forwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

from pymongo import ReturnDocument
from pymongo.collection import Collection

from tapedeck.settings import Settings
from tapedeck.store import database
from tapedeck.store.database import Document

SECONDS = 10


@dataclass(frozen=True, slots=True)
class Lease:
    """One writer's claim to a vendor; `who` is what others are told."""

    settings: Settings
    vendor: str
    who: str
    id: str = field(default_factory=lambda: uuid4().hex)

    def take(self) -> str | None:
        """Take or renew the lease for SECONDS. Gives who holds it where that is someone else."""
        free = {
            "$or": [
                {"$lte": [{"$ifNull": ["$until", "$$NOW"]}, "$$NOW"]},
                {"$eq": ["$holder", self.id]},
            ]
        }
        ours = {"holder": self.id, "who": self.who, "until": {"$add": ["$$NOW", SECONDS * 1000]}}
        with database.answering(self.settings):
            stands = self._leases().find_one_and_update(
                {"_id": f"writer {self.vendor}"},
                [{"$replaceWith": {"$cond": [free, {"$mergeObjects": ["$$ROOT", ours]}, "$$ROOT"]}}],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return None if stands is None or stands["holder"] == self.id else str(stands["who"])

    def release(self) -> None:
        """Let the next one have it at once."""
        with database.answering(self.settings):
            self._leases().update_one(
                {"_id": f"writer {self.vendor}", "holder": self.id},
                [{"$set": {"until": "$$NOW"}}],
            )

    def _leases(self) -> Collection[Document]:
        return database.collection(self.settings, "leases")
