"""The gap check of a slice: chains, heartbeats, quarantine, retention; each missing span with its reason."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from tapedeck.checks import findings, steadiness
from tapedeck.checks.baselines import Baselines
from tapedeck.checks.findings import Finding
from tapedeck.checks.gaps import Head, Tail
from tapedeck.checks.gathered import HOUR, Gathered
from tapedeck.checks.look import Lane, look
from tapedeck.checks.report import Progress, Report
from tapedeck.checks.scope import with_scope
from tapedeck.checks.steadiness import Steadiness
from tapedeck.checks.stood import stood_before
from tapedeck.log import meta, quarantine
from tapedeck.log.plan import Plan
from tapedeck.log.reading import STRETCH_RECORDS, stretches
from tapedeck.log.resolve import resolve
from tapedeck.message import KINDS
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time, parse_duration
from tapedeck.store import database, documents, library, positions

CHECKS = (
    "sequence", "collector", "heartbeat", "publish", "quarantine", "undecodable", "expired", "twins", "lost",
    "switch",
    *steadiness.CHECKS,
)  # fmt: skip
"""The checks that a gap check runs; a finding says which one found it."""


def gap_check(
    settings: Settings,
    vendor: str,
    of: Slice,
    *,
    run: str = "",
    settle: int = 0,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Look for what is missing in a slice of a vendor, keep it as findings, close what is no longer found.

    `run` names who closes findings. `settle`: how long after its end, in ns, a slice is waited for. Reads the
    slice once. Raises BadInput for an unknown vendor, Unavailable.
    """
    settings.vendor(vendor)
    known = meta.read(settings)
    if not any(pin.vendor == vendor for pin in known.pins.values()):
        note = f"nothing is recorded of {vendor} yet"
        return Report(vendor=vendor, slice=of, findings=[], counts={}, notes=[note])
    steady = Steadiness(of, Baselines(settings, vendor), parse_duration(settings.writer.grace))
    frozen = resolve(settings, vendor, of)
    while not frozen.complete and of.end <= time.time_ns() < of.end + settle:
        time.sleep(2)
        frozen = resolve(settings, vendor, of)

    def stood(partition: int, kind: str, heads: Mapping[str, Head]) -> Mapping[str, Tail]:
        return stood_before(settings, vendor, known.topics(vendor), partition, kind, heads)

    backfills = frozenset(r.number for r in frozen.ranges if r.start_reason == "extent")
    topics = {r.topic_id: frozen.count_of(r) for r in frozen.ranges}
    of_groups = {r.number: frozen.count_of(r) for r in frozen.ranges}
    steady.timing.counts = {number: n for number, n in of_groups.items() if n != frozen.partitions}
    check = Gathered(vendor, of, frozen.margin, steady, backfills, stood, topics)
    # One partition is held at a time, so a stretch may be longer, and its margins are read less often.
    parts = list(stretches(frozen, STRETCH_RECORDS * frozen.partitions))
    for i, stretch in enumerate(parts):
        whole = stretch == of
        plan = frozen if whole else resolve(settings, vendor, stretch, within=frozen)
        for p in range(plan.partitions):
            progress(i * plan.partitions + p, len(parts) * plan.partitions)
            check.take(look(settings, plan, p, stretch), stretch)
    progress(1, 1)
    known = meta.read(settings)
    entries = quarantine.standing(settings, vendor, of)
    found = list(check.found(known.lives, known.extents, entries, time.time_ns()))
    for cut in check.cut.values():
        found += _of_cut(settings, check, cut, frozen)
    found = with_scope(settings, vendor, found)
    run = run or f"gaps {format_time(time.time_ns())}"
    stands = findings.record(settings, vendor, CHECKS, of, found, run)
    findings.close(settings, [check.identity_of(one) for one in steady.settled], run)
    gone = [check.identity_of(one) for one in steady.gone]
    findings.close(settings, gone, f"{run}: no longer heard, taken for delisted")
    steady.learn(settings, vendor)
    return Report(
        vendor=vendor, slice=of, findings=sorted(stands, key=_order), counts=check.counts,
        notes=list(dict.fromkeys((*frozen.notes, *check.notes))),
    )  # fmt: skip


def _order(one: Finding) -> tuple[int, str, str]:
    return one.start, one.symbol, one.kind


def _of_cut(settings: Settings, check: Gathered, cut: Lane, plan: Plan) -> Iterator[Finding]:
    """Records of the slice that Kafka has deleted; a failure only where Arctic has not got them."""
    if cut.oldest <= check.of.start:
        return
    first = cut.beats["sent"][:1].tolist()
    if first == [0]:
        return  # nothing had been sent before what is left
    proven = _proven(settings, check, cut, plan)
    lost = max(0, cut.low - proven)
    end = min(cut.oldest, check.of.end)
    stands = "Arctic was built from them" if not lost else f"Arctic was built up to offset {proven} only"
    gone = f"Kafka has deleted offsets below {cut.low} of {cut.topic}[{cut.partition}]"
    yield check.make(
        "expired", (cut.topic_id, cut.partition, proven if lost else "stored", check.of.start // HOUR),
        reason="expired", start=check.of.start, end=end, messages=lost,
        severity="fail" if lost else "warn",
        evidence={
            "partition": cut.partition, "low": cut.low, "built_through": proven,
            "why": f"{gone}; {stands}",
        },
    )  # fmt: skip


def _proven(settings: Settings, check: Gathered, cut: Lane, plan: Plan) -> int:
    """Up to which offset of the partition Arctic was built, as far as the lost part goes."""
    count = next(plan.count_of(r) for r in plan.ranges if r.topic_id == cut.topic_id)
    saved = positions.read(settings, check.vendor).get((cut.topic_id, cut.partition))
    through = saved.next if saved else 0
    libraries = [library.named(settings, f"{check.vendor}.{kind}") for kind in KINDS]
    with database.answering(settings):
        for one in libraries:
            windows = Slice(one.around(check.of.start).start, min(cut.oldest, check.of.end))
            for stored in documents.heads(one.collection, cut.partition % plan.partitions, windows):
                if cut.partition == partition_of(stored.symbol, count):
                    through = max(through, stored.through(cut.topic_id))
    return through
