"""Receipts: what a finished job proves, kept in Mongo (DESIGN §1)."""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
import uuid
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tapedeck.digest import NAME as DIGEST
from tapedeck.errors import BadInput, Mismatch
from tapedeck.jobs.origin import Origin
from tapedeck.log.plan import Plan
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store import database

COLLECTION = "receipts"
Outcome = Literal["written", "unchanged", "empty"]


class Receipt(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What one job did for one vendor and slice. `start`, `end`, `started`, `ended` are RFC 3339, UTC.

    `outcome`: `written` something changed; `unchanged` all was there already; `empty` the slice holds
    nothing. `complete`: nothing more can come; else `notes` says in sentences why not. `before` and
    `after` are digests (`digest` names the hash) of what the job's target held of the slice.
    """

    id: str
    job: str
    vendor: str
    start: str
    end: str
    who: str
    run: str
    started: str
    ended: str
    seconds: float
    outcome: Outcome
    complete: bool
    counts: dict[str, int]
    before: str
    after: str
    plan: str
    """The plan's digest; empty where nothing was ever recorded of the vendor."""
    ranges: dict[str, Any]
    """The plan itself, as JSON."""
    asked: dict[str, Any]
    """What else was asked for: the target, symbols, kinds."""
    notes: list[str]
    digest: str = DIGEST
    version: str = importlib.metadata.version("tapedeck")
    code: int = 0
    """The window function's version where the job wrote windows, else 0."""
    lateness: dict[str, Any] = {}
    """Of a paced job: how late messages were, in ms (see `jobs.pacing.Lateness`)."""

    def to_json(self) -> bytes:
        """The receipt as one JSON object."""
        return msgspec.json.encode(self)

    @property
    def line(self) -> str:
        """The receipt in one line: what, of which slice, with what outcome."""
        counts = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in self.counts.items() if n)
        slice_ = f"[{self.start}, {self.end})"
        return f"{self.job} {self.vendor} {slice_}: {self.outcome}{f' ({counts})' if counts else ''}"


def issue(
    settings: Settings,
    origin: Origin,
    job: str,
    vendor: str,
    of: Slice,
    plan: Plan | None,
    *,
    outcome: Outcome,
    counts: dict[str, int],
    before: str,
    after: str,
    asked: dict[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    code: int = 0,
    lateness: dict[str, Any] | None = None,
) -> Receipt:
    """Make a receipt that ends now, and keep it durably.

    In an Airflow run a job has one receipt for each vendor: a retry or a clear replaces it.
    """
    ended = time.time_ns()
    identity = f"{job}|{vendor}|{origin.run}" if origin.run else uuid.uuid4().hex
    receipt = Receipt(
        id=hashlib.sha256(identity.encode()).hexdigest()[:12],
        job=job, vendor=vendor, start=format_time(of.start), end=format_time(of.end),
        who=origin.who, run=origin.run, started=format_time(origin.started), ended=format_time(ended),
        seconds=round((ended - origin.started) / NS, 3), outcome=outcome,
        complete=plan is not None and plan.complete and not notes, counts=counts, before=before, after=after,
        plan=plan.digest if plan else "", ranges=msgspec.json.decode(plan.to_json()) if plan else {},
        asked=asked or {}, notes=list(dict.fromkeys((*(plan.notes if plan else ()), *notes))), code=code,
        lateness=lateness or {},
    )  # fmt: skip
    document = {"_id": receipt.id, "ended": ended, "vendor": vendor, "job": job, "json": receipt.to_json()}
    with database.answering(settings):
        database.collection(settings, COLLECTION).replace_one({"_id": receipt.id}, document, upsert=True)
    return receipt


def recent(settings: Settings, limit: int = 20, vendor: str = "", job: str = "") -> list[Receipt]:
    """The newest receipts, newest first; only of a vendor or a job where they are named."""
    wanted = {key: value for key, value in (("vendor", vendor), ("job", job)) if value}
    with database.answering(settings):
        found = database.collection(settings, COLLECTION).find(wanted, sort=[("ended", -1)], limit=limit)
        return [_decode(document) for document in found]


def find(settings: Settings, identity: str) -> Receipt:
    """The receipt whose id is or begins with `identity`. Raises BadInput where none or several do."""
    if not identity or not set(identity) <= set("0123456789abcdef"):
        raise BadInput(f"{identity!r} is no receipt's id: `tapedeck receipts` lists them")
    with database.answering(settings):
        documents = list(
            database.collection(settings, COLLECTION).find({"_id": {"$regex": f"^{identity}"}}, limit=2)
        )
    if len(documents) != 1:
        what = "more than one receipt's id begins" if documents else "no receipt's id begins"
        raise BadInput(f"{what} with {identity!r}: `tapedeck receipts` lists them")
    return _decode(documents[0])


def _decode(document: dict[str, Any]) -> Receipt:
    try:
        return msgspec.json.decode(document["json"], type=Receipt)
    except msgspec.DecodeError as e:
        raise Mismatch(
            f"the receipt {document['_id']} is not one that this version of tapedeck can read ({e}): "
            "read it with the version that wrote it, or remove it"
        ) from e
