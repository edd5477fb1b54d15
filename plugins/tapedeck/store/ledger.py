"""The coverage ledger in MongoDB: facts of the log in fixed blocks of 65,536 offsets (DESIGN §4).

Whoever reads the log through decode anyway enters what it saw: the live writer as it goes, a rebuild, a
catching up. A block that is still filling, or whose beginning Kafka deleted before anyone read it, has the
facts of the runs of offsets that were read; what is entered again is left out, offset by offset, so two who
read the same can't count it twice. Facts stay when Kafka deletes the records: they stand for the log then.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from tapedeck.columns import Array
from tapedeck.errors import Incomplete, Unavailable
from tapedeck.log import client
from tapedeck.log.decode import Decoded, decode_records
from tapedeck.log.meta import TopicPin
from tapedeck.log.plan import Range
from tapedeck.log.read import Records, read_range
from tapedeck.message import KINDS
from tapedeck.partitions import MOST
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database
from tapedeck.store.facts import (
    ROW,
    UNDECODABLE,
    Runs,
    Seen,
    added,
    facts,
    joined,
    missing,
    seen,
    total,
    union,
)
from tapedeck.store.window import CODE_VERSION, Tally

if TYPE_CHECKING:
    from tapedeck.store.library import Library

COLLECTION = "ledger"
BLOCK = 65_536
EVERY_SECONDS = 10.0
PENDING = 524_288
"""Records that are held back at most: 25 bytes each."""
RACES = 50
MINUTE_NS = 60 * 10**9
DUPLICATE_KEY = 11000

Place = tuple[str, int, int]
"""(kind, partition group, start of the window in ns)."""

_ensured: set[tuple[str, str]] = set()


def ensure(settings: Settings) -> None:
    """Have the index by which a slice's blocks are found."""
    key = (settings.mongo.uri, settings.mongo.database)
    if key not in _ensured:
        with database.answering(settings):
            blocks = database.collection(settings, COLLECTION)
            blocks.create_index([("vendor", 1), ("days", 1)])
            blocks.create_index([("vendor", 1), ("partition", 1), ("days", 1)])
        _ensured.add(key)


class Ledger:
    """Enters what is read of one vendor's log. Of one thread."""

    def __init__(self, settings: Settings, vendor: str) -> None:
        self.settings, self.vendor = settings, vendor
        self.pending: dict[tuple[str, int], list[Seen]] = {}
        self.count = 0
        self.flushed = time.monotonic()
        ensure(settings)

    def add(self, records: Records, decoded: Decoded) -> None:
        """Take note of a decoded batch. It is entered by the next flush, at the latest after PENDING."""
        if len(records):
            r = records.range
            self.pending.setdefault((r.topic_id, r.partition), []).append(seen(records, decoded))
            self.count += len(records)
            if self.count >= PENDING:
                self.flush()

    def flush_due(self) -> None:
        """Enter what is held back where that is some seconds ago."""
        if time.monotonic() - self.flushed >= EVERY_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Enter all that was seen; durable when this returns. Raises Unavailable, and then keeps it."""
        blocks: dict[str, list[Seen]] = {}
        for (topic_id, partition), parts in self.pending.items():
            for whole in joined(parts):
                for at in range(whole.start // BLOCK * BLOCK, whole.next, BLOCK):
                    part = whole.part(max(at, whole.start), min(at + BLOCK, whole.next))
                    blocks.setdefault(f"{topic_id}|{partition}|{at // BLOCK}", []).append(part)
        names = list(blocks)
        with database.answering(self.settings):
            for at in range(0, len(names), 100):
                self._enter({name: blocks[name] for name in names[at : at + 100]})
        self.pending.clear()
        self.count, self.flushed = 0, time.monotonic()

    def _enter(self, blocks: dict[str, list[Seen]]) -> None:
        collection = database.collection(self.settings, COLLECTION)
        for _ in range(RACES):
            stands = {d["_id"]: d for d in collection.find({"_id": {"$in": list(blocks)}})}
            changes: list[Any] = []
            for name, parts in blocks.items():
                old = stands.get(name)
                new = _merged(self.vendor, name, old, parts)
                if new is not None and old is None:
                    changes.append(InsertOne(new))
                elif new is not None and old is not None:
                    changes.append(ReplaceOne({"_id": name, "version": old["version"]}, new))
            if not changes:
                return
            try:
                result = collection.bulk_write(changes, ordered=False)
            except BulkWriteError as e:
                codes = {error["code"] for error in e.details["writeErrors"]}
                if e.details.get("writeConcernErrors") or codes != {DUPLICATE_KEY}:
                    raise
                continue
            if result.inserted_count + result.matched_count == len(changes):
                return
        raise Unavailable("others entered the same blocks of the ledger all the while: run this again")


def _merged(
    vendor: str, name: str, old: dict[str, Any] | None, parts: Sequence[Seen]
) -> dict[str, Any] | None:
    """The block with what these add to it; None where they add nothing.

    Facts that older code found are replaced only by a reading of all that they are about.
    """
    topic_id, partition, block = name.rsplit("|", 2)
    runs: Runs = tuple((a, b) for a, b in old["runs"]) if old else ()
    code = old["code"] if old else CODE_VERSION
    rows = [np.frombuffer(old["facts"], ROW)] if old else []
    if code > CODE_VERSION:
        return None
    own = union((part.start, part.next) for part in parts)
    if code < CODE_VERSION and not any(missing(a, b, own) for a, b in runs):
        runs, rows, code = (), [], CODE_VERSION
    before = runs
    for part in parts:
        for start, end in missing(part.start, part.next, runs):
            rows.append(facts(part.part(start, end)))
            runs = union((*runs, (start, end)))
    if runs == before:
        return None
    whole = added(np.concatenate(rows))
    days = np.unique(whole["minute"] // 1440).tolist()
    made = {
        "_id": name, "vendor": vendor, "topic_id": topic_id, "partition": int(partition), "block": int(block),
        "runs": [list(run) for run in runs], "code": code, "days": days, "first": int(whole["minute"].min()),
        "last": int(whole["minute"].max()), "facts": whole.tobytes(),
        "version": old["version"] + 1 if old else 1,
    }  # fmt: skip
    return {**made, "sum": checksum(made)}


def checksum(block: Mapping[str, Any]) -> str:
    """A hash of what a block says, kept in it."""
    runs = [[int(a), int(b)] for a, b in block["runs"]]
    h = hashlib.blake2b(f"{block['_id']}|{block['code']}|{runs}".encode(), digest_size=16)
    h.update(block["facts"])
    return h.hexdigest()


def within(
    settings: Settings, vendor: str, of: Slice, *, groups: int, group: int | None = None
) -> tuple[Array, Array]:
    """The facts of all minutes that meet the slice, and the partition group of each; or of one group.

    `groups`: how many the vendor's log has. Those of topics that Kafka or `md.meta` no longer has are among
    them.
    """
    first, last = of.start // MINUTE_NS, -(-of.end // MINUTE_NS)
    query: dict[str, Any] = {
        "vendor": vendor, "days": {"$in": list(range(first // 1440, (last - 1) // 1440 + 1))},
        "first": {"$lt": last}, "last": {"$gte": first},
    }  # fmt: skip
    if group is not None:
        query["partition"] = {"$in": list(range(group, MOST, groups))}  # by the index, which $mod is not
    with database.answering(settings):
        blocks = database.collection(settings, COLLECTION)
        found = list(blocks.find(query, {"_id": 0, "partition": 1, "facts": 1}, batch_size=5000))
    rows = np.frombuffer(b"".join(d["facts"] for d in found), ROW)
    counts = [len(d["facts"]) // ROW.itemsize for d in found]
    partitions = np.repeat(np.array([d["partition"] % groups for d in found], np.int64), counts)
    inside = (rows["minute"] >= first) & (rows["minute"] < last)
    return rows[inside], partitions[inside]


def sums(
    settings: Settings,
    vendor: str,
    libraries: Mapping[str, Library],
    spans: Mapping[str, Slice],
    *,
    groups: int,
    group: int | None = None,
) -> tuple[dict[Place, Tally], Array]:
    """What the log holds of each window in one or in all of its partition groups, where that is anything; and
    the facts of records that are no messages. `spans`: whole windows by kind, of whole minutes."""
    known = [span for span in spans.values() if span.end > span.start]
    wide = Slice(min(span.start for span in known), max(span.end for span in known))
    rows, partitions = within(settings, vendor, wide, groups=groups, group=group)
    stamps, found = rows["minute"] * MINUTE_NS, dict[Place, Tally]()
    for kind, span in spans.items():
        length = libraries[kind].window
        own = (rows["what"] == KINDS.index(kind)) & (stamps >= span.start) & (stamps < span.end)
        key = partitions[own] << 40 | stamps[own] // length
        order = np.argsort(key, kind="stable")
        of_kind, key = rows[own][order], key[order]
        for part in np.split(np.arange(len(key)), np.flatnonzero(np.diff(key)) + 1):
            if len(part):
                place = int(key[part[0]])
                found[kind, place >> 40, (place & (1 << 40) - 1) * length] = Tally(*total(of_kind[part]))
    return found, rows[rows["what"] == UNDECODABLE]


def covered(settings: Settings, r: Range) -> Runs:
    """What of a range the ledger has facts of."""
    blocks = range(r.start // BLOCK, -(-r.stop // BLOCK))
    names = [f"{r.topic_id}|{r.partition}|{block}" for block in blocks]
    with database.answering(settings):
        found = database.collection(settings, COLLECTION).find({"_id": {"$in": names}}, {"runs": 1})
        return union((a, b) for d in found for a, b in d["runs"])


def runs(settings: Settings, topic_id: str, partition: int) -> Runs:
    """The offsets of a partition that the ledger has facts of, also of those that Kafka has deleted."""
    prefix = f"{topic_id}|{partition}|"
    query = {"_id": {"$gte": prefix, "$lt": f"{prefix}~"}}
    with database.answering(settings):
        found = database.collection(settings, COLLECTION).find(query, {"runs": 1})
        return union((a, b) for d in found for a, b in d["runs"])


def catch_up(
    settings: Settings, vendor: str, ranges: Iterable[Range], pins: Sequence[TopicPin]
) -> list[tuple[Range, int, int]]:
    """Enter what the ledger lacks of these ranges, as far as Kafka still holds it.

    Gives what it does not hold any more: (range, start, next). Raises Unavailable.
    """
    known, lost = {pin.id: pin for pin in pins}, []
    ledger = Ledger(settings, vendor)
    for r in ranges:
        gaps = missing(r.start, r.stop, covered(settings, r))
        if not gaps:
            continue
        with client.consumer(settings) as consumer:
            low, high = client.watermarks(settings, consumer, r.topic, r.partition)
        for start, end in gaps:
            if start < low:
                lost.append((r, start, min(end, low)))
            first, last = max(start, low), min(end, high)
            if first >= last:
                continue
            part = Range(
                topic=r.topic, topic_id=r.topic_id, number=r.number, partition=r.partition, start=first,
                stop=last, start_reason=r.start_reason, stop_reason=r.stop_reason,
            )  # fmt: skip
            try:
                for records in read_range(settings, part):
                    ledger.add(records, decode_records(records, known[r.topic_id].partitions))
            except Incomplete:
                lost.append((r, first, last))  # deleted while it was read: the next time tells exactly
    ledger.flush()
    return lost
