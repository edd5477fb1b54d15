"""Days to report, and what is told of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tapedeck.airflow import notifier, told
from tapedeck.airflow.assets import parse_key
from tapedeck.airflow.tasks import slice_in_force
from tapedeck.errors import TapedeckError
from tapedeck.log import meta
from tapedeck.notify import Notice, send
from tapedeck.reports import doors
from tapedeck.reports.day import Day, days_of
from tapedeck.settings import Settings

Json = dict[str, Any]
log = logging.getLogger("tapedeck")


def days(settings: Settings, asked: Mapping[str, Any], key: str | None) -> list[Json]:
    """The vendors' days of a run: its form's, or the one that its partition key names.

    Vendors of which nothing is recorded are left out, unless the form names them; after a night, days before
    a vendor's first too, in which nothing could be missing. Raises BadInput.
    """
    chosen = asked.get("vendors") or told.recorded(settings)
    for name in chosen:
        settings.vendor(name)
    if key and not any(asked.get(name) for name in ("start", "start_exact")):
        vendor, of = parse_key(key)
        began = meta.read(settings).began(vendor)
        chosen = [name for name in chosen if name == vendor and began is not None and began < of.end]
    else:
        of = slice_in_force(asked)
    return [{"vendor": name, "day": day.isoformat()} for day in days_of(of) for name in chosen]


def parts(settings: Settings, days: Iterable[Json]) -> list[Json]:
    """Each day's partitions to read, and its gap check, which is the part without a number."""
    found = []
    for one in days:
        for p in (None, *doors.parts(one["vendor"], one["day"], settings=settings)):
            what = "gaps" if p is None else f"partition {p}"
            found.append({**one, "partition": p, "label": f"{one['vendor']} {one['day']} {what}"})
    return found


def lines(made: Day) -> Iterator[str]:
    """A report for a task's log, its verdict first."""
    yield f"{made.verdict} {made.vendor} {made.day}: {made.sentence}"
    yield from (f"{reason.severity} {reason.text}" for reason in made.reasons[1:])


def tell(settings: Settings, made: Day, page: str) -> None:
    """Tell the one notifier of a day that is not PASS. Never raises: the page stands whoever was told."""
    if made.verdict == "PASS":
        return
    notice = Notice(
        title=f"{made.verdict} {made.vendor} {made.day}",
        text=f"{made.vendor} {made.day} is {made.verdict}: {made.sentence}",
        severity="error" if made.verdict == "FAIL" else "warning", link=f"{notifier.base(settings)}{page}",
    )  # fmt: skip
    try:
        send(settings, notice)
    except TapedeckError as e:
        log.error("%s", e)
