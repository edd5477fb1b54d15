"""One vendor's receipt out of what a night's mapped tasks have left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import convert

from tapedeck.errors import Mismatch
from tapedeck.jobs import backfill, plans
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.settings import Settings

Json = Mapping[str, Any]


def receipt(
    settings: Settings,
    vendor: str,
    orders: Iterable[Json] | None,
    rebuilt: Iterable[Json] | None,
    origin: Origin,
) -> Receipt:
    """The vendor's receipt. What failed has left nothing, so then this raises Mismatch, for it alone."""
    order = next((convert(o, backfill.Order) for o in orders or () if o["vendor"] == vendor), None)
    if order is None:
        raise Mismatch(f"{vendor} was not planned: see why its plan failed, then clear that task")
    plan = plans.load(settings, order.plan) if order.plan else None
    parts = [convert(r["part"], backfill.Part) for r in rebuilt or () if r["vendor"] == vendor]
    return backfill.finish(settings, order, plan, parts, origin)
