"""The gap check of a slice: chains, heartbeats, quarantine, retention; each missing span with its reason."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tapedeck.checks import findings, steadiness
from tapedeck.checks.attribution import Facts, attribute, explained, spell
from tapedeck.checks.findings import WHOLE, Finding, identity
from tapedeck.checks.gaps import Chains, Head, Missing, Tail, chains, tails
from tapedeck.checks.heartbeats import (
    FILES,
    Outage,
    Shortfall,
    late,
    listening,
    outages,
    shortfalls,
    unheard,
)
from tapedeck.checks.look import Look, look
from tapedeck.checks.report import Progress, Report
from tapedeck.checks.steadiness import Steadiness
from tapedeck.checks.stood import stood_before
from tapedeck.columns import Columns, concat
from tapedeck.log import meta, quarantine
from tapedeck.log.decode import Undecodable
from tapedeck.log.meta import Life
from tapedeck.log.plan import Plan
from tapedeck.log.reading import STRETCH_RECORDS, stretches
from tapedeck.log.resolve import resolve
from tapedeck.message import CONNECTED, DISCONNECTED, KINDS, SEQUENCE_RESET, WHOLE_FEED
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time
from tapedeck.store import database, documents, library, positions

HOUR = 3600 * 10**9
MS = 1_000_000
CHECKS = (
    "sequence", "collector", "heartbeat", "publish", "quarantine", "undecodable", "expired",
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
    frozen = resolve(settings, vendor, of)
    while not frozen.complete and of.end <= time.time_ns() < of.end + settle:
        time.sleep(2)
        frozen = resolve(settings, vendor, of)
    check = _Check(settings, vendor, of, frozen)
    # One partition is held at a time, so a stretch may be longer, and its margins are read less often.
    parts = list(stretches(frozen, STRETCH_RECORDS * frozen.partitions))
    for i, stretch in enumerate(parts):
        whole = stretch == of
        plan = frozen if whole else resolve(settings, vendor, stretch, within=frozen)
        for p in range(plan.partitions):
            progress(i * plan.partitions + p, len(parts) * plan.partitions)
            check.take(look(settings, plan, p, stretch), stretch)
    progress(1, 1)
    found = list(check.found())
    stands = findings.record(
        settings, vendor, CHECKS, of, found, run or f"gaps {format_time(time.time_ns())}"
    )
    return Report(
        vendor=vendor, slice=of, findings=sorted(stands, key=_order), counts=check.counts,
        notes=list(dict.fromkeys((*frozen.notes, *check.notes))),
    )  # fmt: skip


def _order(one: Finding) -> tuple[int, str, str]:
    return one.start, one.symbol, one.kind


@dataclass(slots=True)
class _Check:
    """What is gathered of a slice, partition by partition and stretch by stretch, and what it comes to."""

    settings: Settings
    vendor: str
    of: Slice
    plan: Plan
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("messages", "gaps", "duplicates", "reorders", "resets"), 0)
    )
    notes: list[str] = field(default_factory=list)
    missing: list[tuple[int, Missing]] = field(default_factory=list)
    beats: dict[int, list[Columns]] = field(default_factory=dict)
    changes: set[tuple[int, int, bool]] = field(default_factory=set)
    short: list[Shortfall] = field(default_factory=list)
    undecodable: list[Undecodable] = field(default_factory=list)
    cut: dict[int, Look] = field(default_factory=dict)
    ends: dict[tuple[int, str], dict[str, Tail]] = field(default_factory=dict)
    steady: Steadiness = field(init=False)
    backfills: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        self.steady = Steadiness(self.settings, self.vendor, self.of, self.counts)
        self.backfills = frozenset(r.number for r in self.plan.ranges if r.start_reason == "extent")

    def take(self, seen: Look, stretch: Slice) -> None:
        """One partition of one stretch."""
        self.beats.setdefault(seen.partition, []).append(seen.beats)
        self.undecodable += seen.undecodable
        self.short += shortfalls(seen.partition, seen.beats, seen.stamps, stretch, seen.begun)
        if seen.cut is not None:
            self.cut.setdefault(seen.partition, seen)
        self.steady.take(seen, stretch, tuple(self.backfills))
        status = seen.judged.get("status")
        resets: dict[str, list[int]] = {}
        if status is not None:
            resets = self._statuses(status.kept)
        for kind, judged in seen.judged.items():
            inside = (judged.kept["ts_recv"] >= stretch.start) & (judged.kept["ts_recv"] < stretch.end)
            self.counts["messages"] += int(inside.sum())
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
        found = chains(kept, self.plan.margin, resets)
        before = self._before(partition, kind, found.heads)
        if any(found.heads[symbol].prev != tail.seq for symbol, tail in before.items()):
            found = chains(kept, self.plan.margin, resets, before)
        self.ends.setdefault((partition, kind), {}).update(tails(kept) if found.heads or before else {})
        for name in ("duplicates", "reorders", "resets"):
            self.counts[name] += sum(
                stretch.start <= event.ts_recv < stretch.end for event in getattr(found, name)
            )
        self.missing += [
            (partition, gap) for gap in _real(found, voided) if stretch.start <= gap.end < stretch.end
        ]

    def _before(self, partition: int, kind: str, heads: dict[str, Head]) -> dict[str, Tail]:
        """Where chains stood that begin within what was read: as seen before, else as Arctic has it."""
        stood = self.ends.get((partition, kind), {})
        found = {s: stood[s] for s, head in heads.items() if s in stood and stood[s].ts_recv < head.ts_recv}
        asked = {s: head for s, head in heads.items() if s not in found and head.ts_recv >= self.of.start}
        if asked:
            pins = meta.read(self.settings).topics(self.vendor)
            found |= stood_before(self.settings, self.vendor, pins, partition, kind, asked)
        return found

    def found(self) -> Iterator[Finding]:
        """All findings of the slice."""
        known = meta.read(self.settings)
        lives = [life for life in known.lives if life.vendor == self.vendor]
        beats = {p: concat("heartbeat", parts) for p, parts in self.beats.items()}
        together = concat("heartbeat", beats.values())
        now = time.time_ns()
        out, notes = outages(together, lives, self.changes, self.of, now)
        self.notes += notes
        files = [
            (e.src, e.first, e.last)
            for e in known.extents
            if e.vendor == self.vendor and e.src >= FILES and e.next is not None
        ]
        heard = listening(lives, files, out, max(self.of.end, now))
        entries = quarantine.standing(self.settings, self.vendor, self.of)
        facts = Facts(
            quarantined=entries, undecodable=self.undecodable, short=self.short, unheard=unheard(out, heard),
            heard=[span for spans in heard.values() for span in spans],
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
        for cut in self.cut.values():
            yield from self._of_cut(cut)
        gaps = [gap for _, gap in self.missing]
        yield from self.steady.found(facts.heard, gaps, self._make)
        self.notes += self.steady.notes

    def _make(self, check: str, what: tuple[object, ...], **fields: Any) -> Finding:
        fields = {"symbol": WHOLE, "kind": WHOLE, "at": fields["start"], **fields}
        return Finding(id=identity(check, self.vendor, *what), check=check, vendor=self.vendor, **fields)

    def _of_gap(self, gap: Missing, partition: int, facts: Facts) -> Finding:
        reason, evidence = attribute(gap, partition, facts)
        return self._make(
            "sequence", (gap.symbol, gap.kind, gap.first, gap.next, gap.start), reason=reason,
            symbol=gap.symbol, kind=gap.kind, start=gap.start, end=gap.end, at=gap.end, messages=gap.messages,
            evidence={"first": gap.first, "next": gap.next, "exact": gap.exact, **evidence},
        )  # fmt: skip

    def _of_outage(self, outage: Outage, start: int, end: int) -> Finding:
        return self._make(
            "collector", (start,), reason="collector", start=start, end=end, messages=0,
            severity="fail" if outage.certain else "warn",
            evidence={"src": outage.src, "what": outage.why, "why": spell(outage)},
        )  # fmt: skip

    def _of_lone_beats(
        self, beats: dict[int, Columns], lives: list[Life], out: list[Outage]
    ) -> Iterator[Finding]:
        """Heartbeats that one partition lacks and the others have: Kafka did not get them, or lost them."""
        everywhere = {(o.src, o.start, o.end) for o in out}
        for p, own in beats.items():
            for one in (o for life in lives for o in late(own, life)):
                spans = [(s, e) for src, s, e in everywhere if src == one.src]
                alone = not any(s <= one.start and one.end <= e for s, e in spans)
                if one.certain and alone and self.of.start <= one.start < self.of.end:
                    yield self._make(
                        "heartbeat", (one.src, p, one.start), reason="publish", start=one.start,
                        end=one.end, messages=0,
                        evidence={
                            "src": one.src, "partition": p,
                            "why": f"partition {p} lacks heartbeats that other partitions have",
                        },
                    )  # fmt: skip

    def _of_short(self, short: Shortfall, seen: int) -> Finding:
        return self._make(
            "publish", (short.src, short.partition, short.start), reason="publish", start=short.start,
            end=short.end, messages=short.messages - seen,
            evidence={
                "src": short.src, "partition": short.partition,
                "why": f"heartbeats count {short.messages} more messages than the log holds",
            },
        )  # fmt: skip

    def _of_entries(self, entries: Iterable[quarantine.Entry]) -> Iterator[Finding]:
        """One finding for each source, reason and hour, so that a flood is not a flood of findings."""
        groups: dict[tuple[int, str, int], list[quarantine.Entry]] = {}
        for e in entries:
            groups.setdefault((e.src, e.reason, e.ts_recv // HOUR), []).append(e)
        for (src, reason, hour), some in groups.items():
            times = [e.ts_recv for e in some]
            yield self._make(
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
            yield self._make(
                "undecodable", key, reason="publish", start=min(times), end=max(times) + MS,
                messages=len(some),
                evidence={"partition": key[1], "offset": some[0].offset, "why": some[0].reason},
            )  # fmt: skip

    def _of_cut(self, seen: Look) -> Iterator[Finding]:
        """Records of the slice that Kafka has deleted; a failure only where Arctic has not got them."""
        cut = seen.cut
        if cut is None or seen.oldest <= self.of.start:
            return
        first = seen.beats["sent"][:1].tolist()
        if first == [0]:
            return  # nothing had been sent before what is left
        proven = self._proven(cut.topic_id, seen)
        lost = max(0, seen.low - proven)
        end = min(seen.oldest, self.of.end)
        stands = "Arctic was built from them" if not lost else f"Arctic was built up to offset {proven} only"
        gone = f"Kafka has deleted offsets below {seen.low} of {cut.topic}[{cut.partition}]"
        yield self._make(
            "expired", (cut.topic_id, cut.partition, proven if lost else "stored", self.of.start // HOUR),
            reason="expired", start=self.of.start, end=end, messages=lost,
            severity="fail" if lost else "warn",
            evidence={
                "partition": cut.partition, "low": seen.low, "built_through": proven,
                "why": f"{gone}; {stands}",
            },
        )  # fmt: skip

    def _proven(self, topic_id: str, seen: Look) -> int:
        """Up to which offset of the partition Arctic was built, as far as the lost part goes."""
        saved = positions.read(self.settings, self.vendor).get((topic_id, seen.partition))
        through = saved.next if saved else 0
        libraries = [library.named(self.settings, f"{self.vendor}.{kind}") for kind in KINDS]
        with database.answering(self.settings):
            for one in libraries:
                windows = Slice(one.around(self.of.start).start, min(seen.oldest, self.of.end))
                for stored in documents.heads(one.collection, seen.partition, windows):
                    through = max(through, stored.through(topic_id))
        return through


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
