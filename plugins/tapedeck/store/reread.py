"""Reading again, from the log, what some windows of one partition are built from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from tapedeck.columns import Columns, concat
from tapedeck.log import client
from tapedeck.log.decode import Undecodable, decode_records
from tapedeck.log.meta import VendorTopics
from tapedeck.log.plan import Claim, Plan, Range
from tapedeck.log.read import Records, read
from tapedeck.message import KINDS
from tapedeck.partitions import of_groups, partition_of
from tapedeck.settings import Settings
from tapedeck.store.documents import Stored
from tapedeck.store.ledger import Ledger
from tapedeck.store.positions import Lane
from tapedeck.store.window import between, beyond, ordered

Spans = Mapping[Lane, tuple[int, int]]
"""Offsets [start, next) of some partitions of one partition group."""


@dataclass(frozen=True, slots=True)
class Reread:
    """A stretch of one partition group's log, decoded: by kind, in order, its margins included."""

    columns: dict[str, Columns]
    voids: Columns | None
    signs: Columns
    """Signs of listening (`log.signs`)."""
    undecodable: list[Undecodable]
    claims: tuple[Claim, ...]
    numbers: dict[str, int]
    """Topic id → number, of the topics that there are."""
    counts: dict[str, int]
    """Topic id → how many partitions it has."""
    lows: dict[Lane, int]
    """The first offset that Kafka still holds; not asked for where no window stands."""
    backfills: frozenset[int]
    margin: int
    expired: bool
    """Whether the log no longer reaches back to the stretch's start."""
    notes: tuple[str, ...]

    def beyond(self, standing: Sequence[Stored], records: Columns) -> Columns:
        """The records that no stored window has read."""
        spans = [
            (s.span, {self.numbers[c.topic_id]: c.next for c in s.claims if c.topic_id in self.numbers})
            for s in standing
        ]
        return beyond(spans, records)

    def is_cut(self, standing: Sequence[Stored]) -> bool:
        """Whether Kafka no longer holds all that these documents were built from."""
        return any(
            claim.next > claim.start and self._low(claim.topic_id, stored.symbol) > claim.start
            for stored in standing
            for claim in stored.claims
        )

    def _low(self, topic_id: str, symbol: str) -> float:
        count = self.counts.get(topic_id)
        return math.inf if count is None else self.lows[topic_id, partition_of(symbol, count)]


def reread(
    settings: Settings,
    plan: Plan,
    partition: int,
    pins: VendorTopics,
    standing: Sequence[Stored],
    late: Spans,
    seen: Callable[[Records], object] = lambda records: None,
    ledger: Ledger | None = None,
) -> Reread:
    """Read one partition group of a plan, and on to where the stored windows and the late messages reach.

    `seen` is shown every batch of records as it is read; it may wait. What is read is entered in the
    ledger, where one is given.

    Raises Incomplete where Kafka deleted some of it after the plan was made.
    """
    ranges, claims = _widened(plan, partition, pins, standing, late)
    wide = plan.slice.widen(plan.margin)
    found: dict[str, list[Columns]] = {kind: [] for kind in KINDS}
    voids: list[Columns] = []
    signs: list[Columns] = []
    bad: dict[tuple[str, int, int], Undecodable] = {}
    counts = {pin.id: pin.partitions for pin in pins.log}
    for records in read(settings, ranges):
        seen(records)
        decoded = decode_records(records, counts[records.range.topic_id])
        if ledger is not None:
            ledger.add(records, decoded)
        bad.update({(u.topic_id, u.partition, u.offset): u for u in decoded.undecodable})
        for kind, columns in decoded.messages.items():
            found[kind].append(between(columns, wide))
        if decoded.voids is not None:
            voids.append(decoded.voids)
        if decoded.signs is not None:
            signs.append(decoded.signs)
    return Reread(
        columns={kind: ordered(concat(kind, parts)) for kind, parts in found.items()},
        voids=concat("void", voids) if voids else None,
        signs=concat("heartbeat", signs),
        undecodable=list(bad.values()),
        claims=claims,
        numbers={pin.id: pin.number for pin in pins.log},
        counts=counts,
        lows=_lows(settings, pins, partition) if standing else {},
        backfills=frozenset({pins.backfill.number}),
        margin=plan.margin,
        expired=partition in plan.expired,
        notes=plan.notes,
    )


def _widened(
    plan: Plan, partition: int, pins: VendorTopics, standing: Sequence[Stored], late: Spans
) -> tuple[list[Range], tuple[Claim, ...]]:
    """The plan's ranges and claims, widened. A record that is so read twice counts once later on.

    What stands may have been built of a topic that the vendor grew into after the plan was made.
    """
    ranges, claims = list(plan.of(partition)), []
    named = {pin.id: pin for pin in pins.log}
    known = {(claim.topic_id, claim.partition) for claim in plan.claimed(partition)}
    through = _through(pins, standing)
    unknown = [lane for lane in through if lane not in known]
    beside = [
        Claim(topic_id=topic_id, partition=p, start=start, next=start, count=named[topic_id].partitions)
        for topic_id, p in unknown
        for start, _ in [through[topic_id, p]]
    ]
    for claim in (*plan.claimed(partition), *beside):
        pin, lane = named[claim.topic_id], (claim.topic_id, claim.partition)
        blank = Range(
            topic=pin.name, topic_id=pin.id, number=pin.number, partition=claim.partition, start=0, stop=0,
            start_reason="exact", stop_reason="exact",
        )  # fmt: skip
        first, last = late.get(lane, (claim.next, claim.next))
        end = max(claim.next, through.get(lane, (0, 0))[1], last)
        by_extents = pin.number == pins.backfill.number  # a plan reads of it only what those name
        for start, stop in ((claim.next, end), (first, last if by_extents else min(last, claim.start))):
            if stop > start:
                ranges.append(structs.replace(blank, start=start, stop=stop))
        claims.append(structs.replace(claim, next=end))
    return ranges, tuple(claims)


def _through(pins: VendorTopics, standing: Sequence[Stored]) -> dict[Lane, tuple[int, int]]:
    """By topic and partition, from where and through which offset the stored windows were built."""
    counts = {pin.id: pin.partitions for pin in pins.log}
    found: dict[Lane, tuple[int, int]] = {}
    for stored in standing:
        for claim in stored.claims:
            if claim.topic_id in counts:
                lane = claim.topic_id, partition_of(stored.symbol, counts[claim.topic_id])
                start, end = found.get(lane, (claim.start, claim.next))
                found[lane] = min(start, claim.start), max(end, claim.next)
    return found


def _lows(settings: Settings, pins: VendorTopics, partition: int) -> dict[Lane, int]:
    with client.consumer(settings) as consumer:
        return {
            (pin.id, p): client.watermarks(settings, consumer, pin.name, p)[0]
            for pin in pins.log
            for p in of_groups([partition], pins.groups, pin.partitions)
        }
