"""Whether what came of a slice came steadily: silence, volume, clocks, order, lateness, as findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tapedeck.calendars.session import opened
from tapedeck.checks import baselines, silence
from tapedeck.checks.activity import BUCKET, Activity
from tapedeck.checks.baselines import HOUR, Baselines
from tapedeck.checks.findings import Finding
from tapedeck.checks.gaps import Missing
from tapedeck.checks.heartbeats import FILES, subtract
from tapedeck.checks.look import Look
from tapedeck.checks.silence import Silence, Spans, Volume
from tapedeck.checks.timing import Clock, Timing
from tapedeck.message import HALT, OPEN, WHOLE_FEED
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time, parse_duration

CHECKS = ("silence", "volume", "clock", "order", "late")
LATE_SHARE = 0.001
"""This share of a slice's messages may come late; they are mended all the same."""

Make = Callable[..., Finding]
"""Makes a finding: (check, what it is about, **fields)."""


@dataclass(slots=True)
class Steadiness:
    """Gathered partition by partition and stretch by stretch, judged once."""

    settings: Settings
    vendor: str
    of: Slice
    counts: dict[str, int]
    notes: list[str] = field(default_factory=list)
    activity: Activity = field(init=False)
    timing: Timing = field(init=False)
    known: Baselines = field(init=False)
    changes: list[tuple[str, int, bool]] = field(default_factory=list)
    chained: set[str] = field(default_factory=set)
    until: int = 0
    _watched: dict[str, Spans] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.activity = Activity(self.of)
        self.timing = Timing(parse_duration(self.settings.writer.grace))
        self.known = Baselines(self.settings, self.vendor)
        self.known.calendar(WHOLE_FEED)  # a wrong name is refused before anything is read
        self.counts |= dict.fromkeys(("late", "quiet"), 0)

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
        halted, halts = self._halts()
        end = min(self.of.end, self.until)
        clipped = [(max(a, self.of.start - HOUR), min(b, end)) for a, b in heard]
        wide = Slice(self.of.start - HOUR, self.of.end)

        def watched(symbol: str) -> Spans:
            if symbol not in self._watched:
                open_ = opened(self.known.calendar(symbol).sessions(wide), wide)
                off = [*halts.get(symbol, ()), *halts.get(WHOLE_FEED, ())]
                away = [part for span in open_ for part in subtract(span, clipped)]
                self._watched[symbol] = [p for span in open_ for p in subtract(span, [*away, *off])]
            return self._watched[symbol]

        before = self.known.heard_before(self.of.start)
        silences = []
        for one in silence.silences(self.activity, self.activity.silences(before), watched, self.known.usual):
            if self._explained(one, missing):
                self.counts["quiet"] += one.symbol != WHOLE_FEED
                continue
            silences.append(one)
            yield self._of_silence(one, make)
        volumes = silence.volumes(
            self.activity, watched, self.known.usual, [WHOLE_FEED, *self.activity.names]
        )
        spans = [(one.symbol, one.start, one.end) for one in silences]
        yield from self._of_volumes(volumes, spans, make)
        for src, clock in sorted(self.timing.clocks.items()):
            if clock.wrong:
                yield self._of_clock(src, clock, make)
        yield from self._of_order(make)
        if self.timing.late > LATE_SHARE * max(1, self.counts["messages"]):
            yield self._of_late(make)
        spoilt = [(one.start, one.end) for one in silences if one.symbol == WHOLE_FEED]
        baselines.keep(self.settings, self.vendor, self.activity, watched, before, halted, spoilt)

    def _halts(self) -> tuple[list[str], dict[str, list[tuple[int, int]]]]:
        """Who is halted at the end, and when each was."""
        since = dict.fromkeys(self.known.halted_before(self.of.start), self.of.start - HOUR)
        halts: dict[str, list[tuple[int, int]]] = {}
        for symbol, at, halted in sorted(self.changes, key=lambda change: change[1]):
            if halted:
                since.setdefault(symbol, at)
            elif symbol in since:
                halts.setdefault(symbol, []).append((since.pop(symbol), at))
        for symbol, at in since.items():
            halts.setdefault(symbol, []).append((at, self.of.end))
        return sorted(since), halts

    def _explained(self, one: Silence, missing: Sequence[Missing]) -> bool:
        """A symbol whose chain goes on was quiet: nothing is missing. Where it does not, that is found."""
        if one.symbol == WHOLE_FEED:
            return False
        if any(g.symbol == one.symbol and g.start < one.end and one.start < g.end for g in missing):
            return True
        return one.symbol in self.chained and not one.open_ended

    def _of_silence(self, one: Silence, make: Make) -> Finding:
        feed = one.symbol == WHOLE_FEED
        scope = "feed" if feed else "symbol" if one.silent == 1 else "some symbols"
        seconds, usual = (one.end - one.start) / NS, one.usual / NS
        who = "nothing came of the whole feed" if feed else f"nothing came of {one.symbol}"
        still = "; it goes on" if one.open_ended else ""
        return make(
            "silence", (one.symbol, one.start), reason="upstream", symbol=one.symbol, start=one.start,
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
