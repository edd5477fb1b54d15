"""Windows as documents, replaced whole or not at all by compare-and-replace (DESIGN §2.4).

The server compares, in one update whose filter is `_id` alone, so zombies, retries and two runs at
once end with the build that has read furthest. A build replaces what stands only if

- for each topic it has read through at least as far as what stands (an absent topic counts as 0, and
  stands in the way only where something of it was read),
- its code version is not older,
- its content differs, or its code version is newer, and
- where it adds to a stored document (`Built.base`), that very document still stands.

`ranges` are the claims, `content` a hash of the rows and tallies, `build` names the build, and
`generation` rises with each replacement. A window over `LIMIT` bytes is halved by time; its first part
has the window's own `_id` and names the others in `parts`, and all change in one transaction.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from pymongo import ReadPreference, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern

from tapedeck import digest
from tapedeck.columns import Columns
from tapedeck.errors import Mismatch, Unavailable
from tapedeck.log.plan import Claim
from tapedeck.slices import Slice
from tapedeck.store import database, generations, tallies
from tapedeck.store.database import DURABLE, Document, date
from tapedeck.store.decoder import decode, decode_all
from tapedeck.store.encoder import encode, encode_all
from tapedeck.store.library import Library
from tapedeck.store.window import CODE_VERSION, Built, Tally, between, tally_of

LIMIT = 8 * 2**20
"""Bytes over which a window is halved. MongoDB refuses 16 MB, and the whole bulk with it."""
BATCH = 100
RACES = 20
"""How often others may replace a document between its being kept and its being replaced."""
DUPLICATE_KEY = 11000
MS = 1_000_000
TALLIES = ("kept", "duplicate", "voided")
HEAD = {
    name: 1
    for name in ("sy", "p", "start", "end", "ranges", *TALLIES, "partial", "code", "content", "build",
                 "generation", "parts", "head")
}  # fmt: skip
"""What a document says of itself, without its rows."""


class Outcome(Enum):
    """What became of a build."""

    WRITTEN = "written"
    EQUAL = "equal"
    """What stands says the same."""
    REFUSED = "refused"
    """What stands has read something that this build has not: rebuild from the greater of both."""
    OUTDATED = "outdated"
    """What stands was built by newer code: leave it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it stands: a window, or one part of a halved one. `span` is its own, ns UTC."""

    id: str
    symbol: str
    span: Slice
    claims: tuple[Claim, ...]
    partial: bool
    build: str
    code: int
    content: str
    document: Mapping[str, Any]

    @property
    def tallies(self) -> tuple[Tally, Tally, Tally]:
        """Of kept, duplicate and voided messages. Reckoned when asked for: who reads rows does not."""
        kept, duplicate, voided = (
            Tally(self.document[t]["n"], digest.from_hex(self.document[t]["digest"])) for t in TALLIES
        )
        return kept, duplicate, voided

    def through(self, topic_id: str) -> int:
        """The offset that was read through in a topic; 0 where it was not read."""
        return max((c.next for c in self.claims if c.topic_id == topic_id), default=0)

    def rows(self, kind: str, places: bool = True) -> Columns:
        """The kept messages; the document must have been read whole. `places`: with `topic` and `offset`."""
        return decode(kind, self.document, places)


def rows_of(kind: str, held: Sequence[Stored], places: bool = True) -> Columns:
    """The kept messages of one symbol's documents, in their order, laid out together (`Stored.rows`)."""
    return decode_all(kind, [stored.document for stored in held], places)


def document_id(start: int, symbol: str) -> str:
    """`<start_ms>|<symbol>` of a window that starts at `start` ns."""
    return f"{start // MS}|{symbol}"


def replace(
    one: Library,
    builds: Sequence[Built],
    by: str,
    limit: int = LIMIT,
    absent: Container[str] = (),
) -> list[Outcome]:
    """Store each build, or find that what stands is to stay. `by` says who writes.

    `absent`: symbols of which nothing stood a moment ago; the windows of others are looked for. Where none
    stands it is inserted, which costs the server a third of a comparison; one that stands after all is
    compared. What is replaced is kept as an earlier generation first. Returns when MongoDB's majority has
    everything in its journals. Raises Unavailable where it is not asked for that, and pymongo's errors where
    it fails (then it is safe to do this again).
    """
    collection = one.collection
    if collection.write_concern != DURABLE:
        raise Unavailable(
            f"{collection.full_name} would be written with {collection.write_concern}, not w=majority and "
            "j=true: open it through tapedeck.store.library"
        )
    outcomes: list[Outcome] = []
    standing = _standing(one, [built for built in builds if built.symbol not in absent])
    places = {(built.partition, built.span.start) for built in builds} | set(standing.values())
    with tallies.marked(one, places):
        for at in range(0, len(builds), BATCH):
            outcomes += _replace_batch(one, builds[at : at + BATCH], by, limit, standing.keys())
    return outcomes


def _standing(one: Library, builds: Sequence[Built]) -> dict[str, tuple[int, int]]:
    """By id, partition and start of the windows that stand: after a growth it may be another partition."""
    ids = [document_id(built.span.start, built.symbol) for built in builds]
    found: dict[str, tuple[int, int]] = {}
    for at in range(0, len(ids), 10 * BATCH):
        some = {"_id": {"$in": ids[at : at + 10 * BATCH]}}
        for d in one.collection.find(some, {"p": 1, "start": 1}):
            found[d["_id"]] = d["p"], d["start"] * MS
    return found


def foreseen(builds: Iterable[Built], stood: Mapping[str, Sequence[Stored]]) -> list[Outcome]:
    """What would become of each build, by what stands of its symbol; nothing is written."""
    outcomes = []
    for built in builds:
        head = next(iter(stood.get(built.symbol, ())), None)
        if head is None or (head.code <= CODE_VERSION and head.content != built.content):
            outcomes.append(Outcome.WRITTEN)
        elif head.code > CODE_VERSION:
            outcomes.append(Outcome.OUTDATED)
        else:
            outcomes.append(Outcome.EQUAL if head.code == CODE_VERSION else Outcome.WRITTEN)
    return outcomes


def heads(
    collection: Collection[Document], partition: int, of: Slice, symbols: Iterable[str] | None = None
) -> list[Stored]:
    """What the windows of one partition that start in the slice say of themselves, without rows.

    Of a halved window, each part: its first part has the window's `_id`.
    """
    query: dict[str, Any] = {"s": _within(of), "p": partition}
    if symbols is not None:
        query["sy"] = {"$in": list(symbols)}
    return [stored(document) for document in collection.find(query, HEAD)]


def heads_of(collection: Collection[Document], symbol: str, of: Slice) -> list[Stored]:
    """What one symbol's windows that start in the slice say of themselves, without rows, in order."""
    return [stored(d) for d in collection.find({"sy": symbol, "s": _within(of)}, HEAD).sort("s", 1)]


def load(collection: Collection[Document], symbols: Sequence[str], of: Slice) -> list[Stored]:
    """The documents, rows and all, of symbols whose windows (or parts) start in the slice, in order."""
    query = {"sy": symbols[0] if len(symbols) == 1 else {"$in": list(symbols)}, "s": _within(of)}
    found = collection.find(query).sort([("sy", 1), ("s", 1)])
    return [stored(document) for document in found]


def sizes(collection: Collection[Document], symbols: Sequence[str], of: Slice) -> Iterator[tuple[int, int]]:
    """(start in UTC ns, rows) of each document of these symbols that starts in the slice."""
    query = {"sy": {"$in": list(symbols)}, "s": _within(of)}
    for document in collection.find(query, {"_id": 0, "start": 1, "c": 1}):
        yield document["start"] * MS, document["c"]


def in_partition(collection: Collection[Document], partition: int, of: Slice) -> Iterator[Stored]:
    """The documents, rows and all, of one partition's windows (or parts) that start in the slice."""
    for document in collection.find({"s": _within(of), "p": partition}):
        yield stored(document)


def standing_in(collection: Collection[Document], of: Slice) -> Iterator[Document]:
    """All documents, rows and all, that start in the slice, whatever they are."""
    yield from collection.find({"s": _within(of)})


def distrust(collection: Collection[Document], ids: Sequence[str]) -> None:
    """Say that these documents do not hold what they say, so that a rebuild writes them again.

    A build whose content equals what stands is not written, and a row that was altered on the disk leaves
    what the document says of itself as it was.
    """
    if ids:
        collection.update_many({"_id": {"$in": list(ids)}}, {"$set": {"content": ""}})


def stored(document: Mapping[str, Any]) -> Stored:
    """A document of ours. Raises Mismatch for one that is not."""
    try:
        claims = tuple(
            Claim(topic_id=r["id"], partition=document["p"], start=r["start"], next=r["next"])
            for r in document["ranges"]
        )
        for t in TALLIES:
            document[t]["n"], document[t]["digest"]
        return Stored(
            id=document["_id"], symbol=document["sy"],
            span=Slice(document["start"] * MS, document["end"] * MS), claims=claims,
            partial=document["partial"], build=document["build"], code=document["code"],
            content=document["content"], document=document,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as e:
        raise Mismatch(
            f"the document {document.get('_id')!r} was not written by tapedeck ({e!r} is wrong in it): find "
            "who else writes to its library, and move it away"
        ) from e


def _within(of: Slice) -> dict[str, datetime]:
    return {"$gte": date(of.start // MS), "$lt": date(-(-of.end // MS))}


# one window to one or more documents


def documents(built: Built, by: str, limit: int = LIMIT, encoded: Document | None = None) -> list[Document]:
    """The window's document, or its parts, the first of which is its head. `encoded`: its rows, if known."""
    parts = list(_halve(built, built.span, built.tallies, limit, encoded))
    head, *rest = parts
    shared = {
        "p": built.partition,
        "ranges": [{"id": c.topic_id, "start": c.start, "next": c.next} for c in built.claims],
        "partial": built.partial,
        "code": CODE_VERSION,
        "content": built.content,
        "build": built.build,
        "by": by,
    }
    head |= {**shared, "parts": [part["_id"] for part in rest]}
    for part in rest:
        part |= {**shared, "head": head["_id"]}
    return parts


def _halve(
    built: Built,
    span: Slice,
    tallies: tuple[Tally, Tally, Tally],
    limit: int,
    encoded: Document | None = None,
) -> Iterator[Document]:
    rows = built.kept if encoded is not None else between(built.kept, span)
    document = _document(built.symbol, span, rows, tallies, encoded or encode(rows))
    middle = (span.start + span.end) // 2 // MS * MS
    if _size(document) <= limit or middle <= span.start:
        yield document
        return
    first, second = Slice(span.start, middle), Slice(middle, span.end)
    late = [tally_of(between(c, second)) for c in (built.kept, built.duplicates, built.voided)]
    early = [Tally(t.messages - s.messages, digest.subtract(t.digest, s.digest))
             for t, s in zip(tallies, late, strict=True)]  # fmt: skip
    yield from _halve(built, first, (early[0], early[1], early[2]), limit)
    if any(t.messages for t in late):
        yield from _halve(built, second, (late[0], late[1], late[2]), limit)


def _document(
    symbol: str, span: Slice, rows: Columns, tallies: Sequence[Tally], encoded: Document
) -> Document:
    stamps = rows["ts_recv"]
    first, last = (int(stamps[0]), int(stamps[-1])) if len(rows) else (span.start, span.start)
    return {
        "_id": document_id(span.start, symbol),
        "sy": symbol,
        "v": 3,
        "s": date(first // MS),
        "e": date(last // MS),
        **encoded,
        "start": span.start // MS,
        "end": span.end // MS,
        **{
            name: {"n": t.messages, "digest": digest.to_hex(t.digest)}
            for name, t in zip(TALLIES, tallies, strict=True)
        },
    }


def _size(document: Document) -> int:
    """Bytes in MongoDB, from above: the blocks and a bound for all the rest."""
    blocks = sum(len(cell["d"]) + len(cell["m"]) + 100 for cell in document["cs"].values())
    texts = sum(4 * len(text) + 16 for text in document.get("texts", ()))
    return blocks + texts + len(document["i"]) + len(document["own"]) + 4096


# compare and replace


def _replace_batch(
    one: Library, builds: Sequence[Built], by: str, limit: int, standing: Container[str]
) -> list[Outcome]:
    encoded = encode_all([built.kept for built in builds])
    made = [documents(built, by, limit, rows) for built, rows in zip(builds, encoded, strict=True)]
    single = [(b, parts[0]) for b, parts in zip(builds, made, strict=True) if len(parts) == 1]
    new = [document for built, document in single if document["_id"] not in standing and not built.base]
    inserted = _insert(one.collection, new) if new else set()
    left = [(built, document) for built, document in single if document["_id"] not in inserted]
    found = {name: Outcome.WRITTEN for name in inserted}
    for _ in range(RACES):
        if not left:
            break
        found |= _compare_and_replace(one, left)
        left = [(built, document) for built, document in left if document["_id"] not in found]
    outcomes = []
    for built, parts in zip(builds, made, strict=True):
        outcome = found.get(parts[0]["_id"])
        outcomes.append(_replace_parts(one, built, parts) if outcome is None else outcome)
    return outcomes


def _compare_and_replace(one: Library, left: Sequence[tuple[Built, Document]]) -> dict[str, Outcome]:
    """What became of these builds, by id; none of a halved window, nor of one that others were quicker at."""
    primary = one.collection.with_options(read_preference=ReadPreference.PRIMARY)
    ids = [document["_id"] for _, document in left]
    before = {d["_id"]: d for d in primary.find({"_id": {"$in": ids}}, HEAD)}
    going = [
        document["_id"]
        for built, document in left
        if (stands := before.get(document["_id"])) is not None
        and stands.get("build") != built.build
        and verdict(stands, built) is Outcome.WRITTEN
    ]
    generations.keep(one, going)
    result = one.collection.bulk_write(
        [_update(built, document, before.get(document["_id"])) for built, document in left], ordered=False
    )
    if not result.acknowledged:
        raise Unavailable(f"MongoDB did not acknowledge writes to {one.collection.full_name}")
    after = {d["_id"]: d for d in primary.find({"_id": {"$in": ids}}, HEAD)}
    found = {}
    for built, document in left:
        stands = after.get(document["_id"])
        if stands is not None and stands.get("parts"):
            continue
        outcome = verdict(stands, built)
        raced = outcome is Outcome.WRITTEN and (stands is None or stands.get("build") != built.build)
        if not raced:
            found[document["_id"]] = outcome
    return found


def _insert(collection: Collection[Document], new: Sequence[Document]) -> set[str]:
    """Insert documents where none of their `_id` stands; gives the ids of those that now do."""
    now = database.server_time(collection)
    try:
        result = collection.insert_many(
            [{**document, "generation": 1, "at": now} for document in new], ordered=False
        )  # fmt: skip
    except BulkWriteError as e:
        errors = e.details["writeErrors"]
        if e.details.get("writeConcernErrors") or any(error["code"] != DUPLICATE_KEY for error in errors):
            raise
        return {document["_id"] for document in new} - {error["op"]["_id"] for error in errors}
    if not result.acknowledged:
        raise Unavailable(f"MongoDB did not acknowledge writes to {collection.full_name}")
    return set(result.inserted_ids)


def verdict(stands: Mapping[str, Any] | None, built: Built) -> Outcome:
    """What must become of a build where this stands; the Python twin of the server's `_update`.

    Of a build that stands itself: it was written.
    """
    if stands is None:
        return Outcome.WRITTEN if built.base in (None, "") else Outcome.REFUSED
    if stands.get("build") == built.build:
        return Outcome.WRITTEN
    if stands.get("code", 0) > CODE_VERSION:
        return Outcome.OUTDATED
    if stands.get("content") == built.content and stands.get("code") == CODE_VERSION:
        return Outcome.EQUAL
    through = {c.topic_id: c.next for c in built.claims}
    if any(r["next"] > through.get(r["id"], r["start"]) for r in stands.get("ranges", ())):
        return Outcome.REFUSED
    if built.base is not None and stands.get("build", "") != built.base:
        return Outcome.REFUSED
    return Outcome.WRITTEN


def _update(built: Built, document: Document, before: Mapping[str, Any] | None) -> UpdateOne:
    """`$literal` keeps names, types and order; the filter must be `_id` alone (facts: it races else).

    Nothing is replaced but what stood `before`, which was kept, or nothing where nothing did.
    """
    through = [
        {"case": {"$eq": ["$$this.id", c.topic_id]}, "then": {"$gt": ["$$this.next", c.next]}}
        for c in built.claims
    ]
    further: Any = {"$gt": ["$$this.next", "$$this.start"]}
    if through:
        further = {"$switch": {"branches": through, "default": further}}
    stays = [
        {"$gt": [{"$ifNull": ["$code", 0]}, CODE_VERSION]},
        {"$and": [{"$eq": ["$content", document["content"]]}, {"$eq": ["$code", CODE_VERSION]}]},
        {"$anyElementTrue": {"$map": {"input": {"$ifNull": ["$ranges", []]}, "in": further}}},
        {"$gt": [{"$size": {"$ifNull": ["$parts", []]}}, 0]},
        {"$ne": [{"$ifNull": ["$generation", 0]}, (before or {}).get("generation", 0)]},
    ]
    if built.base is not None:
        stays.append({"$ne": [{"$ifNull": ["$build", ""]}, built.base]})
    later = {"$max": ["$$NOW", {"$add": ["$at", 1]}]}  # though the server's clock was set back
    fresh = {
        "$mergeObjects": [
            {"$literal": document},
            {"generation": {"$add": [{"$ifNull": ["$generation", 0]}, 1]}, "at": later},
        ]
    }
    change = [{"$replaceWith": {"$cond": [{"$or": stays}, "$$ROOT", fresh]}}]
    return UpdateOne({"_id": document["_id"]}, change, upsert=not built.base)


def _replace_parts(one: Library, built: Built, parts: Sequence[Document]) -> Outcome:
    """Replace a window of more than one document, or by more than one, in one transaction."""
    head, collection = parts[0], one.collection
    now = database.server_time(collection)

    def change(session: Any) -> Outcome:
        stands = collection.find_one({"_id": head["_id"]}, HEAD, session=session)
        outcome = verdict(stands, built)
        if outcome is not Outcome.WRITTEN or (stands and stands["build"] == built.build):
            return outcome
        old = [head["_id"], *(stands or {}).get("parts", ())]
        earlier = list(collection.find({"_id": {"$in": old}}, session=session))
        generations.keep_parts(one, earlier, now, session)
        generation = (stands or {}).get("generation", 0) + 1
        at = max([now, *(part["at"] + timedelta(milliseconds=1) for part in earlier)])
        for part in parts:
            fresh = {**part, "generation": generation, "at": at}
            collection.replace_one({"_id": part["_id"]}, fresh, upsert=True, session=session)
        stale = {part["_id"] for part in earlier} - {part["_id"] for part in parts}
        if stale:
            collection.delete_many({"_id": {"$in": sorted(stale)}}, session=session)
        return outcome

    with collection.database.client.start_session() as session:
        try:
            return session.with_transaction(
                change, read_concern=ReadConcern("snapshot"), write_concern=DURABLE,
                read_preference=ReadPreference.PRIMARY,
            )  # fmt: skip
        except PyMongoError as e:
            if e.has_error_label("TransientTransactionError"):
                return Outcome.REFUSED  # others changed it all the while: look again
            raise
