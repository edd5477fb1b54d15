"""How far writers have come, in MongoDB: per partition the lowest offset not yet safe in Arctic.

Everything below `next` is in an acknowledged document of a closed window, or entered as undecodable, or
is a control record. A position only rises, whoever saves it, so a zombie can't take it back.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from pymongo import UpdateOne

from tapedeck.settings import Settings
from tapedeck.store import database

Lane = tuple[str, int]
"""Topic id and partition."""


class Position(Struct, frozen=True, kw_only=True):
    """Of one partition of one topic. `closed`: by kind, the end (UTC ns) of the last closed window."""

    topic_id: str
    partition: int
    next: int
    closed: dict[str, int] = {}


def read(settings: Settings, vendor: str) -> dict[Lane, Position]:
    """The vendor's positions by (topic id, partition); a partition never saved is absent."""
    with database.answering(settings):
        found = list(database.collection(settings, "positions").find({"vendor": vendor}))
    return {
        (d["topic_id"], d["partition"]): Position(
            topic_id=d["topic_id"], partition=d["partition"], next=d["next"], closed=d.get("closed", {})
        )
        for d in found
    }


def save(settings: Settings, vendor: str, positions: Iterable[Position]) -> None:
    """Raise the positions; returns when MongoDB has them durably. What is lower than before is ignored."""
    updates = [
        UpdateOne(
            {"_id": f"{p.topic_id}|{p.partition}"},
            {
                "$max": {"next": p.next, **{f"closed.{kind}": end for kind, end in p.closed.items()}},
                "$setOnInsert": {"vendor": vendor, "topic_id": p.topic_id, "partition": p.partition},
            },
            upsert=True,
        )
        for p in positions
    ]
    if updates:
        with database.answering(settings):
            database.collection(settings, "positions").bulk_write(updates, ordered=False)
