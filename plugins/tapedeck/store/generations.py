"""What documents said before they were replaced, kept for an age, so that a read `as_of` a time repeats.

A generation is a document as it stood, copied by the server before anything may take its place; it was what
readers saw from its `at` (the server's clock) until the next one's. The collection is ours: beside the
library's own documents stock arctic would read both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from tapedeck import endpoints
from tapedeck.errors import BadInput
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time, parse_duration
from tapedeck.store import database
from tapedeck.store.database import Document

if TYPE_CHECKING:
    from tapedeck.store.library import Library

COLLECTION = "generations"
OPTIONS_DIFFER = 85
MS = 1_000_000

_ensured: set[tuple[str, str, int]] = set()


def ensure(settings: Settings) -> None:
    """Have MongoDB forget generations that were replaced longer ago than `store.keep_age`."""
    seconds = parse_duration(settings.store.keep_age) // NS
    key = (endpoints.mongo_uri(settings), settings.mongo.database, seconds)
    if key in _ensured:
        return
    ours = database.collection(settings, COLLECTION)
    ours.create_index([("library", 1), ("sy", 1), ("start", 1), ("generation", 1)])
    try:
        ours.create_index("replaced", expireAfterSeconds=seconds)
    except OperationFailure as e:
        if e.code != OPTIONS_DIFFER:
            raise
        index = {"keyPattern": {"replaced": 1}, "expireAfterSeconds": seconds}
        ours.database.command("collMod", COLLECTION, index=index)
    _ensured.add(key)


def keep(one: Library, ids: Sequence[str]) -> None:
    """Copy these documents as they stand, on the server.

    What comes after may be refused: then what stands has a copy too, until it is replaced after all, and its
    age counts from then.
    """
    if not ids:
        return
    one.collection.aggregate(
        [
            {"$match": {"_id": {"$in": list(ids)}}},
            {"$set": {"library": one.name, "id": "$_id", "replaced": "$$NOW"}},
            {"$set": {"_id": {"$concat": [one.name, "|", "$id", "|", {"$toString": "$generation"}]}}},
            {
                "$merge": {
                    "into": {"db": one.earlier.database.name, "coll": one.earlier.name},
                    "whenMatched": [{"$set": {"replaced": "$$new.replaced"}}],
                    "whenNotMatched": "insert",
                }
            },
        ]
    )


def keep_parts(
    one: Library, parts: Sequence[Mapping[str, Any]], now: datetime, session: ClientSession
) -> None:  # fmt: skip
    """Keep the documents of a halved window within the transaction that replaces them."""
    for part in parts:
        name = f"{one.name}|{part['_id']}|{part['generation']}"
        kept = {**part, "_id": name, "id": part["_id"], "library": one.name, "replaced": now}
        one.earlier.replace_one({"_id": name}, kept, upsert=True, session=session)


def check_age(settings: Settings, one: Library, as_of: int) -> None:
    """Raises BadInput where generations of that time (ns UTC) may be forgotten, or it is yet to come."""
    now = database.server_time(one.collection)
    oldest = now - timedelta(seconds=parse_duration(settings.store.keep_age) // NS)
    if as_of < int(oldest.timestamp() * NS):
        raise BadInput(
            f"as of {format_time(as_of)} can't be told: replaced windows are kept for "
            f"{settings.store.keep_age} (store.keep_age); ask for a later time"
        )
    if as_of > int(now.timestamp() * NS):
        raise BadInput(f"as of {format_time(as_of)} is yet to come: ask for a time that has passed")


def as_of(one: Library, symbols: Sequence[str], of: Slice, time: int) -> list[Document]:
    """The documents that a reader saw at a time (ns UTC), of windows or parts that start in the slice.

    In order of symbol and time. Reads what stands before what was kept, so a replacement in between
    is seen in one or in both of them.
    """
    first, last = of.start // MS, -(-of.end // MS)
    query: dict[str, Any] = {"sy": {"$in": list(symbols)}, "at": {"$lte": database.date(time // MS)}}
    standing = list(
        one.collection.find({**query, "s": {"$gte": database.date(first), "$lt": database.date(last)}})
    )
    earlier = one.earlier.find({**query, "library": one.name, "start": {"$gte": first, "$lt": last}})
    found: dict[str, Document] = {}
    for document in (*standing, *earlier):
        name = document["_id"] = document.pop("id", document["_id"])
        if name not in found or found[name]["generation"] < document["generation"]:
            found[name] = document
    builds = {name: document["build"] for name, document in found.items() if "head" not in document}
    whole = [
        document
        for document in found.values()
        if "head" not in document or document["build"] == builds.get(document["head"])
    ]
    return sorted(whole, key=lambda document: (document["sy"], document["start"]))
