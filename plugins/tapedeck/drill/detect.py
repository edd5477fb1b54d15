"""What the checks say of a tape in memory: those of the gap check, and the reports' filters. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tapedeck.calendars.always import Always
from tapedeck.calendars.session import Calendar
from tapedeck.checks.activity import BUCKET, Activity
from tapedeck.checks.findings import Finding
from tapedeck.checks.gathered import Gathered
from tapedeck.checks.heard import NOTHING, Heard
from tapedeck.checks.limits import LIMITS, Limits
from tapedeck.checks.look import Lane, Look
from tapedeck.checks.silence import Usual
from tapedeck.checks.steadiness import Steadiness
from tapedeck.columns import Columns, empty
from tapedeck.drill.played import Played
from tapedeck.drill.take import SRC, Take
from tapedeck.log.judge import judge
from tapedeck.message import WHOLE_FEED
from tapedeck.reports.axis import axis
from tapedeck.reports.tallies import Tally
from tapedeck.reports.thresholds import Thresholds
from tapedeck.slices import NS, Slice

MARGIN = 30 * NS
GRACE = 60 * NS
DAYS = 20
WINDOW = 600 * NS
"""The reports take so much at a time."""
TICKS = ("far_price", "far_mid", "outside", "wide")
"""The rules that label outliers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One thing that a check found. `told`: by when (receipt time, ns) the tape had shown it."""

    check: str
    start: int
    end: int
    told: int
    symbol: str = WHOLE_FEED
    kind: str = WHOLE_FEED
    first: int = 0
    next: int = 0
    reason: str = ""

    @property
    def about(self) -> tuple[object, ...]:
        """What tells it from others: the same in a tape without the fault, it was there before."""
        return self.check, self.symbol, self.kind, self.first, self.start


@dataclass(slots=True)
class Clean:
    """What is usual, as if earlier days had been like the tape without a fault. Open round the clock."""

    activity: Activity
    watched: int
    _usual: dict[str, Usual] = field(default_factory=dict)

    def calendar(self, symbol: str) -> Calendar:
        """A tape that is known to be complete was never closed."""
        return Always(weekends=True)

    def usual(self, symbol: str, at: int) -> Usual | None:
        """The same at every time."""
        if symbol not in self._usual and (symbol in self.activity.names or symbol == WHOLE_FEED):
            self._usual[symbol] = self._learnt(symbol)
        return self._usual.get(symbol)

    def before(self, start: int) -> Heard:
        """Nobody looked before."""
        return NOTHING

    def _learnt(self, symbol: str) -> Usual:
        counts = self.activity.of_symbol(symbol)
        of = self.activity.of
        starts = self.activity.base + np.arange(len(counts)) * BUCKET
        whole = counts[(starts >= of.start) & (starts + BUCKET <= of.end)]
        rate = float(np.median(whole)) if len(whole) else float(counts.sum()) * BUCKET / self.watched
        deviation = float(np.median(np.abs(whole - rate))) if len(whole) else 0.0
        gaps = (
            self.activity.feed_silences() if symbol == WHOLE_FEED
            else [gap for gap in self.activity.silences({}) if gap.symbol == symbol]
        )  # fmt: skip
        longest = max((gap.end - gap.start for gap in gaps if not gap.open_ended), default=0)
        return Usual(rate, deviation, longest, DAYS)


def clean(take: Take) -> Clean:
    """What the tape itself makes usual."""
    activity = Activity(take.of)
    activity.take(take.columns.values())
    return Clean(activity, max(1, take.of.end - take.of.start))


def steady(take: Take, played: Played, usuals: Clean, limits: Limits = LIMITS) -> list[Seen]:
    """What the gap check finds: sequences, heartbeats, silence, volume, clocks, order."""
    gathered = Gathered(take.vendor, take.of, MARGIN, Steadiness(take.of, usuals, GRACE, limits))
    parts = [c["ts_recv"] for c in played.columns.values()]
    stamps = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
    lane = Lane(
        topic="", topic_id="", partition=0, beats=played.beats(), stamps={SRC: stamps}, begun={SRC: 0},
        cut=False, low=0, oldest=take.of.end,
    )  # fmt: skip
    look = Look(
        partition=0, judged=judge(dict(played.columns), None, MARGIN), beats=lane.beats, undecodable=[],
        lanes=(lane,),
    )  # fmt: skip
    gathered.take(look, take.of)
    found = gathered.found(played.lives(take.vendor), (), (), take.of.end)
    seen = [_of_finding(one, take.of) for one in found]
    for name, event in gathered.events:
        seen.append(
            Seen(
                check=name, symbol=event.symbol, kind=event.kind, first=event.seq, next=event.seq + 1,
                start=event.ts_recv, end=event.ts_recv, told=event.ts_recv,
            )
        )  # fmt: skip
    return seen


def _of_finding(one: Finding, of: Slice) -> Seen:
    told = one.end
    if one.check == "silence":
        told = min(one.end, one.start + int(one.evidence["limit_seconds"] * NS))
    elif one.check in ("clock", "order", "late"):
        told = of.end  # judged once the slice is over
    first = int(one.evidence.get("first", 0)) if one.check == "sequence" else 0
    return Seen(
        check=one.check, symbol=one.symbol, kind=one.kind, reason=one.reason, start=one.start, end=one.end,
        told=told, first=first, next=int(one.evidence.get("next", 0)) if first else 0,
    )  # fmt: skip


def labelled(take: Take, played: Played, limits: Thresholds) -> list[Seen]:
    """What the reports label: outliers tick by tick, and quotes that stood while other symbols moved."""
    on = axis(take.of)
    tallies: dict[str, Tally] = {}
    for start in range(take.of.start, take.of.end, WINDOW):
        block = Slice(start, start + WINDOW)
        for symbol in take.symbols:
            found = {}
            for kind, columns in played.columns.items():
                own = _within(columns.of(symbol), block)
                if len(own):
                    found[kind] = own
            if found:
                tally = tallies.setdefault(symbol, Tally(symbol, on, limits, {}, marked=len(take)))
                tally.add(found)
    total = sum((tally.bins for tally in tallies.values()), np.zeros(on.bins, np.int64))
    seen = []
    for symbol, tally in tallies.items():
        tally.end()
        seen += list(_outliers(symbol, tally, played))
        for start, end in tally.stale:
            inside = (total - tally.bins)[int(on.place(start)) + 1 : int(on.place(end))]
            if len(inside) and bool((inside > 0).all()):
                told = start + int(limits.stale_seconds * NS)
                seen.append(Seen(check="stale", symbol=symbol, kind="quote", start=start, end=end, told=told))
    return seen


def _outliers(symbol: str, tally: Tally, played: Played) -> Iterator[Seen]:
    """Each labelled tick once; it is told when the neighbours behind it have come."""
    after = {"far_price": tally.limits.bg_neighbours // 2, "far_mid": tally.limits.q4_half}
    done: set[tuple[str, int]] = set()
    for rule in TICKS:
        kind = "trade" if rule in ("far_price", "outside") else "quote"
        stamps = played.columns.get(kind, empty(kind)).of(symbol)["ts_recv"]
        for at, _ in tally.marked[rule]:
            if (kind, at) not in done and len(stamps):
                done.add((kind, at))
                place = min(int(np.searchsorted(stamps, at)) + after.get(rule, 0), len(stamps) - 1)
                yield Seen(
                    check="outlier", symbol=symbol, kind=kind, start=at, end=at, told=int(stamps[place])
                )


def _within(columns: Columns, of: Slice) -> Columns:
    stamps = columns["ts_recv"]
    return columns.take(np.arange(*np.searchsorted(stamps, (of.start, of.end))))
