"""Windows of which Kafka no longer holds the log: the ledger stands for it (DESIGN §2.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tapedeck.checks import proof
from tapedeck.checks.findings import WHOLE, Finding, identity
from tapedeck.log import client, meta
from tapedeck.log.plan import Plan
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database, documents, ledger
from tapedeck.store.facts import missing
from tapedeck.store.library import Library
from tapedeck.store.positions import Lane
from tapedeck.store.window import Tally

CHECK = "ledger"


def spans(whole: Mapping[str, Slice], held: Mapping[str, Slice]) -> dict[str, Slice]:
    """By kind, the windows of a slice that lie before those that Kafka holds; of `held` ones none is empty
    at its end unless all are gone."""
    return {
        kind: Slice(all_.start, max(all_.start, min(all_.end, held[kind].start)))
        if held[kind].end > held[kind].start
        else all_
        for kind, all_ in whole.items()
    }


def differing(
    settings: Settings,
    plan: Plan,
    partition: int,
    libraries: Mapping[str, Library],
    gone: Mapping[str, Slice],
) -> Iterator[Finding]:
    """Windows in which the ledger counts other messages than Arctic accounts for, and, as one finding, what
    the ledger does not know of: nothing mends either from the log. Reads no payload."""
    pins = meta.read(settings).topics(plan.vendor).log
    if partition not in plan.expired or not gone:
        return
    ledger.catch_up(settings, plan.vendor, plan.of(partition), pins)
    since, lacking = _known(settings, plan, partition, libraries, gone)
    starts = {kind: _up(since, one) for kind, one in libraries.items()}
    asked = {
        kind: Slice(max(s.start, min(starts[kind], s.end)), s.end) for kind, s in gone.items()
    }  # fmt: skip
    if lacking and any(asked[kind].start > s.start for kind, s in gone.items()):
        start = min(s.start for s in gone.values())
        yield _unknown(plan.vendor, partition, Slice(start, max(s.start for s in asked.values())), lacking)
    found = proof.prove(settings, libraries, asked, groups=plan.partitions, partition=partition)
    for kind, _, start in found.differing:
        yield _finding(plan.vendor, partition, libraries[kind], start, found)


def _up(at: int, one: Library) -> int:
    """The first window that begins at or after a time."""
    around = one.around(at) if at else None
    return 0 if around is None else around.start if around.start == at else around.end


def _known(
    settings: Settings,
    plan: Plan,
    partition: int,
    libraries: Mapping[str, Library],
    gone: Mapping[str, Slice],
) -> tuple[int, int]:
    """Since when (UTC ns) the ledger has the facts of all that Kafka has deleted of a partition group, and
    how many offsets below it lacks."""
    lacking, firsts = 0, dict[Lane, int]()
    cut = [r for r in plan.of(partition) if r.start_reason == "expired"]
    bounds = client.bounds(settings, [(r.topic, r.partition) for r in cut])
    for r in cut:
        low, _ = bounds[r.topic, r.partition]
        known = ledger.runs(settings, r.topic_id, r.partition)
        lacking += sum(b - a for a, b in missing(0, low, known))
        first = next((start for start, end in known if start <= low <= end), None)
        if first is None:
            return plan.slice.end, lacking
        firsts[r.topic_id, r.partition] = first
    since = _since(settings, plan, partition, libraries, gone, firsts) if any(firsts.values()) else 0
    return since, lacking


def _since(
    settings: Settings,
    plan: Plan,
    partition: int,
    libraries: Mapping[str, Library],
    gone: Mapping[str, Slice],
    firsts: Mapping[Lane, int],
) -> int:
    """The first window that was built from these offsets on alone: a build reads all that may be its own."""
    counts = {r.topic_id: plan.count_of(r) for r in plan.ranges}

    def first(topic_id: str, symbol: str) -> int:
        count = counts.get(topic_id)
        return firsts.get((topic_id, partition_of(symbol, count)), 0) if count else 0

    starts = [max(one.end for one in gone.values())]
    with database.answering(settings):
        for kind, one in libraries.items():
            for stored in documents.heads(one.collection, partition, gone[kind]):
                if all(claim.start >= first(claim.topic_id, stored.symbol) for claim in stored.claims):
                    starts.append(one.around(stored.span.start).start)
    return min(starts)


def _unknown(vendor: str, partition: int, of: Slice, lacking: int) -> Finding:
    return Finding(
        id=identity(CHECK, vendor, partition, "unknown", of.start), check=CHECK, reason="expired",
        vendor=vendor, symbol=WHOLE, kind=WHOLE, start=of.start, end=of.end, at=of.start, messages=lacking,
        severity="warn",
        evidence={
            "partition": partition, "mendable": False,
            "why": f"partition {partition}: Kafka no longer holds this log, and the ledger lacks {lacking:,} "
            "of its offsets: what Arctic holds of it can't be proven",
        },
    )  # fmt: skip


def _finding(vendor: str, partition: int, one: Library, start: int, found: proof.Proof) -> Finding:
    place = (one.kind, partition, start)
    log, sums = found.at.get(place, (Tally(), proof.NOTHING))
    accounted = sum(tally.messages for tally in sums)
    span = one.around(start)
    same = " of the same number, but not the same ones" if accounted == log.messages else ""
    return Finding(
        id=identity(CHECK, vendor, partition, one.kind, start), check=CHECK, reason="writer", vendor=vendor,
        symbol=WHOLE, kind=one.kind, start=span.start, end=span.end, at=span.start,
        messages=max(1, abs(log.messages - accounted)),
        evidence={
            "partition": partition, "ledger": log.messages, "arctic": accounted, "mendable": False,
            "why": f"partition {partition}: Kafka no longer holds this log; of it the ledger counts "
            f"{log.messages:,} messages and Arctic accounts for {accounted:,}{same}",
        },
    )  # fmt: skip
