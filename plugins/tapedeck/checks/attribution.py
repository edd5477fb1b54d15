"""Where it went missing: each missing span gets exactly one reason of DESIGN §1, with its evidence. Pure.

A message goes from the vendor to the bus, to a collector's tape, to the log. The first hop at which it is
known to have been lost, seen from the log's end, is the reason; what nobody ever saw is the vendor's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tapedeck.checks.findings import Reason
from tapedeck.checks.gaps import Missing
from tapedeck.checks.heartbeats import FAIL, INTERVAL, Outage, Shortfall, subtract
from tapedeck.log.decode import Undecodable
from tapedeck.log.quarantine import Entry
from tapedeck.partitions import partition_of
from tapedeck.slices import format_time

MS = 1_000_000


@dataclass(slots=True)
class Facts:
    """What is known of a slice beside its messages. `taken` notes what has explained a missing span."""

    quarantined: Sequence[Entry] = ()
    undecodable: Sequence[Undecodable] = ()
    short: Sequence[Shortfall] = ()
    unheard: Sequence[tuple[Outage, int, int]] = ()
    """Outages in which no other source listened either."""
    heard: Sequence[tuple[int, int]] = ()
    """When some source listened; empty where that is not known."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """By topic id, how many partitions it has; one that is not named is counted as the gap's partition is."""
    taken: dict[int, int] = field(default_factory=dict)
    """By `id` of an entry, record or shortfall, how many missing messages it explains."""


def attribute(gap: Missing, partition: int, facts: Facts) -> tuple[Reason, dict[str, Any]]:
    """The one reason why these messages are missing, and what shows it."""

    def is_home(place: Undecodable | Shortfall) -> bool:
        count = facts.counts.get(place.topic_id)
        return place.partition == (partition_of(gap.symbol, count) if count else partition)

    for entry in facts.quarantined:
        names = not entry.payload or gap.symbol.lower().encode() in entry.payload.lower()
        if gap.start < entry.ts_recv < gap.end and names and _free(facts, entry, 1):
            _take(facts, entry, 1)
            return "quarantine", {
                "src": entry.src, "recv_ns": entry.recv_ns, "k": entry.k, "why": entry.reason
            }  # fmt: skip
    for record in facts.undecodable:
        meant = is_home(record) and gap.start // MS <= record.timestamp_ms <= gap.end // MS
        if meant and _free(facts, record, 1):
            _take(facts, record, 1)
            return "publish", {"offset": record.offset, "partition": record.partition, "why": record.reason}
    shorts = [
        short
        for short in facts.short
        if is_home(short) and _meets(gap, short.start, short.end)
        and _free(facts, short, short.messages)
    ]  # fmt: skip
    if shorts:
        left = gap.messages
        for short in shorts:  # a gap may reach over a heartbeat
            part = min(left, short.messages - explained(facts, short))
            _take(facts, short, part)
            left -= part
        return "publish", {
            "src": shorts[0].src, "partition": shorts[0].partition,
            "why": f"heartbeats count {sum(s.messages for s in shorts)} more messages than the log holds",
        }  # fmt: skip
    for outage, start, end in facts.unheard:
        if outage.certain and _meets(gap, start, end):
            return "collector", {"src": outage.src, "why": spell(outage)}
    alone = subtract((gap.start, gap.end), facts.heard) if facts.heard else []
    for start, end in alone:
        if end - start > FAIL * INTERVAL:
            why = f"no source listened from {format_time(start)} to {format_time(end)}"
            return "collector", {"why": why}
    return "upstream", {"why": "no source ever saw it"}


def explained(facts: Facts, one: object) -> int:
    """How many missing messages this has explained already."""
    return facts.taken.get(id(one), 0)


def spell(outage: Outage) -> str:
    """What happened to a collector, for a person."""
    since, until = format_time(outage.start), format_time(outage.end)
    said = {
        "late heartbeat": "showed nothing",
        "killed": "died and was started again: nothing was received",
        "ended": "was ended and started again: nothing was received",
        "disconnected": "was disconnected from the bus",
        "silent since": "has shown nothing",
    }[outage.why]
    return f"collector {outage.src} {said} from {since} to {until}"


def _meets(gap: Missing, start: int, end: int) -> bool:
    return gap.start < end and start < gap.end


def _free(facts: Facts, one: object, messages: int) -> bool:
    return explained(facts, one) < messages


def _take(facts: Facts, one: object, messages: int) -> None:
    facts.taken[id(one)] = explained(facts, one) + messages
