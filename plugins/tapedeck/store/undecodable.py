"""Records of the log that are no messages, entered in MongoDB so that nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Iterable

from pymongo import UpdateOne

from tapedeck.log.decode import Undecodable
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database

MS = 1_000_000


def enter(settings: Settings, vendor: str, found: Iterable[Undecodable]) -> None:
    """Enter each record once, by (topic id, partition, offset); entering it again changes nothing."""
    updates = [
        UpdateOne(
            {"_id": f"{u.topic_id}|{u.partition}|{u.offset}"},
            {
                "$setOnInsert": {
                    "vendor": vendor, "topic_id": u.topic_id, "partition": u.partition,
                    "offset": u.offset, "timestamp_ms": u.timestamp_ms, "reason": u.reason,
                }
            },
            upsert=True,
        )
        for u in found
    ]  # fmt: skip
    if updates:
        with database.answering(settings):
            database.collection(settings, "undecodable").bulk_write(updates, ordered=False)


def count(settings: Settings, vendor: str, of: Slice) -> int:
    """How many records of the slice, by CreateTime, are entered."""
    within = {"$gte": of.start // MS, "$lt": -(-of.end // MS)}
    with database.answering(settings):
        return database.collection(settings, "undecodable").count_documents(
            {"vendor": vendor, "timestamp_ms": within}
        )
