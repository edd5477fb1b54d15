"""Proving what Kafka may soon delete, the nearest deadline first: by the ledger, else by repair."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence

from confluent_kafka.admin import OffsetSpec
from msgspec import Struct

from tapedeck.checks import reconcile
from tapedeck.jobs import plans
from tapedeck.jobs.limits import SHARE
from tapedeck.jobs.origin import Origin
from tapedeck.log import client
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, parse_duration
from tapedeck.store import database

COLLECTION = "retention"
HOUR_MS = 3_600_000
MS = 1_000_000
SETTLED = 900 * NS
"""What is younger is a writer's business."""


class Left(Struct, frozen=True, kw_only=True):
    """One partition. `oldest` is the lowest offset not proven, received at `oldest_ms`; `deadline_ms`: when
    Kafka may delete it (None: never, or there is none), UTC ms. `deleted`: so many are gone already."""

    topic: str
    topic_id: str
    partition: int
    oldest: int
    high: int
    oldest_ms: int | None
    deadline_ms: int | None
    by: str
    deleted: int

    @property
    def hours(self) -> float:
        """Until the deadline; infinite where there is none."""
        if self.deadline_ms is None:
            return math.inf
        return (self.deadline_ms - time.time() * 1000) / HOUR_MS


def queue(lefts: Iterable[Left], partitions: Sequence[int]) -> list[int]:
    """The log's partitions, those first whose unproven records Kafka may delete first."""
    waiting = sorted((one for one in lefts if one.oldest_ms is not None), key=lambda one: one.hours)
    counts = _counts(lefts)
    first = [p for one in waiting for p in partitions if p % counts[one.topic] == one.partition]
    return list(dict.fromkeys((*first, *partitions)))


def prove(settings: Settings, vendor: str, lefts: Sequence[Left], origin: Origin) -> list[str]:
    """Prove from the oldest unproven record on, partition by partition; gives sentences on what came of it.

    What the ledger proves is not read; else it is reconciled and rebuilt, within the limits of a scheduled
    repair, which keeps findings and leaves a receipt. Each partition counts as proven at once, so that who
    is killed has not worked in vain.
    """
    some = [one for one in lefts if one.oldest_ms is not None]
    lateness = parse_duration(settings.vendor(vendor).lateness)
    start = min(one.oldest_ms for one in some if one.oldest_ms is not None) * MS - lateness
    end = time.time_ns() - SETTLED
    if end <= start:
        return []
    of = Slice(max(0, start), end)
    asked = {(one.topic, one.partition): OffsetSpec.for_timestamp(end // MS) for one in some}
    [before] = client.found(settings, [asked])
    order, plan = reconcile.prepare(settings, vendor, of)
    if plan is None:
        return []
    plans.keep(settings, plan)
    parts: dict[int, reconcile.Part] = {}
    counts, done = _counts(lefts), set[tuple[str, int]]()
    for p in queue(lefts, order.partitions):
        parts[p] = reconcile.part(settings, order, plan, p, repair=True, share=SHARE, quick=True)
        for one in some:
            own = [q for q in order.partitions if q % counts[one.topic] == one.partition]
            whole = all(q in parts and _whole(parts[q]) for q in own)
            if whole and (one.topic, one.partition) not in done:
                done.add((one.topic, one.partition))
                offset = before[one.topic, one.partition]
                _keep(settings, vendor, one, one.high if offset < 0 else offset)
    reconcile.finish(settings, order, plan, parts.values(), origin, repair=True)
    lacking = [p for p in order.partitions if not _whole(parts[p])]
    if not lacking:
        return [f"{of} was reconciled and is proven"]
    said = {note for p in lacking for note in parts[p].notes}
    found = sum(len(parts[p].left) + parts[p].unlisted for p in lacking)
    why = "; ".join(sorted(said)) or f"{found} findings are left"
    return [f"{of} could not be proven in partitions {', '.join(map(str, lacking))}: {why}"]


def proofs(settings: Settings, vendor: str) -> dict[str, int]:
    """Up to which offset each partition was proven, by `topic id|partition`."""
    with database.answering(settings):
        found = database.collection(settings, COLLECTION).find_one({"_id": vendor})
    return dict(found.get("proven", {})) if found else {}


def _whole(part: reconcile.Part) -> bool:
    return not (part.left or part.unlisted or part.notes)


def _keep(settings: Settings, vendor: str, one: Left, offset: int) -> None:
    with database.answering(settings):
        database.collection(settings, COLLECTION).update_one(
            {"_id": vendor}, {"$max": {f"proven.{one.topic_id}|{one.partition}": offset}}, upsert=True
        )


def _counts(lefts: Iterable[Left]) -> dict[str, int]:
    """How many partitions each topic has."""
    counts: dict[str, int] = {}
    for one in lefts:
        counts[one.topic] = max(counts.get(one.topic, 0), one.partition + 1)
    return counts
