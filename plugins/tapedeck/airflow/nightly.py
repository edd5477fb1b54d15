"""The tasks of the DAG `nightly_backfill`, as functions: plain data in and out, as XCom carries it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException
from msgspec import convert, to_builtins

from tapedeck.airflow import approval, links
from tapedeck.airflow.checkpoint import TaskCheckpoint
from tapedeck.checks import repairs, undone
from tapedeck.checks.fill import fill
from tapedeck.errors import Mismatch
from tapedeck.jobs import backfill, limits, plans
from tapedeck.jobs.backfill import Order, Part
from tapedeck.jobs.forecast import forecast_of
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.jobs.target import Say
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time

Json = dict[str, Any]
Rows = Iterable[Mapping[str, Any]] | None
"""What a mapped task's instances have returned; those that failed have left nothing."""
POLL = 30
"""Seconds after which it is looked again whether a slice is complete."""


def chosen(settings: Settings, asked: Mapping[str, Any], of: Slice) -> list[Json]:
    """What is to be done, a vendor each: those asked for, else all. Raises BadInput for an unknown one."""
    names = asked["vendors"] or sorted(settings.vendors)
    for name in names:
        settings.vendor(name)
    dry = bool(asked.get("dry_run"))
    return [{"vendor": name, "start": of.start, "end": of.end, "dry": dry} for name in names]


def plan(settings: Settings, of: Json, by_hand: bool, say: Say) -> Json:
    """Freeze, show and store one vendor's plan, and say why it wants an approval.

    A run by hand is shown what it would change. Any other waits for who is behind, until its deadline; it
    gives its place in the pool away meanwhile, by raising AirflowRescheduleException.
    """
    share = None if by_hand else limits.SHARE
    asked = Slice(of["start"], of["end"])
    order, frozen = backfill.prepare(settings, of["vendor"], asked, share=share)
    left = 0 if by_hand else backfill.waits(settings, order, time.time_ns())
    if left:
        say(
            f"collector {order.held_by} has shown no time past {format_time(order.held_at)} yet: waiting "
            f"for it until {format_time(time.time_ns() + left)} at most"
        )
        again = datetime.now(UTC) + timedelta(seconds=min(POLL, left / NS))
        raise AirflowRescheduleException(again)  # type: ignore[no-untyped-call]
    order = backfill.trimmed(settings, order, frozen)
    would, why = None, list[str]()
    if by_hand and frozen is not None:
        why = limits.exceeded(settings, forecast_of(settings, frozen))
        if not why:  # what needs an approval for its size alone is not read twice
            would = backfill.foreseen(settings, order, frozen)
            if would.altered > (most := limits.allowed(limits.SHARE, would.messages)):
                why.append(
                    f"{would.altered:,} messages that stand in Arctic would be removed or changed, more than "
                    f"the {most:,} allowed unasked"
                )
    lines = list(backfill.shown(settings, order, frozen, would))
    for line in lines:
        say(line)
    if frozen is not None:
        plans.keep(settings, frozen, lines)
        links.leads_to_plan(frozen.digest)
    return {"vendor": order.vendor, "order": to_builtins(order), "why": why, "shown": lines}


def parts(planned: Rows, dry: bool, say: Say) -> list[Json]:
    """Every partition of every vendor that has a plan; says in the run where it wants an approval."""
    found = list(planned or ())
    if dry:
        say("only the plan was asked for: nothing is written")
        return []
    if why := [f"{one['vendor']}: {reason}" for one in found for reason in one["why"]]:
        approval.wanted(why, [line for one in found for line in one["shown"]])
    return [{"order": one["order"], "partition": p} for one in found for p in one["order"]["partitions"]]


def rebuild(settings: Settings, order: Json, partition: int, say: Say) -> Json:
    """Rebuild one vendor's windows of one partition, from where one who was killed has left off."""
    asked = convert(order, Order)
    part = backfill.rebuild_part(
        settings, asked, plans.load(settings, asked.plan), partition, say=say,
        checkpoint=TaskCheckpoint(f"rebuild {asked.plan} {partition}"),
    )  # fmt: skip
    done = part.done
    say(
        f"{asked.vendor} partition {partition}: {done.windows:,} windows with {done.messages:,} messages, "
        f"{done.written:,} written, {done.equal:,} as they were"
    )
    if done.withheld:
        say(backfill.withheld(done, asked.share))
    return {"vendor": asked.vendor, "part": to_builtins(part)}


def fetch(
    settings: Settings, vendor: str, planned: Rows, rebuilt: Rows, dry: bool, origin: Origin, say: Say
) -> Json:
    """Fetch what one vendor's log never had from where the settings say that it is."""
    order, _ = _done(vendor, planned, rebuilt, dry)
    if not settings.vendor(vendor).history or not order.plan:
        say(f"no source of history is set of {vendor}" if order.plan else f"nothing is recorded of {vendor}")
        return {"vendor": vendor}
    made = fill(settings, vendor, order.slice, origin=origin, say=say, share=order.share)
    links.leads_to_receipt(made.id)
    say(f"receipt {made.id}: {made.line}")
    for note in made.notes:
        say(f"note: {note}")
    return {"vendor": vendor, "receipt": made.id, "counts": made.counts}


def receipt(
    settings: Settings, vendor: str, planned: Rows, rebuilt: Rows, fetched: Rows, dry: bool, origin: Origin,
    say: Say,
) -> Receipt:  # fmt: skip
    """The vendor's receipt. What failed has left nothing, so then this raises Mismatch, for it alone.

    What was left undone is kept as findings, each said with the link to what would mend it. Where history
    could not be fetched there is a receipt of the rest, and then Mismatch, so that the run is red.
    """
    order, own = _done(vendor, planned, rebuilt, dry)
    history = next((one for one in fetched or () if one["vendor"] == vendor), None)
    lacking = "" if history else "what the log never had was not fetched: see the task fetch, then clear it"
    more = (lacking,) if lacking else ()
    made = backfill.finish(
        settings, order, plans.load(settings, order.plan) if order.plan else None, own, origin, more,
        {"history": history["receipt"]} if history and "receipt" in history else {},
    )  # fmt: skip
    links.leads_to_receipt(made.id)
    say(f"receipt {made.id}: {made.line}")
    for note in made.notes:
        say(f"note: {note}")
    for one in undone.record(settings, order, own, origin.run):
        mend = repairs.repair_of(one)
        say(f"finding {one.id}: {one.evidence['why']}; repair: {mend.link if mend else '-'}")
    if lacking:
        raise Mismatch(f"{vendor} {order.slice} is rebuilt (receipt {made.id}), but {lacking}")
    return made


def _done(vendor: str, planned: Rows, rebuilt: Rows, dry: bool) -> tuple[Order, list[Part]]:
    """The vendor's order and the parts that were rebuilt; skips the task where only the plan was asked for.

    Raises Mismatch where not all of them were.
    """
    if dry:
        raise AirflowSkipException("only the plan was asked for")
    order = next((convert(one["order"], Order) for one in planned or () if one["vendor"] == vendor), None)
    if order is None:
        raise Mismatch(f"{vendor} was not planned: see why its plan failed, then clear that task")
    own = [convert(one["part"], Part) for one in rebuilt or () if one["vendor"] == vendor]
    if missing := backfill.missing(order, own):
        raise Mismatch(missing)
    return order, own
