"""Whether what came of a slice came steadily: silence, volume, clocks, order, lateness, as findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tapedeck.calendars.session import DAY, Calendar, opened
from tapedeck.checks import baselines, heard, lasting, silence, unsteady
from tapedeck.checks.activity import BUCKET, Activity, Gap
from tapedeck.checks.findings import Finding
from tapedeck.checks.gaps import Missing
from tapedeck.checks.heard import NOTHING, Heard
from tapedeck.checks.heartbeats import subtract
from tapedeck.checks.limits import LIMITS, Limits
from tapedeck.checks.look import Look
from tapedeck.checks.silence import Silence, Spans, Usual, Volume
from tapedeck.checks.timing import Timing
from tapedeck.checks.trailing import HOUR
from tapedeck.checks.unsteady import Make
from tapedeck.message import HALT, OPEN, WHOLE_FEED
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time

CHECKS = ("silence", "volume", "clock", "order", "late")
LATE_SHARE = 0.001
"""This share of a slice's messages may come late; they are mended all the same."""
FARTHEST_BACK = 7 * 24 * HOUR
"""A silence is followed back so far at most."""


class Usuals(Protocol):
    """What is known of a vendor beside the slice: `Baselines`, or what a drill makes of a clean tape."""

    def calendar(self, symbol: str) -> Calendar:
        """When the symbol ("*": the feed) trades. Raises BadInput for a name that is no calendar's."""

    def usual(self, symbol: str, at: int) -> Usual | None:
        """What is usual of a symbol at a time; None: too little is known."""

    def before(self, start: int) -> Heard:
        """How things stood at `start`."""


@dataclass(slots=True)
class Steadiness:
    """Gathered partition by partition and stretch by stretch, judged once. `grace`: how far behind (ns) a
    message is late."""

    of: Slice
    known: Usuals
    grace: int
    limits: Limits = LIMITS
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    settled: list[tuple[str, int]] = field(default_factory=list)
    """Silences of before that went on, and were none: symbol, and when it began."""
    gone: list[tuple[str, int]] = field(default_factory=list)
    """Silences of before that went on for so long that the symbol is taken for delisted, likewise."""
    activity: Activity = field(init=False)
    timing: Timing = field(init=False)
    changes: list[tuple[str, int, bool]] = field(default_factory=list)
    chained: set[str] = field(default_factory=set)
    until: int = 0
    before: Heard = NOTHING
    _watched: dict[str, Spans] = field(default_factory=dict)
    _halts: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _halted: list[str] = field(default_factory=list)
    _heard: list[tuple[int, int]] = field(default_factory=list)
    _going_on: dict[str, int] = field(default_factory=dict)
    _spoilt: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.activity = Activity(self.of)
        self.timing = Timing(self.grace, self.limits)
        self.known.calendar(WHOLE_FEED)  # a wrong name is refused before anything is read
        self.counts |= dict.fromkeys(("messages", "late", "quiet"), 0)

    def take(self, seen: Look, stretch: Slice, backfills: Sequence[int]) -> None:
        """One partition of one stretch."""
        inside = []
        for kind, judged in seen.judged.items():
            kept = judged.kept
            if not len(kept):
                continue
            self.timing.take(kept, stretch, backfills)
            within = (kept["ts_recv"] >= stretch.start) & (kept["ts_recv"] < stretch.end)
            inside.append(kept if within.all() else kept.take(within))
            self.until = max(self.until, int(kept["ts_recv"].max()) + 1)
            if kind == "status":
                halts = np.flatnonzero(np.isin(kept["code"], (HALT, OPEN))).tolist()
                self.changes += [
                    (kept.symbols[int(kept["symbol"][i])], int(kept["ts_recv"][i]), kept["code"][i] == HALT)
                    for i in halts
                ]
            elif kept["prev"].any():
                self.chained |= {kept.symbols[i] for i in np.unique(kept["symbol"][kept["prev"] != 0])}
        if len(seen.beats):
            self.until = max(self.until, int(seen.beats["ts_recv"].max()))
        self.activity.take(inside)

    def found(self, heard: Spans, missing: Sequence[Missing], make: Make) -> Iterator[Finding]:
        """All findings. `heard`: when some source listened."""
        self.counts["late"] = self.timing.late
        self.before = self.known.before(self.of.start)
        self._look_at_halts()
        end = min(self.of.end, self.until)
        self._heard = [(max(a, self._since), min(b, end)) for a, b in heard]
        last = self.before.last
        since = max(last.values(), default=0)
        gaps = self._not_gone(self.activity.silences(last))
        before = {**self.before.gone, **self.before.silent}
        silences = []
        for one in silence.silences(self.activity, gaps, self.watched, self.known.usual, since, self.limits):
            began = before.get(one.symbol) if one.since < self.of.start else None
            if began is not None:
                one = lasting.since(one, began, self.watched(one.symbol))
            if one.end <= self.of.start:
                continue  # over before the slice, which found it, or nothing was open since
            if self._explained(one, missing):
                self.counts["quiet"] += one.symbol != WHOLE_FEED
                if began is not None:
                    self.settled.append((one.symbol, began))
                continue
            silences.append(one)
            if one.open_ended:
                self._going_on[one.symbol] = one.start
            yield unsteady.of_silence(one, self.watched(one.symbol), self.of, make)
        self._settle(silences, gaps)
        volumes = silence.volumes(
            self.activity, self.watched, self.known.usual, [WHOLE_FEED, *self.activity.names], self.limits
        )
        spans = [(one.symbol, one.start, one.end) for one in silences]
        yield from self._of_volumes(volumes, spans, make)
        for src, clock in sorted(self.timing.clocks.items()):
            if clock.wrong:
                yield unsteady.of_clock(src, clock, self.of, make)
        yield from unsteady.of_order(self.timing.back, self.of, make)
        if self.timing.late > LATE_SHARE * max(1, self.counts["messages"]):
            yield unsteady.of_late(self.timing, self.counts["messages"], self.of, make)
        self._spoilt = [(one.start, one.end) for one in silences if one.symbol == WHOLE_FEED]

    def learn(self, settings: Settings, vendor: str) -> None:
        """Keep what this slice teaches, and how things stood when it ended."""
        baselines.keep(settings, vendor, self.activity, self.watched, self.before.last, self._spoilt)
        heard.keep(settings, vendor, self.of.end, self.left)

    @property
    def left(self) -> Heard:
        """How things stand when the slice ends, once all is found."""
        named = zip(self.activity.names, self.activity.last.tolist(), strict=True)
        came = {name: at for name, at in named if at}
        gone = {**self.before.gone, **dict(self.gone)}
        gone = {name: began for name, began in gone.items() if name != WHOLE_FEED and name not in came}
        last = {**self.before.last, **came}
        return Heard(last=last, silent=self._going_on, gone=gone, halted=self._halted)

    def watched(self, symbol: str) -> Spans:
        """When a symbol's venue was open, some source listened, and trading was not halted."""
        if symbol not in self._watched:
            wide = Slice(self._since, self.of.end)
            open_ = opened(self.known.calendar(symbol).sessions(wide), wide)
            off = [*self._halts.get(symbol, ()), *self._halts.get(WHOLE_FEED, ())]
            away = [part for span in open_ for part in subtract(span, self._heard)]
            self._watched[symbol] = [p for span in open_ for p in subtract(span, [*away, *off])]
        return self._watched[symbol]

    @property
    def _since(self) -> int:
        """Since when silences that reach into the slice are looked at."""
        first = min(self.before.last.values(), default=self.of.start)
        return max(min(first, self.of.start - HOUR), self.of.start - FARTHEST_BACK)

    def _look_at_halts(self) -> None:
        """Who is halted at the end, and when each was."""
        since = dict.fromkeys(self.before.halted, self._since)
        halts: dict[str, list[tuple[int, int]]] = {}
        for symbol, at, halted in sorted(self.changes, key=lambda change: change[1]):
            if halted:
                since.setdefault(symbol, at)
            elif symbol in since:
                halts.setdefault(symbol, []).append((since.pop(symbol), at))
        for symbol, at in since.items():
            halts.setdefault(symbol, []).append((at, self.of.end))
        self._halted, self._halts = sorted(since), halts

    def _not_gone(self, gaps: Iterable[Gap]) -> list[Gap]:
        """Without those of symbols that trade no more; says so of one that was said to be silent."""
        left = []
        feed = bool(self.activity.counts.sum())
        for gap in gaps:
            if not (feed and gap.open_ended and self._is_gone(gap)):
                left.append(gap)
                continue
            if WHOLE_FEED in self.before.silent and not self.gone:  # many at once, told as one
                self.gone.append((WHOLE_FEED, self.before.silent[WHOLE_FEED]))
            if (began := self.before.silent.get(gap.symbol)) is not None:
                self.gone.append((gap.symbol, began))
                self.notes.append(
                    f"{gap.symbol}: nothing came since {format_time(gap.start)}, on "
                    f"{self.limits.gone_days:g} whole trading days on which others were heard: it is taken "
                    "for delisted, and not missed until it comes again"
                )
        return left

    def _is_gone(self, gap: Gap) -> bool:
        if self.of.end - gap.start < (self.limits.gone_days - 1) * DAY:
            return False  # there can't be so many days between
        calendar, watched = self.known.calendar(gap.symbol), self.watched(gap.symbol)
        return lasting.is_gone(gap, calendar, watched, self.of, self.limits)

    def _settle(self, found: Sequence[Silence], gaps: Iterable[Gap]) -> None:
        """What is left of silences that slices before this one found and that it did not find anew."""
        looked_at = {s for s, _ in (*self.settled, *self.gone)}
        looked_at |= {one.symbol for one in found if one.start < self.of.start}
        still = {gap.symbol: gap for gap in gaps if gap.open_ended and gap.start < self.of.start}
        for symbol, began in self.before.silent.items():
            if symbol in looked_at:
                continue
            gap = still.get(symbol)
            if symbol in self.chained:
                self.settled.append((symbol, began))
            elif gap is None:
                if symbol == WHOLE_FEED and not self.activity.counts.sum():
                    self._going_on[symbol] = began
            elif lasting.is_none(
                gap, self.known.calendar(symbol), self.watched(symbol),
                self.known.usual(symbol, began), self.limits,
            ):  # fmt: skip
                self.settled.append((symbol, began))
            else:
                self._going_on[symbol] = began  # nothing was open

    def _explained(self, one: Silence, missing: Sequence[Missing]) -> bool:
        """A symbol whose chain goes on was quiet: nothing is missing. Where it does not, that is found."""
        if one.symbol == WHOLE_FEED:
            return False
        if any(g.symbol == one.symbol and g.start < one.end and one.start < g.end for g in missing):
            return True
        return one.symbol in self.chained and not one.open_ended

    def _of_volumes(
        self, found: Sequence[Volume], spans: Sequence[tuple[str, int, int]], make: Make
    ) -> Iterator[Finding]:
        low = silence.by_symbol(found)
        whole = {one.start for one in low.get(WHOLE_FEED, ())}
        for symbol, some in low.items():
            for one in some:
                end = one.start + BUCKET
                silent = any(s in (symbol, WHOLE_FEED) and a < end and one.start < b for s, a, b in spans)
                if silent or (symbol != WHOLE_FEED and one.start in whole):
                    continue
                yield unsteady.of_volume(one, make)
        for one in (v for v in found if v.times > 1):
            self.notes.append(
                f"{one.symbol}: {one.times:.1f} times its usual messages from {format_time(one.start)} on"
            )
