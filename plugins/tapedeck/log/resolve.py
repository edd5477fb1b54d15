"""Turning a slice of time into a plan: bounds frozen before the first message is handed out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from confluent_kafka.admin import OffsetSpec
from msgspec import structs

from tapedeck.errors import Incomplete, Mismatch
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import Extent, Life, TopicPin, VendorTopics
from tapedeck.log.plan import Bound, Claim, Plan, Range
from tapedeck.log.stop import Shown, Waiting, first_shown, last_shown, waiting_for
from tapedeck.partitions import of_groups, partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time, parse_duration

MS = 1_000_000
HEAD = 5_000
"""How many of a cut log's first records tell whose records were deleted."""
NEAR = 5_000
"""So many records behind a slice's end tell of most collectors, before lateness is asked for."""
TAIL = 20_000
"""How many of a partition's last records tell which collectors still speak."""


def resolve(
    settings: Settings,
    vendor: str,
    of: Slice,
    *,
    partitions: Collection[int] | None = None,
    symbols: Collection[str] = (),
    incomplete: Literal["flag", "refuse"] = "flag",
    within: Plan | None = None,
) -> Plan:
    """The plan of a slice over all of a vendor's topics.

    `partitions`: only these partition groups; all by default. `symbols`: only the partitions that hold one of
    them. `within`: a plan made before, whose bounds this one never passes, so that parts of a frozen plan
    stay within it; topics that it does not know are not read. Raises Incomplete where `incomplete` is
    "refuse" and the log can't answer for the whole slice, Mismatch for a topic that is not as pinned.
    """
    margin = within.margin if within else parse_duration(settings.vendor(vendor).margin)
    wide = of.widen(margin)
    ranges: list[Range] = []
    claims: list[Claim] = []
    log = topics.verified(settings, vendor)
    while True:
        chosen = {pin.id: _chosen(pin, log.groups, partitions, symbols, within) for pin in log.log}
        asked = _asked(settings, log, chosen, wide)
        known = meta.read(settings)  # see `_Asked`
        if known.topics(vendor) == log:
            break
        log = topics.verify(settings, vendor, known)
    if within is not None:
        _check_named(within, log)
    bounds = asked.bounds
    findings = _Findings(log.groups, grown=len(log.live) > 1)
    begun = {  # in order of time
        life.src: life.since for life in known.lives if life.vendor == vendor and life.since <= wide.start
    }
    for pin in log.live:
        lives = [life for life in known.lives if life.topic_id == pin.id]
        resolver = _Live(settings, pin, lives, begun, wide, findings, asked)
        for r in resolver.ranges(chosen[pin.id], parse_duration(settings.vendor(vendor).lateness)):
            ranges.append(r)
            claims.append(_claim(pin, r.partition, r.start, r.stop))
    for pin in known.given_up:
        if (pin.vendor, pin.role) == (vendor, "live") and _held_alone(pin, known, log, wide):
            findings.given_up[pin.name] = _chosen(pin, log.groups, partitions, symbols, None)
    extents = [e for e in known.extents if e.topic_id == log.backfill.id and _meets(e, wide)]
    for p in chosen[log.backfill.id]:
        low, high = bounds[log.backfill.name, p]
        ranges += _backfill(log.backfill, p, low, high, extents)
        claims.append(_claim(log.backfill, p, low, high))
    plan = Plan(
        vendor=vendor, slice=of, margin=margin, partitions=log.groups, ranges=tuple(ranges),
        claims=tuple(claims), notes=tuple(findings.sentences(of)), expired=findings.groups_cut,
    )  # fmt: skip
    if within is not None:
        plan = _clip(plan, within)
    if incomplete == "refuse" and not plan.complete:
        raise Incomplete(f"{vendor} {of} is not whole: {'; '.join(plan.notes)}")
    return plan


def _chosen(
    pin: TopicPin, groups: int, partitions: Collection[int] | None, symbols: Collection[str],
    within: Plan | None,
) -> list[int]:  # fmt: skip
    """The partitions of a topic that are asked for, in order."""
    found = set(range(pin.partitions))
    if partitions is not None:
        found &= set(of_groups(partitions, groups, pin.partitions))
    if symbols:
        found &= {partition_of(symbol, pin.partitions) for symbol in symbols}
    if within is not None:
        places = [(r.topic_id, r.partition) for r in within.ranges]
        places += [(claim.topic_id, claim.partition) for claim in within.claims]
        found &= {p for topic_id, p in places if topic_id == pin.id}
    return sorted(found)


def _held_alone(pin: TopicPin, known: meta.Meta, log: VendorTopics, wide: Slice) -> bool:
    """Whether a topic that was given up held what a collector heard in the slice, and no other was given the
    whole of that again."""
    lives = [life for life in known.lives if life.vendor == pin.vendor]
    stand = {one.id for one in log.live}
    for life in lives:
        ends = [one.since for one in lives if one.src == life.src and one.since > life.since]
        same = [
            one for one in lives if one.topic_id in stand and (one.src, one.taper) == (life.src, life.taper)
        ]  # published again, if it is: then its goodbye is known from there
        said = [one.closed for one in same if one.closed is not None and one.closed > life.since]
        end = life.closed if life.closed is not None else min([*ends, *said], default=wide.end)
        again = any(one.since <= life.since and (one.closed is None or one.closed >= end) for one in same)
        gone = life.retired and life.closed is None and not ends  # nobody knows since when
        if life.topic_id == pin.id and life.since < wide.end and end > wide.start and not (again or gone):
            return True
    return False


def _check_named(within: Plan, log: VendorTopics) -> None:
    """Raises Mismatch where a frozen plan is to be read of a topic that was given up since."""
    known = {pin.id for pin in log.log}
    for r in within.ranges:
        if r.stop > r.start and r.topic_id not in known:
            raise Mismatch(
                f"the plan {within.digest} reads of {r.topic}, which was given up since: plan the slice anew"
            )


def _claim(pin: TopicPin, p: int, start: int, stop: int) -> Claim:
    return Claim(topic_id=pin.id, partition=p, start=start, next=stop, count=pin.partitions)


class _Findings:
    """What keeps a plan from being complete, gathered over partitions and said once a source and topic."""

    def __init__(self, groups: int, grown: bool) -> None:
        self.behind: dict[tuple[int, str], list[int]] = {}
        self.expired: dict[str, list[int]] = {}
        self.given_up: dict[str, list[int]] = {}
        self._groups, self._grown = groups, grown

    @property
    def groups_cut(self) -> tuple[int, ...]:
        """The partition groups of which something has expired, or was given up with its topic."""
        cuts = (*self.expired.values(), *self.given_up.values())
        return tuple(sorted({p % self._groups for cut in cuts for p in cut}))

    def sentences(self, of: Slice) -> Iterable[str]:
        for (src, topic), partitions in sorted(self.behind.items()):
            yield (
                f"collector {src} has not yet shown a time past {format_time(of.end)} in partitions "
                f"{_spell(partitions)}{self._of(topic)}: it is behind or down, and more may come"
            )
        if self.expired:
            cut = ", ".join(f"{_spell(sorted(cut))}{self._of(t)}" for t, cut in self.expired.items())
            yield f"Kafka has deleted records of this slice in partitions {cut}: what is left is partial"
        for topic, gone in self.given_up.items():
            yield (
                f"{topic} was given up, with what it held of this slice in partitions {_spell(gone)}: what "
                "is left is partial"
            )

    def _of(self, topic: str) -> str:
        return f" of {topic}" if self._grown else ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What Kafka said before `md.meta` was read.

    Whatever lies below the watermarks was published after its life or extent was entered in `md.meta`, and
    what comes between the questions lies behind the answers of both. `starts`, `ends`: by place of the live
    topics, the first offset at or past the slice's start and end; -1: none lies below the watermark.
    """

    bounds: dict[client.Place, tuple[int, int]]
    starts: dict[client.Place, int]
    ends: dict[client.Place, int]


def _asked(settings: Settings, log: VendorTopics, chosen: Mapping[str, Sequence[int]], wide: Slice) -> _Asked:
    places = [(pin.name, p) for pin in log.log for p in chosen[pin.id]]
    live = [(pin.name, p) for pin in log.live for p in chosen[pin.id]]
    low, high, starts, ends = client.found(
        settings,
        [
            dict.fromkeys(places, OffsetSpec.earliest()), dict.fromkeys(places, OffsetSpec.latest()),
            _at(live, wide.start), _at(live, wide.end),
        ],
    )  # fmt: skip
    # Where there was none, one may have come before the watermark was told.
    again = client.found(
        settings,
        [
            _at([place for place, offset in starts.items() if offset < 0], wide.start),
            _at([place for place, offset in ends.items() if offset < 0], wide.end),
        ],
    )
    bounds = {place: (low[place], high[place]) for place in places}
    return _Asked(bounds, starts | again[0], ends | again[1])


def _at(places: Iterable[client.Place], time: int) -> dict[client.Place, OffsetSpec]:
    """The question for each place's first record whose CreateTime is at or past the time's ms."""
    return {place: OffsetSpec.for_timestamp(time // MS) for place in places}


@dataclass(frozen=True, slots=True)
class _Live:
    """Resolves one live topic's partitions."""

    settings: Settings
    pin: TopicPin
    lives: list[Life]
    begun: dict[int, int]
    """By source, the first stamp of its last life that began by the slice's start, in whatever topic."""
    wide: Slice
    findings: _Findings
    asked: _Asked

    def ranges(self, partitions: Sequence[int], lateness: int) -> Iterable[Range]:
        waiting = waiting_for(self.lives, self.wide.end)
        ends = {p: _offset(self.asked.ends, self._place(p), self._bounds(p)[1]) for p in partitions}
        nears = {p: min(end + NEAR, self._bounds(p)[1]) for p, end in ends.items()}
        shown = self._shown(ends, nears, waiting)
        lates = self._lates([p for p in partitions if waiting.open - shown.get(p, {}).keys()], lateness)
        fars = {p: late for p, late in lates.items() if late > nears[p]}
        shown |= self._shown(ends, fars, waiting, near=False)
        for p in partitions:
            low, high = self._bounds(p)
            found = self.asked.starts[self._place(p)]
            start = high if found < 0 else min(max(found, low), high)
            start_reason: Bound = "empty" if found < 0 else "exact"
            stop, stop_reason = self._stop(p, waiting, shown.get(p, {}), ends[p], lates.get(p, ends[p]), high)
            stop = max(stop, start)
            if low > 0 and self._has_expired(p, low, high):
                start_reason = "expired"
                self.findings.expired.setdefault(self.pin.name, []).append(p)
            yield self._range(p, start, stop, start_reason, stop_reason)

    def _stop(
        self, p: int, waiting: Waiting, shown: dict[int, Shown], end: int, late: int, high: int
    ) -> tuple[int, Bound]:
        """The exact stop where it can be proved, else the lateness or the watermark."""
        closed = min(waiting.closings(p), high)
        missing = waiting.open - shown.keys()
        if missing and late < high:  # spooled, and come later than lateness? Only who still speaks is sought
            r = self._range(p, max(late, high - TAIL), high, "exact", "exact")
            speaking = last_shown(self.settings, r)
            alive = {src for src in missing if speaking.get(src, 0) >= self.wide.end}
            r = self._range(p, late, high, "exact", "exact")
            shown = {**shown, **first_shown(self.settings, [r], alive, self.wide.end, near=False).get(p, {})}
        if len(shown) == len(waiting.open):
            return max(end, closed, *(s.offset for s in shown.values()), 0), "exact"
        for src in waiting.open - shown.keys():
            self.findings.behind.setdefault((src, self.pin.name), []).append(p)
        return max(late, closed), "lateness" if late < high else "watermark"

    def _has_expired(self, p: int, low: int, high: int) -> bool:
        """Whether a collector that listened in the slice may have had records of it before `low`.

        Its oldest record left must be no younger than the slice's start, or than its own first stamp. Of
        one that the log's first records do not name (it was quiet there, came later or was gone by then)
        nothing is missing if the slice, or its life, begins after the log does.
        """
        listening: dict[int, int] = {}
        for life in self.lives:
            over = life.closed is not None and life.closed < self.wide.start
            # one that was killed said no goodbye, but stamps nothing past its source's next life
            followed = life.since < self.begun.get(life.src, 0)
            if life.since < self.wide.end and not over and not followed:
                listening.setdefault(life.src, life.since)
        if not listening:
            return False
        r = self._range(p, low, min(low + HEAD, high), "exact", "exact")
        first = first_shown(self.settings, [r], listening, 0).get(p, {})
        begin = self._range(p, low, min(low + 1, high), "exact", "exact")
        oldest = max(last_shown(self.settings, begin).values(), default=self.wide.end)
        return any(
            first[src].ts_recv > max(self.wide.start, since)
            if src in first
            else max(self.wide.start, since) <= oldest
            for src, since in listening.items()
        )

    def _shown(
        self, starts: dict[int, int], stops: dict[int, int], waiting: Waiting, near: bool = True
    ) -> dict[int, dict[int, Shown]]:
        """By partition, where those that are waited for first show a time past the end, before its stop."""
        ranges = [self._range(p, starts[p], stop, "exact", "exact") for p, stop in stops.items()]
        return first_shown(self.settings, ranges, waiting.open, self.wide.end, near)

    def _lates(self, partitions: Sequence[int], lateness: int) -> dict[int, int]:
        """By partition, the first offset that is later than the slice's end by more than lateness."""
        places = [self._place(p) for p in partitions]
        [found] = client.found(self.settings, [_at(places, self.wide.end + lateness)])
        return {
            p: _offset(found, place, self._bounds(p)[1]) for p, place in zip(partitions, places, strict=True)
        }

    def _place(self, p: int) -> client.Place:
        return self.pin.name, p

    def _bounds(self, p: int) -> tuple[int, int]:
        return self.asked.bounds[self._place(p)]

    def _range(self, p: int, start: int, stop: int, start_reason: Bound, stop_reason: Bound) -> Range:
        return Range(
            topic=self.pin.name, topic_id=self.pin.id, number=self.pin.number, partition=p,
            start=start, stop=stop, start_reason=start_reason, stop_reason=stop_reason,
            count=self.pin.partitions,
        )  # fmt: skip


def _offset(found: dict[client.Place, int], place: client.Place, high: int) -> int:
    """What was found, no further than the watermark; the watermark where nothing was."""
    return high if found[place] < 0 else min(found[place], high)


def _meets(extent: Extent, wide: Slice) -> bool:
    return extent.next is None or wide.meets(extent.first, extent.last + 1)


def _backfill(pin: TopicPin, p: int, low: int, high: int, extents: Iterable[Extent]) -> list[Range]:
    """The partition's stretches that extents name, merged where they touch."""
    spans = []
    for extent in extents:
        begin = max(low, extent.start.get(p, 0))
        end = high if extent.next is None else min(high, extent.next.get(p, 0))
        if end > begin:
            spans.append((begin, end))
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return [
        Range(
            topic=pin.name, topic_id=pin.id, number=pin.number, partition=p, start=begin, stop=end,
            start_reason="extent", stop_reason="extent", count=pin.partitions,
        )
        for begin, end in merged
    ]  # fmt: skip


def _clip(plan: Plan, within: Plan) -> Plan:
    """The plan within a frozen one. A stop that is not exact falls back to the frozen stop."""
    ranges = []
    for r in plan.ranges:
        for frozen in within.ranges:
            if (frozen.topic_id, frozen.partition) != (r.topic_id, r.partition):
                continue
            stop = frozen.stop if r.stop_reason in ("lateness", "watermark") else min(r.stop, frozen.stop)
            start = max(r.start, frozen.start)
            if stop > start or frozen.stop_reason != "extent":
                ranges.append(structs.replace(r, start=min(start, max(stop, frozen.start)), stop=stop))
    bounds = {(c.topic_id, c.partition): c for c in within.claims}
    stops = {(r.topic_id, r.partition): r.stop for r in ranges if r.stop_reason != "extent"}
    claims = []
    for c in plan.claims:
        frozen_claim = bounds.get((c.topic_id, c.partition))
        if frozen_claim is not None:
            through = stops.get((c.topic_id, c.partition), min(c.next, frozen_claim.next))
            claims.append(structs.replace(c, next=min(through, frozen_claim.next)))
    return structs.replace(plan, ranges=tuple(ranges), claims=tuple(claims))


def _spell(numbers: Sequence[int]) -> str:
    """`0-3, 7` for 0, 1, 2, 3, 7."""
    parts: list[list[int]] = []
    for n in numbers:
        if parts and n == parts[-1][-1] + 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
