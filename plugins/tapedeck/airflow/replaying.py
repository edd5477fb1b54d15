"""The tasks of the DAG `replay`, as functions: plain data in and out, which is all that XCom carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import convert, to_builtins

from tapedeck.airflow import approval, links
from tapedeck.jobs import limits, plans, replay
from tapedeck.jobs.forecast import forecast
from tapedeck.jobs.order import Copied, Order
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.target import Say, label
from tapedeck.settings import Settings
from tapedeck.slices import Slice

Json = dict[str, Any]


def plan(settings: Settings, asked: Mapping[str, Any], of: Slice, say: Say) -> list[Json]:
    """Freeze, show and store the plan; gives a task's arguments for each part, none for a dry run.

    Says in the run that it wants an approval where the plan exceeds the settings' limits.
    """
    order, frozen = replay.prepare(
        settings, asked["vendor"], of, asked["to"], asked.get("symbols") or (), asked.get("kinds") or (),
        speed=str(asked.get("speed") or "max"), rate=int(asked.get("rate") or 0),
        restamp=bool(asked.get("restamp")), partial=bool(asked.get("partial")),
    )  # fmt: skip
    lines = list(replay.shown(settings, order, frozen))
    for line in lines:
        say(line)
    plans.keep(settings, frozen, lines)
    links.leads_to_plan(frozen.digest)
    if asked.get("dry_run"):
        say("only the plan was asked for: nothing is written")
        return []
    if why := limits.exceeded(settings, forecast(settings, order, frozen)):
        approval.wanted(why, lines)
    span = f"{order.vendor} {of}"
    return [
        {"order": to_builtins(order), "part": part, "label": f"{span} {label(part)}"}
        for part in replay.parts(settings, order)
    ]


def copy(settings: Settings, order: Mapping[str, Any], part: int, say: Say) -> Json:
    """Bring one part of the target to hold its share."""
    asked = convert(order, Order)
    copied: Json = to_builtins(replay.copy_part(settings, asked, plans.load(settings, asked.plan), part, say))
    return copied


def receipt(
    settings: Settings, planned: list[Json], copied: Iterable[Json], origin: Origin, say: Say
) -> Json:
    """The receipt of all parts."""
    asked = convert(planned[0]["order"], Order)
    frozen = plans.load(settings, asked.plan)
    made = replay.finish(settings, asked, frozen, [convert(part, Copied) for part in copied], origin)
    links.leads_to_receipt(made.id)
    say(f"receipt {made.id}: {made.line}")
    return {"id": made.id, "outcome": made.outcome, "counts": made.counts}
