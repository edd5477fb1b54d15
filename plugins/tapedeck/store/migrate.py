"""From an earlier schema to this one. Each step may be killed, run twice, and run beside writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pymongo import UpdateOne
from pymongo.database import Database

from tapedeck.settings import Settings
from tapedeck.store import blocks, database, ledger, schema
from tapedeck.store.database import Document

AT_ONCE = 200


class Step(NamedTuple):
    """What leads to a version: a sentence, and the work, which gives how much there was to do."""

    what: str
    do: Callable[[Database[Document], bool], int]


def seal(own: Database[Document], plan: bool) -> int:
    """Give the ledger's blocks that have none their checksum; one that contradicts itself stays without."""
    book = own.get_collection(ledger.COLLECTION, write_concern=database.DURABLE)
    done, updates = 0, []
    for block in book.find({"sum": {"$exists": False}}, batch_size=AT_ONCE):
        if any(blocks.unsound(block)):
            continue
        done += 1
        # Whoever enters into it meanwhile writes its sum himself.
        same = {
            "_id": block["_id"],
            "sum": {"$exists": False},
            "facts": block["facts"],
            "runs": block["runs"],
        }
        updates.append(UpdateOne(same, {"$set": {"sum": ledger.checksum(block)}}))
        if len(updates) >= AT_ONCE and not plan:
            book.bulk_write(updates, ordered=False)
            updates.clear()
    if updates and not plan:
        book.bulk_write(updates, ordered=False)
    return done


STEPS: Mapping[int, Step] = MappingProxyType({2: Step("blocks of the ledger given their checksum", seal)})
"""By the version that a step leads to."""


def migrate(settings: Settings, plan: bool = False) -> list[str]:
    """Bring the database to this version's schema; what was done, a line a step. With `plan` nothing is done.

    Raises Mismatch where it is of a later one, Unavailable.
    """
    own = database.client(settings)[settings.mongo.database]
    said = []
    with database.answering(settings):
        there = schema.found(own)
        if there is None or there >= schema.SCHEMA:
            schema.check(own)
            return []
        for number in range(there + 1, schema.SCHEMA + 1):
            count = STEPS[number].do(own, plan)
            if not plan:
                schema.enter(own, number)
            said.append(f"schema {number}: {count:,} {STEPS[number].what}")
    return said
