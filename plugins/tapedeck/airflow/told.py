"""Checks' results as tasks log and hand on: plain data, so many findings that a person can read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import convert, to_builtins

from tapedeck.checks import reconcile
from tapedeck.checks.report import Report
from tapedeck.errors import Mismatch
from tapedeck.jobs import plans
from tapedeck.jobs.origin import Origin
from tapedeck.log import meta
from tapedeck.settings import Settings
from tapedeck.slices import format_time

Json = Mapping[str, Any]
SHOWN = 50


def recorded(settings: Settings) -> list[str]:
    """The vendors of the settings of which something is recorded, sorted: no task is spent on the others."""
    known = {pin.vendor for pin in meta.read(settings).pins.values()}
    return sorted(known & set(settings.vendors))


def lines(report: Report) -> Iterator[str]:
    """A report for a task's log, its verdict first."""
    yield f"{report.vendor} {report.slice}: {report.verdict}, {len(report.findings)} findings"
    yield ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in report.counts.items())
    yield from (f"note: {note}" for note in report.notes)
    for one in report.findings[:SHOWN]:
        where = f"{one.symbol} {one.kind} [{format_time(one.start)}, {format_time(one.end)})"
        yield f"{one.id} {one.reason} {where}: {one.messages:,} messages, {one.status}; {one.evidence['why']}"
        yield from (f"  {row['line']}" for row in one.evidence.get("rows", ()))


def result(report: Report) -> dict[str, Any]:
    """A report for a task's result: the object of `--json`, with the first findings."""
    whole = report.to_json()
    more = len(whole["findings"]) - SHOWN
    return {**whole, "findings": whole["findings"][:SHOWN], **({"more": more} if more > 0 else {})}


def compared(settings: Settings, order: Json, partition: int, repair: bool, quick: bool) -> dict[str, Any]:
    """Reconcile one partition, mending what a scheduled run may. `quick`: as `reconcile.part` says."""
    asked = convert(order, reconcile.Order)
    plan = plans.load(settings, asked.plan)
    part = reconcile.part(settings, asked, plan, partition, repair=repair, share=reconcile.SHARE, quick=quick)
    said = f"{len(part.found)} differ, {part.repaired} windows repaired, {len(part.left)} still differ"
    return {"vendor": asked.vendor, "part": to_builtins(part), "said": said}


def reconciled(
    settings: Settings,
    vendor: str,
    orders: Iterable[Json] | None,
    parts: Iterable[Json] | None,
    origin: Origin,
    repair: bool,
) -> Report:
    """The vendor's report. What failed has left nothing, so then this raises Mismatch, for it alone."""
    order = next((convert(o, reconcile.Order) for o in orders or () if o["vendor"] == vendor), None)
    if order is None:
        raise Mismatch(f"{vendor} was not planned: see why its plan failed, then clear that task")
    plan = plans.load(settings, order.plan) if order.plan else None
    own = [convert(p["part"], reconcile.Part) for p in parts or () if p["vendor"] == vendor]
    return reconcile.finish(settings, order, plan, own, origin, repair=repair)
