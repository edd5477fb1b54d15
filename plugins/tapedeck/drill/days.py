"""A drill over days: what many days teach is held against others, which had no fault, or one silence.

Here silence and volume are scored on symbols that are rarely heard, and false alarms are counted on days
other than those that taught.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from msgspec import to_builtins

from tapedeck.calendars.always import Always
from tapedeck.calendars.session import Calendar
from tapedeck.checks.activity import BUCKET, Activity
from tapedeck.checks.findings import Finding, identity
from tapedeck.checks.heard import NOTHING, Heard
from tapedeck.checks.limits import LIMITS, Limits
from tapedeck.checks.steadiness import Steadiness
from tapedeck.checks.trailing import HOUR, Hour, Trailing, learnt
from tapedeck.columns import Columns
from tapedeck.drill.detect import GRACE, Seen
from tapedeck.drill.drill import Drill
from tapedeck.drill.placing import Random, log_size
from tapedeck.drill.played import Allowed, Played, Truth
from tapedeck.drill.quiet import DAY, RATES, Quiet
from tapedeck.drill.score import Tally
from tapedeck.message import WHOLE_FEED
from tapedeck.slices import NS, Slice

TAUGHT, JUDGED = 21, 7
"""So many days teach, and so many others are judged."""
FIRST = 19_723 * DAY
"""2024-01-01, a Monday."""
APART = 3 * HOUR
LONGEST = 2 * 3600.0
FEED = 0.0
"""Stands for the whole feed where others have their messages a minute."""
CHECKS = ("silence", "volume")
Progress = Callable[[int, int], object]


@dataclass(slots=True)
class Taught(Trailing):
    """What days before taught; open round the clock, and every day like the other."""

    hours: dict[int, Hour] = field(default_factory=dict)
    left: Heard = NOTHING
    venue: Calendar = field(default_factory=lambda: Always(weekends=True))

    def calendar(self, symbol: str) -> Calendar:
        """The same of all."""
        return self.venue

    def _hour(self, start: int) -> Hour | None:
        return self.hours.get(start)

    def before(self, start: int) -> Heard:
        """As the hour before left it."""
        return self.left


def drill(
    vendor: str,
    judged: int = JUDGED,
    *,
    seeds: int = 1,
    limits: Limits = LIMITS,
    progress: Progress = lambda done, total: None,
) -> Drill:
    """Score silences of a quiet feed, and of symbols by how often they are heard, over so many made markets.

    `false` are findings that are none of these silences, on `judged` days with and without them. The same
    seeds score the same.
    """
    tallies = {rate: Tally() for rate in (FEED, *RATES)}
    messages = 0
    for seed in range(1, seeds + 1):
        progress(seed - 1, seeds)
        messages += _market(seed, limits, judged, tallies)
    progress(1, 1)
    of = Slice(FIRST + TAUGHT * DAY, FIRST + (TAUGHT + judged) * DAY)
    return Drill(
        vendor=vendor, slice=of, messages=messages, symbols=list(Quiet(1).symbols), seeds=seeds,
        scores=[tally.score("hush", _said(rate), "s") for rate, tally in tallies.items()], before={},
        notes=[f"a made market: {TAUGHT} days taught, {judged} others are judged, with and without faults"],
        limits=to_builtins(limits),
    )  # fmt: skip


def _market(seed: int, limits: Limits, judged: int, tallies: dict[float, Tally]) -> int:
    """One seed; gives the messages of the days that were judged."""
    market = Quiet(seed)
    days = [market.day(n, FIRST + n * DAY) for n in range(TAUGHT + judged)]
    hours: dict[int, Hour] = {}
    for columns in days[:TAUGHT]:
        hours |= _taught(columns)
    clean = _checked(Taught(dict(hours)), days[TAUGHT:], limits)
    random = np.random.default_rng((seed, 8))
    truths = list(_silences(random, market, FIRST + TAUGHT * DAY, judged))
    hushed = [_without(columns, truths) for columns in days[TAUGHT:]]
    found = _checked(Taught(dict(hours)), hushed, limits)
    rates = {WHOLE_FEED: FEED, **market.symbols}
    for rate, tally in tallies.items():
        of = [[one for one in some if rates[one.symbol] == rate] for some in (clean, found)]
        for seen, own, known in ((of[0], [], frozenset()), (of[1], truths, {one.about for one in of[0]})):
            played = Played(columns={}, taped=np.zeros(0, np.int64), spans=[])
            played.truths = [one for one in own if rates[one.symbol] == rate]
            played.allowed = [Allowed(checks=CHECKS, start=t.start - BUCKET, end=t.end + BUCKET) for t in own]
            tally.add(played, seen, frozenset(known))
        tally.seeds = seed
    return sum(map(len, days[TAUGHT:]))


def _checked(known: Taught, days: Iterable[Columns], limits: Limits) -> list[Seen]:
    """What the checks of each hour find, one after the other, each going on from where the last left."""
    seen: dict[str, Seen] = {}
    for columns in days:
        for hour, part in _hours(columns):
            of = Slice(hour, hour + HOUR)
            check = Steadiness(of, known, GRACE, limits)
            check.activity.take([part])
            check.until = of.end
            listened = [(FIRST, of.end)]
            for one in check.found(listened, [], _make):
                seen[one.id] = Seen(
                    check=one.check, symbol=one.symbol, start=one.start, end=one.end,
                    told=one.start + int(one.evidence.get("limit_seconds", 600) * NS),
                )  # fmt: skip
            known.left = check.left
            known.hours |= dict(learnt(check.activity, known.venue, check.watched, {}))
    return list(seen.values())


def _taught(columns: Columns) -> dict[int, Hour]:
    """What a day teaches that nobody judged."""
    venue = Always(weekends=True)
    found: dict[int, Hour] = {}
    for hour, part in _hours(columns):
        activity = Activity(Slice(hour, hour + HOUR))
        activity.take([part])
        found |= dict(learnt(activity, venue, lambda symbol, h=hour: [(h, h + HOUR)], {}))  # type: ignore[misc]
    return found


def _hours(columns: Columns) -> Iterator[tuple[int, Columns]]:
    first = int(columns["ts_recv"][0]) // DAY * DAY
    edges = np.searchsorted(columns["ts_recv"], first + np.arange(25) * HOUR).tolist()
    for i, (a, b) in enumerate(pairwise(edges)):
        yield first + i * HOUR, columns.take(np.arange(a, b))


def _silences(random: Random, market: Quiet, start: int, days: int) -> Iterator[Truth]:
    """One at a time, somewhere in each three hours: of one symbol, or now and then of the whole feed."""
    names = [WHOLE_FEED, *market.symbols]
    for at in range(start, start + days * DAY, APART):
        symbol = str(random.choice(names))
        length = int(log_size(random, 3.0 if symbol == WHOLE_FEED else 10.0, LONGEST) * NS)
        begins = at + int(random.integers(0, APART - length))
        yield Truth(checks=CHECKS, start=begins, end=begins + length, symbol=symbol, size=length / NS)


def _without(columns: Columns, truths: Iterable[Truth]) -> Columns:
    ts, keep = columns["ts_recv"], np.ones(len(columns), np.bool_)
    for one in truths:
        silent = (ts >= one.start) & (ts < one.end)
        if one.symbol != WHOLE_FEED:
            silent &= columns["symbol"] == columns.symbols.index(one.symbol)
        keep &= ~silent
    return columns.take(keep)


def _make(check: str, what: tuple[object, ...], **fields: Any) -> Finding:
    fields = {"symbol": WHOLE_FEED, "kind": WHOLE_FEED, "at": fields["start"], **fields}
    return Finding(id=identity(check, "made", *what), check=check, vendor="made", **fields)


def _said(rate: float) -> str:
    if rate == FEED:
        return "the whole of a quiet feed silent"
    return f"a symbol of {rate:g} messages a minute silent"
