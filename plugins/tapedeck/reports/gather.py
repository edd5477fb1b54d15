"""A vendor's day, gathered from the checks, from Arctic and from the log, a partition at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from tapedeck.calendars.named import calendar_of
from tapedeck.checks import findings, reconcile
from tapedeck.checks.gap_check import gap_check
from tapedeck.jobs import receipts
from tapedeck.log import client, coverage, meta, quarantine, topics
from tapedeck.log.plan import Plan
from tapedeck.message import KINDS, WHOLE_FEED
from tapedeck.reports import kept
from tapedeck.reports.axis import Axis, axis
from tapedeck.reports.compose import Facts, Gathered, compose, span_of
from tapedeck.reports.day import Day, slice_of
from tapedeck.reports.reading import PartRead, read_part
from tapedeck.reports.thresholds import Thresholds
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store import database, latency, library
from tapedeck.store.library import Library

RUN = "quality_report"
"""What findings that a report no longer finds are closed by."""
TELL = 10
"""Seconds between two lines of progress."""
DAY = 86_400 * NS
NOBODY = reconcile.Order(vendor="", slice=Slice(0, 1))
Progress = Callable[[int, int], object]


class Ground(Struct, frozen=True, kw_only=True):
    """What a report of a day stands on: its slice so far, the axis of its plots, the log's frozen plan."""

    vendor: str
    of: Slice
    whole: Slice
    on: Axis
    limits: Thresholds
    libraries: dict[str, Library]
    order: reconcile.Order
    plan: Plan | None
    holds: bool
    """Whether Arctic holds anything of the day."""
    fingerprints: dict[int, str]
    """By partition, what a reading of it that was kept must stand for."""

    @property
    def partitions(self) -> tuple[int, ...]:
        """Those to read; one where there is no log to say how many there are."""
        return self.order.partitions or (0,)


def ground(settings: Settings, vendor: str, day: date, limits: Thresholds | None = None) -> Ground:
    """Freeze what the report of a day (UTC) stands on. Reads no ticks. Raises BadInput, Unavailable."""
    settings.vendor(vendor)
    limits = limits or Thresholds()
    whole = slice_of(day)
    of = Slice(whole.start, max(whole.start + 1, min(whole.end, time.time_ns())))
    libraries = {kind: library.named(settings, f"{vendor}.{kind}") for kind in KINDS}
    extent = _extent(settings, libraries, of)
    order, plan = NOBODY, None
    on = axis(extent or whole)
    prints: dict[int, str] = {}
    if any(pin.vendor == vendor for pin in meta.read(settings).pins.values()):
        order, plan = reconcile.prepare(settings, vendor, of)
    if plan is not None:
        prints = kept.fingerprints(settings, libraries, plan, of, on, limits)
    return Ground(
        vendor=vendor, of=of, whole=whole, on=on, limits=limits, libraries=libraries, order=order, plan=plan,
        holds=extent is not None, fingerprints=prints,
    )  # fmt: skip


def read_one(
    settings: Settings,
    on: Ground,
    partition: int,
    folder: Path,
    told: Callable[[str], object] = lambda line: None,
) -> PartRead:
    """Read one partition of the day and keep what was found in `folder`. Raises as `read_part`.

    What differs is not kept: a repair of rows that were altered on the disk leaves the sums as they were.
    """
    began = last = time.monotonic()

    def progress(at: int, rows: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > TELL:
            last = now
            told(f"{format_time(at)}: {rows:,} messages, {rows / (now - began):,.0f}/s")

    libraries = on.libraries if on.holds else {}
    made = read_part(settings, libraries, on.of, on.on, on.limits, on.plan, on.order, partition, progress)
    differs = bool(made.notes) or (made.compared is not None and bool(made.compared.found))
    if partition in on.fingerprints and not differs:
        kept.save(folder, on.fingerprints[partition], made)
    else:
        kept.forget(folder, partition)
    return made


def check_gaps(settings: Settings, on: Ground, folder: Path) -> kept.Gaps:
    """Run the day's gap check, which keeps its findings, and keep in `folder` what else it said."""
    report = gap_check(settings, on.vendor, on.of, run=RUN)
    made = kept.Gaps(counts=dict(report.counts), notes=list(report.notes))
    if on.plan is not None:
        kept.save_gaps(folder, on.plan, made)
    return made


def gather(
    settings: Settings,
    on: Ground,
    folder: Path,
    *,
    quick: bool = False,
    trailing: Sequence[Day] = (),
    plots_of: int = 50,
    progress: Progress = lambda done, total: None,
) -> Gathered:
    """Check, read and judge the day. `trailing`: reports of days before it, the baseline.

    Runs the gap check and the comparison of the log with Arctic, and keeps what they find; repairs nothing
    and leaves no receipt. `quick`: what was read before and has not changed since, by the log's offsets and
    by the sums of the windows' digests, is not read again. `plots_of`: so many symbols are drawn. Raises
    BadInput, Unavailable.
    """
    facts = Facts(on.of, on.on, on.plan)
    steps = 1 + len(on.partitions)
    if on.plan is not None:
        gaps = (kept.load_gaps(folder, on.plan) if quick else None) or check_gaps(settings, on, folder)
        facts.counts = dict(gaps.counts)
        facts.notes += gaps.notes
    elif not on.order.vendor:
        facts.notes.append(f"nothing was ever recorded of {on.vendor}")
    reads: list[PartRead] = []
    if on.plan is not None or on.holds:
        for i, p in enumerate(on.partitions):
            progress(1 + i, steps)
            same = on.fingerprints.get(p) if quick else None
            reads.append((kept.load(folder, p, same) if same else None) or read_one(settings, on, p, folder))
            facts.take(reads[-1])
    _compared(settings, on, reads, facts)
    facts.hops = latency.read(settings, on.vendor, on.whole.start)
    if on.of.end < on.whole.end:
        facts.notes.append(f"the day is not over: this is how it stood at {format_time(on.of.end)}")
    facts.notes = list(dict.fromkeys(facts.notes))
    progress(1, 1)
    trades = bool(calendar_of(settings, on.vendor).sessions(on.whole))
    day = datetime.fromtimestamp(on.whole.start // NS, UTC).date()
    due = settings.vendor(on.vendor).symbols
    return compose(
        on.vendor, day, due, trades, on.of.end == on.whole.end, facts, trailing, on.limits, plots_of,
        {s for s in due if bool(calendar_of(settings, on.vendor, s).sessions(on.whole)) != trades},
    )  # fmt: skip


def _compared(settings: Settings, on: Ground, reads: Sequence[PartRead], facts: Facts) -> None:
    """What the comparisons found is kept as findings; then what stands of the day."""
    if on.plan is None:
        return
    parts = [read.compared for read in reads if read.compared is not None]
    facts.balance = [one.balance for one in parts]
    facts.notes += [note for one in parts for note in one.notes]
    spans = [s for one in parts for s in one.spans.values() if s.end > s.start]
    if spans:
        judged = Slice(min(s.start for s in spans), max(s.end for s in spans))
        differ = [f for one in parts for f in one.found]
        findings.record(settings, on.vendor, reconcile.CHECKS, judged, differ, RUN)
    facts.found = [f for f in findings.listed(settings, on.vendor) if on.of.start <= f.at < on.of.end]
    known = receipts.recent(settings, limit=1000, vendor=on.vendor)
    met = [r for r in known if on.of.meets(*span_of(r))]
    facts.receipts = [r for r in met if r.job in ("backfill", "reconcile")]
    facts.voids = [r for r in met if r.job == "void" and r.outcome == "written"]
    facts.entries = quarantine.standing(settings, on.vendor, on.of)
    facts.kept_until = _kept_until(settings, on)
    facts.heard = coverage.coverage(settings, on.vendor, on.of)


def _kept_until(settings: Settings, on: Ground) -> list[dict[str, Any]]:
    """Until when the day can be built again from each topic that holds some of it."""
    assert on.plan is not None  # noqa: S101 - where there is no log there is nothing to keep
    names = sorted({r.topic for r in on.plan.ranges if r.stop > r.start})
    if not names:
        return []
    with client.answering(settings):
        configs = topics.configs(client.admin(settings), names)
    found = []
    for name in names:
        age, size = int(configs[name]["retention.ms"]), int(configs[name]["retention.bytes"])
        until = format_time(on.whole.start + age * 1_000_000) if age >= 0 else None
        found.append({"topic": name, "kept_until": until, "kept_bytes": size if size >= 0 else None})
    return found


def _extent(settings: Settings, libraries: Mapping[str, Library], of: Slice) -> Slice | None:
    """The windows of the day that Arctic has anything of."""
    first, last = datetime.fromtimestamp(of.start // NS, UTC), datetime.fromtimestamp(-(-of.end // NS), UTC)
    query = {"s": {"$gte": first, "$lt": last}, "kept.n": {"$gt": 0}, "sy": {"$ne": WHOLE_FEED}}
    starts: list[int] = []
    ends: list[int] = []
    with database.answering(settings):
        for one in libraries.values():
            for found, name, way in ((starts, "start", 1), (ends, "end", -1)):
                document = one.collection.find_one(query, {name: 1}, sort=[("s", way)])
                if document is not None:
                    found.append(document[name] * 1_000_000)
    midnight = (of.start // DAY + 1) * DAY
    return Slice(max(of.start, min(starts)), min(midnight, max(ends))) if starts else None
