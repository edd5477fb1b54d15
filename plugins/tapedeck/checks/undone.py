"""What a rebuild had to leave undone, as findings: so a day says that it is degraded, why, and by whom."""

from __future__ import annotations

from collections.abc import Iterable

from tapedeck.checks import findings
from tapedeck.checks.findings import WHOLE, Finding, identity
from tapedeck.jobs.backfill import Order, Part, withheld
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time

CHECKS = ("rebuild", "complete")
"""`rebuild`: windows were left as they are; `complete`: a collector had not shown all of the slice."""
FETCHED = "fetched"
"""Windows that history was fetched for were left as they are."""


def record(settings: Settings, order: Order, parts: Iterable[Part], run: str) -> list[Finding]:
    """Keep what a rebuild left undone in its slice; what it no longer leaves is closed by `run`.

    Where all of the slice was rebuilt, that is also what an earlier run's fetching had left there; what this
    run's has left is given as it stands.
    """
    found = [
        _left("rebuild", order.vendor, order.slice, part, order.share, run)
        for part in parts if part.done.withheld
    ]  # fmt: skip
    checks = CHECKS if found else (*CHECKS, FETCHED)
    if order.held_by:
        found.append(_of_collector(settings, order))
    standing = findings.listed(settings, order.vendor, "open")
    found += [one for one in standing if one.check == FETCHED and one.evidence["run"] == run]
    return findings.record(settings, order.vendor, checks, order.slice, found, run, whole=True)


def record_fetched(
    settings: Settings, vendor: str, left: Iterable[tuple[Slice, Part]], share: float | None, run: str
) -> list[Finding]:
    """Keep what was left undone of spans for which history was fetched, with its messages in the log. A
    rebuild of the span closes it."""
    return findings.add(
        settings,
        [_left(FETCHED, vendor, span, part, share, run) for span, part in left if part.done.withheld],
    )


def settle(settings: Settings, vendor: str, of: Slice, complete: bool, run: str) -> None:
    """All of a slice was rebuilt by hand: what had been left undone in it is closed."""
    checks = ("rebuild", FETCHED, *(["complete"] if complete else []))
    findings.record(settings, vendor, checks, of, [], run, whole=True)


def _left(check: str, vendor: str, of: Slice, part: Part, share: float | None, run: str) -> Finding:
    return Finding(
        id=identity(check, vendor, of.start, part.partition), check=check, reason="writer", vendor=vendor,
        symbol=WHOLE, kind=WHOLE, start=of.start, end=of.end, at=of.start, messages=part.done.altered,
        evidence={
            "partition": part.partition, "windows": part.done.withheld, "run": run,
            "why": f"partition {part.partition}: {withheld(part.done, share)}",
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
