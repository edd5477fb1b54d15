"""Findings: what checks found, each once for ever, with its evidence and its life (DESIGN §1).

A finding is named by what it is about, so running a check again never multiplies it. It is `open`, then
`repairing`, then `closed` by the run that no longer finds it; or `accepted` by a person, with a reason.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from bson.int64 import Int64
from msgspec import Struct, structs
from pymongo import UpdateOne

from tapedeck.errors import BadInput, Mismatch
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time
from tapedeck.store import database

COLLECTION = "findings"
STATES = ("open", "repairing", "closed", "accepted")
WHOLE = "*"
"""Symbol or kind of a finding that is about all of them."""
LIMIT = 10_000
"""How many findings are listed at most."""

_LIFE = ("id", "status", "first_seen", "last_seen", "repair", "closed_by", "accepted_by", "why_accepted")
"""What a check that finds it again leaves as it is, or sets by rules of its own."""

Reason = Literal["upstream", "collector", "publish", "expired", "quarantine", "writer"]
Status = Literal["open", "repairing", "closed", "accepted"]
Verdict = Literal["pass", "warn", "fail"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `start`, `end` and `at` are UTC ns; a check of a slice that holds `at` finds
    it, if it is still so. `messages`: how many are missing or differ, at least."""

    id: str
    check: str
    reason: Reason
    vendor: str
    symbol: str
    kind: str
    start: int
    end: int
    at: int
    messages: int
    severity: Literal["warn", "fail"] = "fail"
    status: Status = "open"
    evidence: dict[str, Any] = {}
    first_seen: int = 0
    last_seen: int = 0
    repair: str = ""
    """The run that is, or was last, repairing it."""
    closed_by: str = ""
    accepted_by: str = ""
    why_accepted: str = ""

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it (DESIGN §9), times RFC 3339."""
        head = ("id", "reason", "vendor", "symbol", "kind", "start", "end", "messages", "status")
        fields = {name: getattr(self, name) for name in head}
        times = {"start": format_time(self.start), "end": format_time(self.end)}
        more = {name: getattr(self, name) for name in ("check", "severity", "evidence")}
        notes = {name: getattr(self, name) for name in ("closed_by", "accepted_by", "why_accepted")}
        return {**fields, **times, **more, **{name: text for name, text in notes.items() if text}}


def identity(check: str, vendor: str, *what: object) -> str:
    """The id of a finding about this: 16 hexadecimal digits, the same for ever."""
    return hashlib.sha256("|".join(map(str, (check, vendor, *what))).encode()).hexdigest()[:16]


def verdict(found: Iterable[Finding]) -> Verdict:
    """Of what a run found: those that a person has accepted weigh nothing."""
    severities = {one.severity for one in found if one.status != "accepted"}
    return "fail" if "fail" in severities else "warn" if severities else "pass"


def record(
    settings: Settings,
    vendor: str,
    checks: Sequence[str],
    of: Slice,
    found: Sequence[Finding],
    run: str,
    kinds: Iterable[str] | None = None,
    *,
    whole: bool = False,
) -> list[Finding]:
    """Keep what these checks found in a slice, and close what they no longer find there.

    Gives what was found as it now stands: one that a person accepted stays accepted, one that was closed is
    open again. `kinds`: the run looked only at these. `whole`: what reaches beyond the slice is not closed.
    Raises Unavailable.
    """
    now = time.time_ns()
    updates = [_update(one, now) for one in {one.id: one for one in found}.values()]
    gone: dict[str, Any] = {
        "vendor": vendor, "check": {"$in": list(checks)}, "at": {"$gte": of.start, "$lt": of.end},
        "status": {"$in": ["open", "repairing"]}, "_id": {"$nin": [one.id for one in found]},
    }  # fmt: skip
    if kinds is not None:
        gone["kind"] = {"$in": [*kinds, WHOLE]}
    if whole:
        gone["end"] = {"$lte": of.end}
    with database.answering(settings):
        book = database.collection(settings, COLLECTION)
        if updates:
            book.bulk_write(updates, ordered=False)
        book.update_many(gone, {"$set": {"status": "closed", "closed_by": run, "closed": now}})
        stands = {d["_id"]: _decode(d) for d in book.find({"_id": {"$in": [one.id for one in found]}})}
    return [stands[one] for one in dict.fromkeys(one.id for one in found)]


def add(settings: Settings, found: Sequence[Finding]) -> list[Finding]:
    """Keep what was found by chance, and close nothing. Gives it as it now stands. Raises Unavailable."""
    now = time.time_ns()
    ids = list(dict.fromkeys(one.id for one in found))
    if not ids:
        return []
    with database.answering(settings):
        book = database.collection(settings, COLLECTION)
        book.bulk_write([_update(one, now) for one in {one.id: one for one in found}.values()], ordered=False)
        stands = {d["_id"]: _decode(d) for d in book.find({"_id": {"$in": ids}})}
    return [stands[one] for one in ids]


def mark_repairing(settings: Settings, ids: Iterable[str], run: str) -> None:
    """These open findings are being repaired by a run."""
    with database.answering(settings):
        database.collection(settings, COLLECTION).update_many(
            {"_id": {"$in": list(ids)}, "status": "open"}, {"$set": {"status": "repairing", "repair": run}}
        )


def close(settings: Settings, ids: Iterable[str], run: str) -> None:
    """These are settled by a run of which they are no slice's: those that are still open are closed."""
    change = {"status": "closed", "closed_by": run, "closed": time.time_ns()}
    if wanted := list(ids):
        with database.answering(settings):
            database.collection(settings, COLLECTION).update_many(
                {"_id": {"$in": wanted}, "status": {"$in": ["open", "repairing"]}}, {"$set": change}
            )


def closed_by(settings: Settings, identity: str, what: str) -> None:
    """Say what closed a finding; one that is still open is left alone."""
    with database.answering(settings):
        database.collection(settings, COLLECTION).update_one(
            {"_id": identity, "status": "closed"}, {"$set": {"closed_by": what}}
        )


def accept(settings: Settings, wanted: str, reason: str, who: str) -> Finding:
    """Accept a finding, by its id or the beginning of it: it stays known and weighs nothing any more.

    Raises BadInput for no reason, or where none or several are meant.
    """
    if not reason.strip():
        raise BadInput("a finding is accepted with a reason: --reason 'exchange maintenance, announced'")
    one = find(settings, wanted)
    change = {
        "status": "accepted", "accepted_by": who, "why_accepted": reason.strip(), "accepted": time.time_ns()
    }  # fmt: skip
    with database.answering(settings):
        database.collection(settings, COLLECTION).update_one({"_id": one.id}, {"$set": change})
    return find(settings, one.id)


def find(settings: Settings, wanted: str) -> Finding:
    """The finding whose id is or begins with this. Raises BadInput where none or several do."""
    if not re.fullmatch("[0-9a-f]{1,16}", wanted):
        raise BadInput(f"{wanted[:40]!r} is no finding's id: `tapedeck findings` lists them")
    with database.answering(settings):
        query = {"_id": {"$regex": f"^{wanted}"}}
        found = list(database.collection(settings, COLLECTION).find(query, limit=2))
    if len(found) != 1:
        what = "more than one finding's id begins" if found else "no finding's id begins"
        raise BadInput(f"{what} with {wanted!r}: `tapedeck findings` lists them")
    return _decode(found[0])


def listed(settings: Settings, vendor: str = "", status: str = "") -> list[Finding]:
    """Findings by vendor and time, newest last; only of a vendor or in a state where they are named."""
    if status and status not in STATES:
        raise BadInput(f"there is no state {status[:40]!r}: the states are {', '.join(STATES)}")
    query = {key: value for key, value in (("vendor", vendor), ("status", status)) if value}
    with database.answering(settings):
        found = database.collection(settings, COLLECTION).find(query).sort([("at", -1)]).limit(LIMIT)
        return sorted((_decode(d) for d in found), key=lambda one: (one.vendor, one.at, one.symbol, one.kind))


def _update(one: Finding, now: int) -> UpdateOne:
    """One update by the server, so that two runs at once end as one. A silence that a later slice has seen
    further stands as it did."""
    fresh = {name: value for name, value in msgspec.to_builtins(one).items() if name not in _LIFE}
    stays = {"$eq": ["$status", "accepted"]}
    further = {"$and": [{"$eq": ["$check", "silence"]}, {"$gt": ["$at", one.at]}]}
    return UpdateOne(
        {"_id": one.id},
        [
            {
                "$set": {
                    **{
                        name: {"$cond": [further, f"${name}", {"$literal": value}]}
                        for name, value in fresh.items()
                    },
                    "status": {"$cond": [stays, "$status", "open"]},
                    "first_seen": {"$ifNull": ["$first_seen", now]},
                    "last_seen": now,
                    "closed_by": "",
                }
            }
        ],
        upsert=True,
    )


def _decode(document: dict[str, Any]) -> Finding:
    known = {field.name for field in structs.fields(Finding)}
    fields = {name: _plain(value) for name, value in document.items() if name in known}
    try:
        return msgspec.convert({**fields, "id": document["_id"]}, Finding)
    except msgspec.ValidationError as e:
        raise Mismatch(
            f"the finding {document['_id']} is not one that this version of tapedeck can read ({e}): "
            "read it with the version that wrote it, or remove it"
        ) from e


def _plain(value: Any) -> Any:
    """As it was written: MongoDB gives great integers in a type of its own, of which no JSON is made."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, Int64) else value
