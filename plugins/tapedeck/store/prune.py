"""`store prune`: removing what nobody needs any more, beside live writers. No window is ever removed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec import Struct

from tapedeck.settings import Settings
from tapedeck.slices import NS, parse_duration
from tapedeck.store import database, library, tallies
from tapedeck.store.database import Document
from tapedeck.store.library import Library

DEAD_SECONDS = 3600
"""A mark that is so old was left by a process that died: a replacement takes seconds."""
MS = 1_000_000


class Pruned(Struct, frozen=True, kw_only=True):
    """How much was removed, or would be."""

    generations: int = 0
    parts: int = 0
    """Documents that call themselves part of a window which does not name them."""
    marks: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        """Both together."""
        return Pruned(
            generations=self.generations + other.generations, parts=self.parts + other.parts,
            marks=self.marks + other.marks,
        )  # fmt: skip


def prune(settings: Settings, vendor: str, *, plan_only: bool = False) -> Pruned:
    """Prune all of a vendor's libraries. Safe to run beside anything, and again. Raises Unavailable."""
    age = timedelta(seconds=parse_duration(settings.store.keep_age) // NS)
    total = Pruned()
    for one in library.ensure(settings, vendor).values():
        with database.answering(settings):
            total += _library(one, age, plan_only)
    return total


def _library(one: Library, age: timedelta, plan_only: bool) -> Pruned:
    now = database.server_time(one.earlier)
    old = {"library": one.name, "replaced": {"$lt": now - age}}
    orphans = _orphans(one)
    left = tallies.left_marks(one, DEAD_SECONDS)
    if plan_only:
        kept = one.earlier.count_documents(old)
        return Pruned(generations=kept, parts=len(orphans), marks=len(left))
    forgotten = one.earlier.delete_many(old).deleted_count
    removed = 0
    with tallies.marked(one, {(d["p"], one.around(d["start"] * MS).start) for d in orphans}):
        for part in orphans:  # only as it was seen: its window may have been replaced since
            gone = one.collection.delete_one(
                {"_id": part["_id"], "build": part["build"], "head": part["head"]}
            )
            removed += gone.deleted_count
    tallies.forget_marks(one, left, DEAD_SECONDS)
    return Pruned(generations=forgotten, parts=removed, marks=len(left))


def _orphans(one: Library) -> list[Document]:
    """Parts whose window, read after them, is of another build or does not name them."""
    fields: dict[str, Any] = {"head": 1, "build": 1, "p": 1, "start": 1, "parts": 1}
    one.collection.create_index("head", sparse=True)  # few windows have parts: it costs those few alone
    parts = list(one.collection.find({"head": {"$exists": True}}, fields))
    names = sorted({part["head"] for part in parts})
    heads = {head["_id"]: head for head in one.collection.find({"_id": {"$in": names}}, fields)}
    return [
        part
        for part in parts
        if (head := heads.get(part["head"])) is None
        or head["build"] != part["build"]
        or part["_id"] not in head.get("parts", ())
    ]
