"""The tasks of the DAG `replay`, as functions: plain data in and out, which is all that XCom carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import convert, to_builtins

from tapedeck.airflow import approval, links
from tapedeck.airflow.checkpoint import TaskCheckpoint
from tapedeck.jobs import limits, plans, replay, together
from tapedeck.jobs.forecast import forecast
from tapedeck.jobs.order import Copied, Order
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.target import WHOLE, Say, label
from tapedeck.settings import Settings
from tapedeck.slices import Slice

Json = dict[str, Any]


def plan(settings: Settings, asked: Mapping[str, Any], of: Slice, say: Say) -> list[Json]:
    """Freeze, show and store the plan; gives a task's arguments for each part, none for a dry run.

    In time all vendors are one part, since they go by one clock. Says in the run that it wants an approval
    where a plan exceeds the settings' limits.
    """
    vendors = [asked["vendor"], *(asked.get("beside") or ())]
    prepared = together.prepare(
        settings, vendors, of, asked["to"], asked.get("symbols") or (), asked.get("kinds") or (),
        speed=str(asked.get("speed") or "max"), rate=int(asked.get("rate") or 0),
        restamp=bool(asked.get("restamp")), partial=bool(asked.get("partial")),
        skip_closed=bool(asked.get("skip_closed")),
    )  # fmt: skip
    every, why = list[str](), list[str]()
    for order, frozen in prepared:
        lines = list(replay.shown(settings, order, frozen))
        for line in lines:
            say(line)
        every += lines
        plans.keep(settings, frozen, lines)
        links.leads_to_plan(frozen.digest)
        why += limits.exceeded(settings, forecast(settings, order, frozen))
    if asked.get("dry_run"):
        say("only the plan was asked for: nothing is written")
        return []
    if why:
        approval.wanted(why, every)
    orders = [to_builtins(order) for order, _ in prepared]
    if prepared[0][0].speed:
        return [{"orders": orders, "part": WHOLE, "label": f"{' + '.join(vendors)} {of} {label(WHOLE)}"}]
    return [
        {"orders": [to_builtins(order)], "part": part, "label": f"{order.vendor} {of} {label(part)}"}
        for order, _ in prepared
        for part in replay.parts(settings, order)
    ]


def copy(settings: Settings, orders: list[Json], part: int, say: Say) -> list[Json]:
    """Bring one part of each order's target to hold its share."""
    asked = [convert(order, Order) for order in orders]
    prepared = [(order, plans.load(settings, order.plan)) for order in asked]
    kept = [TaskCheckpoint(f"replay {order.plan} {order.to}") for order in asked]
    if asked[0].speed:
        copied = together.copy(settings, prepared, say, kept)
    else:
        copied = [
            replay.copy_part(settings, *one, part, say, checkpoint=keep)
            for one, keep in zip(prepared, kept, strict=True)
        ]
    return [
        {"vendor": order.vendor, "copied": to_builtins(one)} for order, one in zip(asked, copied, strict=True)
    ]


def receipt(
    settings: Settings, planned: list[Json], copied: Iterable[list[Json]], origin: Origin, say: Say
) -> Json:
    """The receipts of all parts, one a vendor; the first one's counts, and the ids of all."""
    done = [one for some in copied for one in some]
    made = []
    for asked in {one["vendor"]: convert(one, Order) for part in planned for one in part["orders"]}.values():
        frozen = plans.load(settings, asked.plan)
        own = [convert(one["copied"], Copied) for one in done if one["vendor"] == asked.vendor]
        made.append(replay.finish(settings, asked, frozen, own, origin))
        links.leads_to_receipt(made[-1].id)
        say(f"receipt {made[-1].id}: {made[-1].line}")
    first = made[0]
    every = [one.id for one in made]
    return {"id": first.id, "outcome": first.outcome, "counts": first.counts, "receipts": every}
