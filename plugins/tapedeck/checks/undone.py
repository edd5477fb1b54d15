"""What a rebuild had to leave undone, as findings: so a day says that it is degraded, why, and by whom."""

from __future__ import annotations

from collections.abc import Iterable

from tapedeck.checks import findings
from tapedeck.checks.findings import WHOLE, Finding, identity
from tapedeck.jobs.backfill import Order, Part, withheld
from tapedeck.settings import Settings
from tapedeck.slices import format_time

CHECKS = ("rebuild", "complete")
"""`rebuild`: windows were left as they are; `complete`: a collector had not shown all of the slice."""


def record(settings: Settings, order: Order, parts: Iterable[Part], run: str) -> list[Finding]:
    """Keep what a rebuild left undone in its slice; what it no longer leaves is closed by `run`."""
    found = [_of_part(order, part) for part in parts if part.done.withheld]
    if order.held_by:
        found.append(_of_collector(settings, order))
    return findings.record(settings, order.vendor, CHECKS, order.slice, found, run)


def _of_part(order: Order, part: Part) -> Finding:
    return Finding(
        id=identity("rebuild", order.vendor, order.slice.start, part.partition), check="rebuild",
        reason="writer", vendor=order.vendor, symbol=WHOLE, kind=WHOLE, start=order.slice.start,
        end=order.slice.end, at=order.slice.start, messages=part.done.altered,
        evidence={
            "partition": part.partition, "windows": part.done.withheld,
            "why": f"partition {part.partition}: {withheld(part.done, order.share)}",
        },
    )  # fmt: skip


def _of_collector(settings: Settings, order: Order) -> Finding:
    waited = settings.jobs.complete_within
    return Finding(
        id=identity("complete", order.vendor, order.slice.start), check="complete", reason="collector",
        vendor=order.vendor, symbol=WHOLE, kind=WHOLE, severity="warn",
        start=min(max(order.held_at, order.slice.start), order.slice.end - 1), end=order.slice.end,
        at=order.slice.start, messages=0,
        evidence={
            "src": order.held_by,
            "why": f"collector {order.held_by} had shown no time past {format_time(order.held_at)} when the "
            f"slice was rebuilt, {waited} after its end at most: what came later is not in it",
        },
    )  # fmt: skip
