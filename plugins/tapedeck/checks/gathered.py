"""What is gathered of a slice for its gap check, and what it comes to: findings with reasons. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tapedeck.checks.attribution import Facts, attribute, explained, spell
from tapedeck.checks.findings import WHOLE, Finding, identity
from tapedeck.checks.gaps import Chains, Event, Head, Missing, Tail, chains, tails
from tapedeck.checks.heartbeats import Outage, Shortfall, late, listening, outages, shortfalls, unheard
from tapedeck.checks.look import Lane, Look
from tapedeck.checks.steadiness import Steadiness
from tapedeck.checks.switches import Switch, grouped, switches
from tapedeck.checks.twins import Lacking, Twins
from tapedeck.columns import Columns, concat
from tapedeck.log.coverage import FILES
from tapedeck.log.decode import Undecodable
from tapedeck.log.lost import Lost
from tapedeck.log.meta import Extent, Life
from tapedeck.log.quarantine import Entry
from tapedeck.message import CONNECTED, DISCONNECTED, SEQUENCE_RESET, WHOLE_FEED
from tapedeck.slices import NS, Slice

HOUR = 3600 * 10**9
MS = 1_000_000

Before = Callable[[int, str, Mapping[str, Head]], Mapping[str, Tail]]
"""Where chains of a partition and kind stood before these heads, as far as that is known."""


def nothing_before(partition: int, kind: str, heads: Mapping[str, Head]) -> Mapping[str, Tail]:
    """Nothing is known of what was before."""
    return {}


@dataclass(slots=True)
class Gathered:
    """A slice, partition by partition and stretch by stretch. `margin` as of `chains`; `backfills` are the
    numbers of topics that are in no order of time."""

    vendor: str
    of: Slice
    margin: int
    steady: Steadiness
    backfills: frozenset[int] = frozenset()
    stood: Before = nothing_before
    topics: Mapping[str, int] = field(default_factory=dict)
    """By topic id, how many partitions it has."""
    counts: dict[str, int] = field(init=False)
    notes: list[str] = field(default_factory=list)
    missing: list[tuple[int, Missing]] = field(default_factory=list)
    beats: dict[tuple[str, int], list[Columns]] = field(default_factory=dict)
    """By topic id and partition."""
    changes: set[tuple[int, int, bool]] = field(default_factory=set)
    short: list[Shortfall] = field(default_factory=list)
    undecodable: list[Undecodable] = field(default_factory=list)
    cut: dict[tuple[str, int], Lane] = field(default_factory=dict)
    lost: set[Lost] = field(default_factory=set)
    turned: list[Switch] = field(default_factory=list)
    ends: dict[tuple[int, str], dict[str, Tail]] = field(default_factory=dict)
    events: list[tuple[str, Event]] = field(default_factory=list)
    """Duplicates, reorders and resets of the slice, each with which of the three it is."""
    twins: Twins = field(default_factory=Twins)

    def __post_init__(self) -> None:
        names = ("messages", "gaps", "duplicates", "reorders", "resets")
        self.steady.counts = self.counts = {**dict.fromkeys(names, 0), **self.steady.counts}

    def take(self, seen: Look, stretch: Slice) -> None:
        """One partition group of one stretch."""
        self.undecodable += seen.undecodable
        self.lost.update(seen.lost)
        for lane in seen.lanes:
            place = lane.topic_id, lane.partition
            self.beats.setdefault(place, []).append(lane.beats)
            short = shortfalls(lane.partition, lane.beats, lane.stamps, stretch, lane.begun)
            self.short += [replace(one, topic_id=lane.topic_id) for one in short]
            if lane.cut:
                self.cut.setdefault(place, lane)
        self.steady.take(seen, stretch, tuple(self.backfills))
        self.twins.take(seen.judged, stretch)
        status = seen.judged.get("status")
        resets: dict[str, list[int]] = {}
        if status is not None:
            resets = self._statuses(status.kept)
        for kind, judged in seen.judged.items():
            inside = (judged.kept["ts_recv"] >= stretch.start) & (judged.kept["ts_recv"] < stretch.end)
            self.counts["messages"] += int(inside.sum())
            self.turned += switches(judged.kept, stretch)
            self._chains(seen.partition, kind, judged.kept, judged.voided, resets, stretch)

    def _statuses(self, status: Columns) -> dict[str, list[int]]:
        resets: dict[str, list[int]] = {}
        for i in np.flatnonzero(np.isin(status["code"], (SEQUENCE_RESET, CONNECTED, DISCONNECTED))).tolist():
            symbol = status.symbols[int(status["symbol"][i])]
            at, code = int(status["ts_recv"][i]), int(status["code"][i])
            if code == SEQUENCE_RESET:
                resets.setdefault(symbol, []).append(at)
            elif symbol == WHOLE_FEED:
                self.changes.add((int(status["src"][i]), at, code == CONNECTED))
        return resets

    def _chains(
        self,
        partition: int,
        kind: str,
        kept: Columns,
        voided: Columns,
        resets: dict[str, list[int]],
        stretch: Slice,
    ) -> None:
        found = chains(kept, self.margin, resets)
        before = self._before(partition, kind, found.heads)
        if any(found.heads[symbol].prev != tail.seq for symbol, tail in before.items()):
            found = chains(kept, self.margin, resets, before)
        self.ends.setdefault((partition, kind), {}).update(tails(kept) if found.heads or before else {})
        for name in ("duplicates", "reorders", "resets"):
            events = [e for e in getattr(found, name) if stretch.start <= e.ts_recv < stretch.end]
            self.counts[name] += len(events)
            self.events += [(name, event) for event in events]
        self.missing += [
            (partition, gap) for gap in _real(found, voided) if stretch.start <= gap.end < stretch.end
        ]

    def _before(self, partition: int, kind: str, heads: dict[str, Head]) -> dict[str, Tail]:
        """Where chains stood that begin within what was read: as seen before, else as Arctic has it."""
        stood = self.ends.get((partition, kind), {})
        found = {s: stood[s] for s, head in heads.items() if s in stood and stood[s].ts_recv < head.ts_recv}
        asked = {s: head for s, head in heads.items() if s not in found and head.ts_recv >= self.of.start}
        return found | dict(self.stood(partition, kind, asked)) if asked else found

    def found(
        self, known_lives: Iterable[Life], extents: Iterable[Extent], entries: Sequence[Entry], now: int
    ) -> Iterator[Finding]:
        """All findings but of what Kafka has deleted. `entries`: what stands in quarantine."""
        lives = [life for life in known_lives if life.vendor == self.vendor]
        beats = {place: concat("heartbeat", parts) for place, parts in self.beats.items()}
        together = concat("heartbeat", beats.values())
        out, notes = outages(together, lives, self.changes, self.of, now)
        self.notes += notes
        files = [
            (e.src, e.first, e.last)
            for e in extents
            if e.vendor == self.vendor and e.src >= FILES and e.next is not None
        ]
        heard = listening(lives, files, out, max(self.of.end, now))
        facts = Facts(
            quarantined=entries, undecodable=self.undecodable, short=self.short, unheard=unheard(out, heard),
            heard=[span for spans in heard.values() for span in spans], counts=self.topics,
        )  # fmt: skip
        self.counts["gaps"] = len(self.missing)
        for partition, gap in self.missing:
            yield self._of_gap(gap, partition, facts)
        for outage, start, end in facts.unheard:
            yield self._of_outage(outage, start, end)
        yield from self._of_lone_beats(beats, lives, out)
        for short in self.short:
            if short.messages > (known_missing := explained(facts, short)):
                yield self._of_short(short, known_missing)
        yield from self._of_entries([e for e in entries if not explained(facts, e)])
        yield from self._of_records([u for u in self.undecodable if not explained(facts, u)])
        yield from self._of_lost()
        for lacking in self.twins.lacking(heard):
            yield self._of_twin(lacking)
        for (one, other), lag in self.twins.lag().items():
            if abs(lag) > self.steady.limits.skew_ms * MS:
                self.notes.append(f"collector {other} receives {lag / NS:+.3f} s after collector {one}")
        yield from (self._of_switches(group) for group in grouped(self.turned))
        gaps = [gap for _, gap in self.missing]
        yield from self.steady.found(facts.heard, gaps, self.make)
        self.notes += self.steady.notes

    def make(self, check: str, what: tuple[object, ...], **fields: Any) -> Finding:
        """A finding of this vendor, of everything unless it is said of what."""
        fields = {"symbol": WHOLE, "kind": WHOLE, "at": fields["start"], **fields}
        return Finding(id=identity(check, self.vendor, *what), check=check, vendor=self.vendor, **fields)

    def identity_of(self, silence: tuple[str, int]) -> str:
        """The id of the finding about the silence of a symbol that began then."""
        return identity("silence", self.vendor, *silence)

    def _of_gap(self, gap: Missing, partition: int, facts: Facts) -> Finding:
        reason, evidence = attribute(gap, partition, facts)
        return self.make(
            "sequence", (gap.symbol, gap.kind, gap.first, gap.next, gap.start), reason=reason,
            symbol=gap.symbol, kind=gap.kind, start=gap.start, end=gap.end, at=gap.end, messages=gap.messages,
            evidence={"first": gap.first, "next": gap.next, "exact": gap.exact, **evidence},
        )  # fmt: skip

    def _of_outage(self, outage: Outage, start: int, end: int) -> Finding:
        return self.make(
            "collector", (start,), reason="collector", start=start, end=end, messages=0,
            severity="fail" if outage.certain else "warn",
            evidence={"src": outage.src, "what": outage.why, "why": spell(outage)},
        )  # fmt: skip

    def _of_twin(self, one: Lacking) -> Finding:
        return self.make(
            "twins", (one.src, one.other, self.of.start // HOUR), reason="collector", start=one.first,
            end=one.last + 1, messages=0, severity="warn",
            evidence={
                "src": one.src, "other": one.other, "lacking": one.messages, "of": one.of,
                "symbols": list(one.symbols),
                "why": f"collector {one.src} lacks {one.messages:,} of the {one.of:,} messages that "
                f"collector {one.other} has while both listened ({', '.join(one.symbols)}): the log has them",
            },
        )  # fmt: skip

    def _of_lone_beats(
        self, beats: dict[tuple[str, int], Columns], lives: list[Life], out: list[Outage]
    ) -> Iterator[Finding]:
        """Heartbeats that one partition lacks and the others have: Kafka did not get them, or lost them."""
        everywhere = {(o.src, o.start, o.end) for o in out}
        for (_, p), own in beats.items():
            for one in (o for life in lives for o in late(own, life)):
                spans = [(s, e) for src, s, e in everywhere if src == one.src]
                alone = not any(s <= one.start and one.end <= e for s, e in spans)
                if one.certain and alone and self.of.start <= one.start < self.of.end:
                    yield self.make(
                        "heartbeat", (one.src, p, one.start), reason="publish", start=one.start,
                        end=one.end, messages=0,
                        evidence={
                            "src": one.src, "partition": p,
                            "why": f"partition {p} lacks heartbeats that other partitions have",
                        },
                    )  # fmt: skip

    def _of_short(self, short: Shortfall, seen: int) -> Finding:
        return self.make(
            "publish", (short.src, short.partition, short.start), reason="publish", start=short.start,
            end=short.end, messages=short.messages - seen,
            evidence={
                "src": short.src, "partition": short.partition,
                "why": f"heartbeats count {short.messages} more messages than the log holds",
            },
        )  # fmt: skip

    def _of_switches(self, group: list[Switch]) -> Finding:
        """No message is known to be missing: without a sequence none can be."""
        first = group[0]
        symbols = sorted({one.symbol for one in group})
        return self.make(
            "switch", (first.before, first.after, first.at), reason="collector", start=first.last,
            end=group[-1].at + 1, at=first.at, messages=0, severity="warn",
            evidence={
                "from": first.before, "to": first.after, "symbols": symbols[:20],
                "why": f"{len(symbols)} symbols without a sequence go over from source {first.before} to "
                f"{first.after}: nothing proves that none was lost or doubled there",
            },
        )  # fmt: skip

    def _of_entries(self, entries: Iterable[Entry]) -> Iterator[Finding]:
        """One finding for each source, reason and hour, so that a flood is not a flood of findings."""
        groups: dict[tuple[int, str, int], list[Entry]] = {}
        for e in entries:
            groups.setdefault((e.src, e.reason, e.ts_recv // HOUR), []).append(e)
        for (src, reason, hour), some in groups.items():
            times = [e.ts_recv for e in some]
            yield self.make(
                "quarantine", (src, reason, hour), reason="quarantine", start=min(times), end=max(times) + 1,
                messages=len(some), severity="warn",
                evidence={"src": src, "why": reason, "recv_ns": some[0].recv_ns, "k": some[0].k},
            )  # fmt: skip

    def _of_records(self, records: Iterable[Undecodable]) -> Iterator[Finding]:
        groups: dict[tuple[str, int, int], list[Undecodable]] = {}
        for u in records:
            groups.setdefault((u.topic_id, u.partition, u.timestamp_ms * MS // HOUR), []).append(u)
        for key, some in groups.items():
            times = [u.timestamp_ms * MS for u in some]
            yield self.make(
                "undecodable", key, reason="publish", start=min(times), end=max(times) + MS,
                messages=len(some),
                evidence={"partition": key[1], "offset": some[0].offset, "why": some[0].reason},
            )  # fmt: skip

    def _of_lost(self) -> Iterator[Finding]:
        """Offsets that Kafka lost, though they had not expired; some may be control records."""
        spans: dict[tuple[str, int, int], Lost] = {}
        for one in self.lost:  # a hole at a range's beginning is seen from its first record on only
            key = one.topic_id, one.partition, one.stop
            if key not in spans or one.start < spans[key].start:
                spans[key] = one
        for one in sorted(spans.values(), key=lambda one: (one.partition, one.start)):
            start = self.of.start if one.after_ms is None else max(self.of.start, one.after_ms * MS)
            end = self.of.end if one.before_ms is None else min(self.of.end, (one.before_ms + 1) * MS)
            if start < end:
                yield self.make(
                    "lost", (one.topic_id, one.partition, one.stop), reason="publish", start=start, end=end,
                    messages=one.stop - one.start,
                    evidence={
                        "topic": one.topic, "partition": one.partition, "first": one.start,
                        "next": one.stop, "why": str(one),
                    },
                )  # fmt: skip


def _real(found: Chains, voided: Columns) -> Iterator[Missing]:
    """What is missing, but for what was voided: that came, and is no data."""
    for gap in found.missing:
        if len(voided) and gap.symbol in voided.symbols:
            own = voided["symbol"] == voided.symbols.index(gap.symbol)
            own &= (voided["seq"] >= gap.first) & (voided["seq"] < gap.next)
            out = len(np.unique(voided["seq"][own]))
            if out >= gap.messages:
                continue
        yield gap
