"""Frozen plans, kept in Mongo by their digest, so that a retry reads the same messages."""

from __future__ import annotations

from collections.abc import Sequence

from tapedeck.errors import BadInput, Mismatch
from tapedeck.log.plan import Plan, from_json
from tapedeck.settings import Settings
from tapedeck.store import database

COLLECTION = "plans"


def keep(settings: Settings, plan: Plan, shown: Sequence[str] = ()) -> str:
    """Keep a plan and give its digest. Keeping it again changes nothing but the lines that people read.

    `shown`: what a person was shown of it, and of what it was for.
    """
    document = {"vendor": plan.vendor, "slice": str(plan.slice), "plan": plan.to_json().decode()}
    with database.answering(settings):
        database.collection(settings, COLLECTION).update_one(
            {"_id": plan.digest},
            {"$setOnInsert": document} | ({"$set": {"shown": list(shown)}} if shown else {}),
            upsert=True,
        )
    return plan.digest


def readable(settings: Settings, digest: str) -> list[str]:
    """A kept plan for a person, line by line, as it was last shown. Raises BadInput where there is none."""
    with database.answering(settings):
        document = database.collection(settings, COLLECTION).find_one({"_id": digest})
    if document is None:
        raise BadInput(f"{digest[:40]!r} is no stored plan: a receipt and a task's log name theirs")
    return list(document.get("shown") or from_json(document["plan"]).table().splitlines())


def load(settings: Settings, digest: str) -> Plan:
    """The plan of that digest. Raises Mismatch where it is not there, or not what was kept."""
    with database.answering(settings):
        document = database.collection(settings, COLLECTION).find_one({"_id": digest})
    if document is None:
        raise Mismatch(
            f"there is no stored plan {digest} in {settings.mongo.database}.{COLLECTION}: "
            "it was removed, or another database is set; start the job anew, it then makes a new plan"
        )
    plan = from_json(document["plan"])
    if plan.digest != digest:
        raise Mismatch(
            f"the stored plan {digest} was altered (it now has the digest {plan.digest}): "
            "start the job anew, it then makes a new plan"
        )
    return plan
