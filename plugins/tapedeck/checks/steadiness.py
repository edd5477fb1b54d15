"""Whether what came of a slice came steadily: silence, volume, clocks, order, lateness, as findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tapedeck.calendars.session import Calendar, opened
from tapedeck.checks import baselines, heard, silence
from tapedeck.checks.activity import BUCKET, Activity
from tapedeck.checks.baselines import HOUR
from tapedeck.checks.findings import Finding
from tapedeck.checks.gaps import Missing
from tapedeck.checks.heard import NOTHING, Heard
from tapedeck.checks.heartbeats import subtract
from tapedeck.checks.limits import LIMITS, Limits
from tapedeck.checks.look import Look
from tapedeck.checks.silence import Silence, Spans, Usual, Volume
from tapedeck.checks.timing import Clock, Timing
from tapedeck.log.coverage import FILES
from tapedeck.message import HALT, OPEN, WHOLE_FEED
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time

CHECKS = ("silence", "volume", "clock", "order", "late")
LATE_SHARE = 0.001
"""This share of a slice's messages may come late; they are mended all the same."""
FARTHEST_BACK = 7 * 24 * HOUR
"""A silence is followed back so far at most."""

Make = Callable[..., Finding]
"""Makes a finding: (check, what it is about, **fields)."""


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
        gaps, since = self.activity.silences(last), max(last.values(), default=0)
        silences = []
        for one in silence.silences(self.activity, gaps, self.watched, self.known.usual, since, self.limits):
            if one.end <= self.of.start:
                continue  # over before the slice, which found it
            began = self.before.silent.get(one.symbol, one.start) if one.start < self.of.start else one.start
            if self._explained(one, missing):
                self.counts["quiet"] += one.symbol != WHOLE_FEED
                if self.before.silent.get(one.symbol) == began:
                    self.settled.append((one.symbol, began))
                continue
            silences.append(one)
            if one.open_ended:
                self._going_on[one.symbol] = began
            yield self._of_silence(one, began, make)
        still = {one.symbol for one in silences if one.start < self.of.start} | {s for s, _ in self.settled}
        self.settled += [(s, at) for s, at in self.before.silent.items() if s in self.chained - still]
        volumes = silence.volumes(
            self.activity, self.watched, self.known.usual, [WHOLE_FEED, *self.activity.names], self.limits
        )
        spans = [(one.symbol, one.start, one.end) for one in silences]
        yield from self._of_volumes(volumes, spans, make)
        for src, clock in sorted(self.timing.clocks.items()):
            if clock.wrong:
                yield self._of_clock(src, clock, make)
        yield from self._of_order(make)
        if self.timing.late > LATE_SHARE * max(1, self.counts["messages"]):
            yield self._of_late(make)
        self._spoilt = [(one.start, one.end) for one in silences if one.symbol == WHOLE_FEED]

    def learn(self, settings: Settings, vendor: str) -> None:
        """Keep what this slice teaches, and how things stood when it ended."""
        baselines.keep(settings, vendor, self.activity, self.watched, self.before.last, self._spoilt)
        heard.keep(settings, vendor, self.of.end, self.left)

    @property
    def left(self) -> Heard:
        """How things stand when the slice ends, once all is found."""
        named = zip(self.activity.names, self.activity.last.tolist(), strict=True)
        last = {**self.before.last, **{name: at for name, at in named if at}}
        return Heard(last=last, silent=self._going_on, halted=self._halted)

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

    def _explained(self, one: Silence, missing: Sequence[Missing]) -> bool:
        """A symbol whose chain goes on was quiet: nothing is missing. Where it does not, that is found."""
        if one.symbol == WHOLE_FEED:
            return False
        if any(g.symbol == one.symbol and g.start < one.end and one.start < g.end for g in missing):
            return True
        return one.symbol in self.chained and not one.open_ended

    def _of_silence(self, one: Silence, began: int, make: Make) -> Finding:
        feed = one.symbol == WHOLE_FEED
        scope = "feed" if feed else "symbol" if one.silent == 1 else "some symbols"
        seconds, usual = (one.end - began) / NS, one.usual / NS
        who = "nothing came of the whole feed" if feed else f"nothing came of {one.symbol}"
        still = "; it goes on" if one.open_ended else ""
        return make(
            "silence", (one.symbol, began), reason="upstream", symbol=one.symbol, start=began,
            end=one.end, at=min(max(one.end - 1, self.of.start), self.of.end - 1), messages=0,
            severity="fail" if feed else "warn",
            evidence={
                "scope": scope, "silent": one.silent, "heard": one.heard, "limit_seconds": round(usual, 3),
                "why": f"{who} for {seconds:,.1f} s of open hours, where {usual:,.1f} s is the limit{still}",
            },
        )  # fmt: skip

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
                yield make(
                    "volume", (symbol, one.start), reason="upstream", symbol=symbol, start=one.start, end=end,
                    messages=0, severity="warn",
                    evidence={
                        "messages": one.messages, "usual": one.usual, "deviations": round(one.deviations, 1),
                        "why": f"{one.messages:,} messages in ten minutes, where {one.usual:,.0f} are usual",
                    },
                )  # fmt: skip
        for one in (v for v in found if v.times > 1):
            self.notes.append(
                f"{one.symbol}: {one.times:.1f} times its usual messages from {format_time(one.start)} on"
            )

    def _of_clock(self, src: int, clock: Clock, make: Make) -> Finding:
        least, median = clock.least / NS, clock.median / NS
        if clock.zone:
            way = "behind" if clock.zone > 0 else "ahead of"
            why = f"event times lie {abs(clock.zone) / HOUR:g} h {way} receipt: a time zone is wrong"
        elif clock.negative == clock.messages:
            why = f"every message is received before it happens: the clock of source {src} is slow"
            why += f" by {-median:.3f} s, or the vendor's is fast"
        else:
            share = clock.negative / clock.messages
            why = f"{share:.2%} of messages are received before they happen, by up to {-least:.3f} s"
        who = "file" if src >= FILES else "collector"
        return make(
            "clock", (src, self.of.start // HOUR), reason="collector", start=self.of.start, end=self.of.end,
            messages=0, severity="warn",
            evidence={
                "src": src, "source": who, "least_seconds": round(least, 6),
                "median_seconds": round(median, 6), "zone_hours": clock.zone / HOUR,
                "negative_share": clock.negative / clock.messages, "why": why,
            },
        )  # fmt: skip

    def _of_order(self, make: Make) -> Iterator[Finding]:
        for (src, kind, symbol), one in sorted(self.timing.back.items()):
            yield make(
                "order", (src, kind, symbol, self.of.start // HOUR), reason="upstream", symbol=symbol,
                kind=kind, start=one.first, end=one.last + 1, at=one.first, messages=0, severity="warn",
                evidence={
                    "src": src, "steps": one.steps, "farthest_seconds": one.farthest / NS,
                    "why": f"the vendor's time goes back {one.steps:,} times within the stream, by up to "
                    f"{one.farthest / NS:.6f} s",
                },
            )  # fmt: skip

    def _of_late(self, make: Make) -> Finding:
        late, messages = self.timing.late, self.counts["messages"]
        return make(
            "late", (self.of.start // HOUR,), reason="publish", start=self.timing.late_first,
            end=self.timing.late_last + 1, messages=0, severity="warn",
            evidence={
                "late": late, "share": late / messages,
                "why": f"{late:,} of {messages:,} messages came into the log behind their closed windows",
            },
        )  # fmt: skip
