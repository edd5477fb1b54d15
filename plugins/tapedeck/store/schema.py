"""The version of what is kept in MongoDB: raised by `tapedeck store migrate` alone, and never gone below.

It stands in the collection `schema` and is entered before the first library is. A database that has libraries
and no version is of the first one. (Windows have a version of their own, `window.CODE_VERSION`.)
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pymongo import WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database

from tapedeck.errors import Mismatch

SCHEMA = 2
COLLECTION = "schema"
_ID = "tapedeck"


def found(database: Database[dict[str, Any]]) -> int | None:
    """The version of what the database holds; None where it holds nothing yet."""
    entry = database[COLLECTION].find_one({"_id": _ID})
    if entry is not None:
        return int(entry["version"])
    return None if database["libraries"].find_one({}, {"_id": 1}) is None else 1


def check(database: Database[dict[str, Any]]) -> None:
    """Raises Mismatch where the database is not of this version's schema. Writes nothing."""
    there = found(database)
    if there is not None and there < SCHEMA:
        raise Mismatch(
            f"the database {database.name} is of an earlier tapedeck (schema {there}, and this is {SCHEMA}): "
            "run `tapedeck store migrate`, which may be done while everything runs"
        )
    if there is not None and there > SCHEMA:
        by = (database[COLLECTION].find_one({"_id": _ID}) or {}).get("by", "a later one")
        raise Mismatch(
            f"the database {database.name} is of schema {there}, made by tapedeck {by}, and this is "
            f"{version('tapedeck')}, which knows {SCHEMA}: use that version or a later one"
        )


def enter(database: Database[dict[str, Any]], number: int = SCHEMA) -> None:
    """Enter a version durably; a higher one stands."""
    _durable(database).update_one(
        {"_id": _ID},
        [{"$set": {
            "by": {"$cond": [{"$gte": ["$version", number]}, "$by", version("tapedeck")]},
            "version": {"$max": ["$version", number]},
        }}],
        upsert=True,
    )  # fmt: skip


def _durable(database: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    return database.get_collection(COLLECTION, write_concern=WriteConcern(w="majority", j=True))
