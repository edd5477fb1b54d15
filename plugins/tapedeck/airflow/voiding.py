"""The tasks of the DAG `void`, as functions: plain data in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import convert, to_builtins

from tapedeck.airflow import approval, links
from tapedeck.errors import BadInput
from tapedeck.jobs import void
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.target import Say
from tapedeck.settings import Settings
from tapedeck.slices import Slice

Json = dict[str, Any]


def plan(settings: Settings, asked: Mapping[str, Any], of: Slice, say: Say) -> list[Json]:
    """Show what would be voided; gives the next task's arguments, none for a dry run.

    Says in the run that it wants an approval where that is more than may be taken out unasked.
    """
    if asked.get("src") is None:
        raise BadInput("no source is named: give the number of the one whose messages are no data")
    reason, symbols = asked.get("reason") or "", asked.get("symbols") or ()
    order = void.order(settings, asked["vendor"], of, int(asked["src"]), reason, symbols)
    foreseen = void.foresee(settings, order)
    lines = void.shown(order, foreseen)
    for line in lines:
        say(line)
    if asked.get("dry_run"):
        say("only the plan was asked for: nothing is written")
        return []
    if why := void.exceeded(settings, order, foreseen):
        approval.wanted(why, lines)
    return [{"order": to_builtins(order), "approved": foreseen.messages}]


def write(settings: Settings, order: Json, approved: int, origin: Origin, say: Say) -> Json:
    """Void what was planned, no more, and leave the receipt."""
    made = void.void(settings, convert(order, void.Order), origin=origin, approved=approved)
    links.leads_to_receipt(made.id)
    say(f"receipt {made.id}: {made.line}")
    return {"id": made.id, "outcome": made.outcome, "counts": made.counts}
