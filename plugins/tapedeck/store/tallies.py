"""One tally a library, partition and window start: what its documents say, summed (DESIGN §4).

A tally is marked before one of its documents is replaced and summed again after, so what is not marked is
the sum of what stands. Each who marks leaves a name of its own and takes away no other: a process that was
killed in between leaves its mark, and whoever reads the tally next sums it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import lz4.block
from pymongo import UpdateOne

from tapedeck import digest
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database
from tapedeck.store.window import Tally

if TYPE_CHECKING:
    from tapedeck.store.library import Library

COLLECTION = "tallies"
MS = 1_000_000
NAMES = ("kept", "duplicate", "voided")
SUMMED = {"_id": 0, **{name: 1 for name in ("sy", "p", "start", *NAMES)}}
RUNS = 100
"""So many runs of windows are asked for in one question."""

ATTEMPTS = 100

Place = tuple[int, int]
"""(partition, start of the window in ns)."""

Sum = tuple[tuple[Tally, Tally, Tally], list[str]]
"""Kept, duplicate and voided of a window's documents, and each document's symbol."""

_ensured: set[tuple[str, str]] = set()


@dataclass(frozen=True, slots=True)
class Summed:
    """What all documents of one library, partition and window say together.

    `stale`: it was marked and not summed since. `version` rises with each mark.
    """

    kind: str
    partition: int
    start: int
    tallies: tuple[Tally, Tally, Tally]
    documents: int
    stale: bool
    version: int

    @property
    def messages(self) -> Tally:
        """All messages of the log that the documents account for: kept, duplicate and voided."""
        return self.tallies[0] + self.tallies[1] + self.tallies[2]


def ensure(settings: Settings) -> None:
    """Have the index by which a slice's tallies are found."""
    key = (settings.mongo.uri, settings.mongo.database)
    if key not in _ensured:
        database.collection(settings, COLLECTION).create_index([("vendor", 1), ("start", 1)])
        _ensured.add(key)


@contextmanager
def marked(one: Library, places: Iterable[Place]) -> Iterator[None]:
    """Around a replacement of documents: their tallies are marked before it and summed after it.

    Where the block fails the marks stay, since some of it may have been done.
    """
    of = sorted(set(places))
    mark = secrets.token_hex(8)
    marks = [
        UpdateOne(
            {"_id": _name(one, place)},
            [
                {
                    "$set": {
                        "vendor": one.vendor, "kind": one.kind, "p": place[0], "start": place[1] // MS,
                        "version": {"$add": [{"$ifNull": ["$version", 0]}, 1]},
                        "marks": {
                            "$concatArrays": [{"$ifNull": ["$marks", []]}, [{"by": mark, "at": "$$NOW"}]]
                        },
                    }
                }
            ],
            upsert=True,
        )
        for place in of
    ]  # fmt: skip
    if marks:
        one.tallies.bulk_write(marks, ordered=False)
    yield
    _sum(one, of, mark)


def read(
    libraries: Iterable[Library], of: Slice, *, exact: bool = True, partition: int | None = None
) -> list[Summed]:
    """The tallies of windows of these libraries that start in the slice, stale ones summed again first.

    Of one vendor, and of one partition where it is named. With `exact` false stale ones stay as they are.
    """
    by_kind = {one.kind: one for one in libraries}
    found = _read(by_kind, of, partition)
    stale = [summed for summed in found if summed.stale]
    if not stale or not exact:
        return found
    for kind, one in by_kind.items():
        _sum(one, [(s.partition, s.start) for s in stale if s.kind == kind], None)
    return _read(by_kind, of, partition)


def _read(by_kind: Mapping[str, Library], of: Slice, partition: int | None) -> list[Summed]:
    one = next(iter(by_kind.values()))
    query: dict[str, Any] = {
        "vendor": one.vendor, "start": {"$gte": of.start // MS, "$lt": -(-of.end // MS)},
        "kind": {"$in": list(by_kind)},
    }  # fmt: skip
    if partition is not None:
        query["p"] = partition
    return [_summed(document) for document in one.tallies.find(query, {"symbols": 0})]


def symbols(one: Library, place: Place) -> tuple[str, ...]:
    """The symbols of which the tally has counted a document, sorted; none where there is no tally."""
    found = one.tallies.find_one({"_id": _name(one, place)}, {"symbols": 1})
    packed = (found or {}).get("symbols")
    return tuple(lz4.block.decompress(packed).decode().split("\n")) if packed else ()


def sums_of(one: Library, places: Iterable[Place]) -> dict[Place, Sum]:
    """What the documents of each window in a partition say now, summed; all asked together."""
    sums = {place: [Tally(), Tally(), Tally()] for place in places}
    found: dict[Place, list[str]] = {place: [] for place in sums}
    runs = list(_runs(sums, one.window))
    for at in range(0, len(runs), RUNS):
        query = [
            {"p": p, "s": {"$gte": database.date(start // MS), "$lt": database.date(end // MS)}}
            for p, start, end in runs[at : at + RUNS]
        ]
        for document in one.collection.find({"$or": query} if len(query) > 1 else query[0], SUMMED):
            place = document["p"], one.around(document["start"] * MS).start
            found[place].append(document["sy"])
            for i, name in enumerate(NAMES):
                if document[name]["n"]:
                    sums[place][i] += _tally(document[name])
    return {place: ((t[0], t[1], t[2]), found[place]) for place, t in sums.items()}


def _runs(places: Iterable[Place], window: int) -> Iterator[tuple[int, int, int]]:
    """Windows of a partition that follow each other, as (partition, start, end)."""
    run: tuple[int, int, int] | None = None
    for p, start in sorted(places):
        if run is not None and run[0] == p and run[2] == start:
            run = p, run[1], start + window
            continue
        if run is not None:
            yield run
        run = p, start, start + window
    if run is not None:
        yield run


def _sum(one: Library, places: Sequence[Place], mark: str | None) -> None:
    """Sum these anew, and take away the mark with it; without one, only where nothing came between.

    A sum is stored only where neither a mark nor another sum came since it was begun, else the slower of
    two would store the older one. Where that goes on for long the mark stays, and readers sum again.
    """
    left = {_name(one, place): place for place in places}
    for _ in range(ATTEMPTS):
        query: dict[str, Any] = {"_id": {"$in": list(left)}}
        if mark is not None:
            query["marks.by"] = mark
        versions = {d["_id"]: d["version"] for d in one.tallies.find(query, {"version": 1})}
        if not versions:
            return
        sums = sums_of(one, [left[name] for name in versions])
        one.tallies.bulk_write(
            [
                UpdateOne({"_id": name, "version": version}, _change(sums[left[name]], mark))
                for name, version in versions.items()
            ],
            ordered=False,
        )
        if mark is None:
            return


def _change(sum: Sum, mark: str | None) -> dict[str, Any]:
    sums, found = sum
    fields: dict[str, Any] = {
        name: {"n": t.messages, "digest": digest.to_hex(t.digest)}
        for name, t in zip(NAMES, sums, strict=True)
    }
    fields["documents"] = len(found)
    fields["symbols"] = lz4.block.compress("\n".join(sorted(set(found))).encode()) if found else b""
    change: dict[str, Any] = {"$set": fields, "$inc": {"version": 1}}
    return change if mark is None else change | {"$pull": {"marks": {"by": mark}}}


def left_marks(one: Library, seconds: int) -> list[Place]:
    """The tallies that bear a mark older than so many seconds: what leaves one is done in far less."""
    now = database.server_time(one.tallies)
    query = {"vendor": one.vendor, "kind": one.kind, "marks.at": {"$lt": now - timedelta(seconds=seconds)}}
    return [(d["p"], d["start"] * MS) for d in one.tallies.find(query, {"p": 1, "start": 1})]


def forget_marks(one: Library, places: Sequence[Place], seconds: int) -> None:
    """Take away marks that are older than so many seconds, and sum again."""
    before = database.server_time(one.tallies) - timedelta(seconds=seconds)
    one.tallies.update_many(
        {"_id": {"$in": [_name(one, place) for place in places]}},
        {"$inc": {"version": 1}, "$pull": {"marks": {"at": {"$lt": before}}}},
    )
    with marked(one, places):
        pass


def _name(one: Library, place: Place) -> str:
    return f"{one.name}|{place[0]}|{place[1] // MS}"


def _tally(field: Mapping[str, Any]) -> Tally:
    return Tally(field["n"], digest.from_hex(field["digest"]))


def _summed(document: Mapping[str, Any]) -> Summed:
    nothing = {"n": 0, "digest": "0"}
    kept, duplicate, voided = (_tally(document.get(name, nothing)) for name in NAMES)
    return Summed(
        kind=document["kind"], partition=document["p"], start=document["start"] * MS,
        tallies=(kept, duplicate, voided), documents=document.get("documents", 0),
        stale=bool(document.get("marks")) or "kept" not in document, version=document["version"],
    )  # fmt: skip
