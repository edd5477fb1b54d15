"""Checks' results as tasks log and hand on: plain data, so many findings that a person can read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from airflow.sdk import get_current_context
from msgspec import convert, to_builtins

from tapedeck.airflow import notifier
from tapedeck.checks import reconcile, repairs
from tapedeck.checks.report import Report
from tapedeck.errors import Mismatch
from tapedeck.jobs import plans
from tapedeck.jobs.origin import Origin
from tapedeck.log import meta
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time

Json = Mapping[str, Any]
SHOWN = 50
DAY = 86_400 * NS


def recorded(settings: Settings) -> list[str]:
    """The vendors of the settings of which something is recorded, sorted: no task is spent on the others."""
    known = {pin.vendor for pin in meta.read(settings).pins.values()}
    return sorted(known & set(settings.vendors))


def slices(settings: Settings, asked: Json, of: Slice) -> list[dict[str, Any]]:
    """The slice for each vendor that the form names, or of which something is recorded: mapped tasks' `of`.

    Raises BadInput for a vendor that there is not.
    """
    chosen = asked["vendors"] or recorded(settings)
    for name in chosen:
        settings.vendor(name)
    return [{"vendor": name, "start": of.start, "end": of.end} for name in chosen]


def lines(report: Report) -> Iterator[str]:
    """A report for a task's log, its verdict first."""
    yield report.headline
    yield ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in report.counts.items())
    yield from (f"note: {note}" for note in report.notes)
    for one in report.findings[:SHOWN]:
        where = f"{one.symbol} {one.kind} [{format_time(one.start)}, {format_time(one.end)})"
        yield f"{one.id} {one.reason} {where}: {one.messages:,} messages, {one.status}; {one.evidence['why']}"
        yield from (f"  {row['line']}" for row in one.evidence.get("rows", ()))
        if (mend := repairs.repair_of(one)) is not None:
            yield f"  repair: {mend.link}"


def result(report: Report) -> dict[str, Any]:
    """A report for a task's result: the object of `--json`, with the first findings and what mends them."""
    whole = report.to_json()
    more = len(report.findings) - SHOWN
    shown = [
        {**one.to_json(), **({"repair": mend.link} if (mend := repairs.repair_of(one)) else {})}
        for one in report.findings[:SHOWN]
    ]
    return {**whole, "findings": shown, **({"more": more} if more > 0 else {})}


def said(report: Report, say: Callable[..., None]) -> dict[str, Any]:
    """Log a report, and give the task's result."""
    for line in lines(report):
        say("%s", line)
    return result(report)


def drilled(settings: Settings, of: Json, seeds: int, say: Callable[..., None]) -> dict[str, Any]:
    """Score the checks on a vendor's slice of the log; gives the object of `tapedeck drill --json`."""
    from tapedeck.drill.drill import drill, table
    from tapedeck.drill.take import of_log

    made = drill(of_log(settings, of["vendor"], Slice(of["start"], of["end"])), seeds=seeds)
    for note in made.notes:
        say("note: %s", note)
    for cells in table(made):
        say("%s", " | ".join(cells))
    return made.to_json()


def planned(settings: Settings, of: Json, say: Callable[..., None]) -> dict[str, Any]:
    """Freeze and keep one vendor's plan; gives its order."""
    order, frozen = reconcile.prepare(settings, of["vendor"], Slice(of["start"], of["end"]))
    if frozen is None:
        say("nothing is recorded of %s yet", order.vendor)
    else:
        plans.keep(settings, frozen)
    found: dict[str, Any] = to_builtins(order)
    return found


def sampled(settings: Settings, of: Json, say: Callable[..., None]) -> None:
    """Where the slice ends with a day (UTC): build some windows of that day, chosen at random, again."""
    from tapedeck.checks.sample import sample

    if of["end"] % DAY == 0:
        made = sample(settings, of["vendor"], Slice(of["end"] - DAY, of["end"]))
        say("%s of %s windows of the day were built again: %s differ", made.windows, made.of, len(made.found))
        for one in made.found:
            say("%s %s %s: %s", one.id, one.symbol, one.kind, one.evidence["why"])


def tell_new(report: Report, started: int) -> None:
    """Let the notifier tell of failures that this run was the first to find, not of those that stand."""
    fresh = [
        one for one in report.findings
        if one.first_seen >= started and one.severity == "fail" and one.status == "open"
    ]  # fmt: skip
    if fresh:
        more = f", and {len(fresh) - 1} more" if len(fresh) > 1 else ""
        what = f"found of {report.vendor} ({fresh[0].reason}): {fresh[0].evidence['why']}{more}"
        notifier.tell(get_current_context(), what, "error")


def tell_standing(report: Report) -> None:
    """Let the notifier tell, each time, of what will soon be beyond repair, the most urgent first."""
    standing = [one for one in report.findings if one.status in ("open", "repairing")]
    if standing:
        worst = min(standing, key=lambda one: float(one.evidence.get("hours_left", 0.0)))
        severity: notifier.Severity = "error" if report.verdict == "fail" else "warning"
        notifier.tell(get_current_context(), f"warns of {report.vendor}: {worst.evidence['why']}", severity)


def crossed(settings: Settings, of: Json, say: Callable[..., None]) -> dict[str, Any]:
    """Hold the vendors of one instrument against each other; gives the object of `tapedeck cross --json`."""
    from tapedeck.checks.cross import cross

    pairs = cross(settings, of["instrument"], Slice(of["start"], of["end"]))
    for one in pairs:
        say("%s", one.said)
    return {"instrument": of["instrument"], "pairs": [one.to_json() for one in pairs]}


def compared(settings: Settings, order: Json, partition: int, form: Json) -> dict[str, Any]:
    """Reconcile one partition as the form says, mending what a scheduled run may."""
    asked = convert(order, reconcile.Order)
    plan = plans.load(settings, asked.plan)
    mend, quick = bool(form["repair"]), bool(form["quick"])
    part = reconcile.part(settings, asked, plan, partition, repair=mend, share=reconcile.SHARE, quick=quick)
    said = f"{len(part.found)} differ, {part.repaired} windows repaired, {len(part.left)} still differ"
    return {"vendor": asked.vendor, "part": to_builtins(part), "said": said}


def reconciled(
    settings: Settings,
    vendor: str,
    orders: Iterable[Json] | None,
    parts: Iterable[Json] | None,
    origin: Origin,
    form: Json,
) -> Report:
    """The vendor's report. What failed has left nothing, so then this raises Mismatch, for it alone."""
    order = next((convert(o, reconcile.Order) for o in orders or () if o["vendor"] == vendor), None)
    if order is None:
        raise Mismatch(f"{vendor} was not planned: see why its plan failed, then clear that task")
    plan = plans.load(settings, order.plan) if order.plan else None
    own = [convert(p["part"], reconcile.Part) for p in parts or () if p["vendor"] == vendor]
    return reconcile.finish(settings, order, plan, own, origin, repair=bool(form["repair"]))
