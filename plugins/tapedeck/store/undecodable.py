"""Records of the log that are no messages, entered in MongoDB so that nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

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
            {"_id": name(u)},
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


def name(u: Undecodable) -> str:
    """What a record is entered by."""
    return f"{u.topic_id}|{u.partition}|{u.offset}"


def count(settings: Settings, vendor: str, of: Slice) -> int:
    """How many records of the slice, by CreateTime, are entered and can't be decoded to this day."""
    within = {"$gte": of.start // MS, "$lt": -(-of.end // MS)}
    with database.answering(settings):
        return database.collection(settings, "undecodable").count_documents(
            {"vendor": vendor, "timestamp_ms": within, "decoded": {"$exists": False}}
        )


def standing(settings: Settings, vendor: str) -> list[Undecodable]:
    """Every record of the vendor that is entered and was never marked, by place."""
    with database.answering(settings):
        found = database.collection(settings, "undecodable").find(
            {"vendor": vendor, "decoded": {"$exists": False}}
        )
        entries = [
            Undecodable(d["topic_id"], d["partition"], d["offset"], d["timestamp_ms"], d["reason"])
            for d in found
        ]
    return sorted(entries, key=lambda u: (u.topic_id, u.partition, u.offset))


def mark(settings: Settings, found: Iterable[Undecodable], now: datetime) -> None:
    """Mark records that can be decoded now, and whose windows were rebuilt, with the time of it."""
    names = [name(u) for u in found]
    with database.answering(settings):
        database.collection(settings, "undecodable").update_many(
            {"_id": {"$in": names}, "decoded": {"$exists": False}}, {"$set": {"decoded": now}}
        )
