"""What trailing days make usual, and what whole hours teach. Pure.

Days are compared at the venue's own time of day, so that a change of clocks moves nothing, and only with
their like (half days with half days). Before MIN_DAYS like days are known nothing is judged by them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from tapedeck.calendars.session import Calendar, opened
from tapedeck.checks.activity import BUCKET, Activity
from tapedeck.checks.heartbeats import subtract
from tapedeck.checks.silence import Spans, Usual, summary
from tapedeck.columns import Array
from tapedeck.message import WHOLE_FEED
from tapedeck.slices import NS, Slice

HOUR = 3600 * NS
PER_HOUR = HOUR // BUCKET
DAYS, MIN_DAYS = 28, 5
"""So many trailing days are looked at, and so many of a like must be known."""
UNHEARD = 60 * NS
"""An hour of which more open time was not listened to teaches nothing."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What was learnt of one hour. `counts` and `longest` (ms) are of shape (symbols, buckets)."""

    names: dict[str, int]
    counts: Array
    longest: Array


@dataclass(slots=True)
class Trailing(ABC):
    """What is usual at a time by the hours that were learnt."""

    _like: dict[tuple[int, int], list[int]] = field(default_factory=dict, init=False)
    _known: dict[tuple[str, int], Usual | None] = field(default_factory=dict, init=False)

    @abstractmethod
    def calendar(self, symbol: str) -> Calendar:
        """The symbol's; the vendor's own for the feed as a whole."""

    @abstractmethod
    def _hour(self, start: int) -> Hour | None:
        """What was learnt of the hour that begins then."""

    def usual(self, symbol: str, at: int) -> Usual | None:
        """What is usual of a symbol in the bucket that holds `at`; None where too little is known.

        Days before a symbol was first heard count for nothing; later days without it count as zero.
        """
        key = symbol, at // BUCKET * BUCKET
        if key not in self._known:
            self._known[key] = self._usual(*key)
        return self._known[key]

    def _usual(self, symbol: str, bucket: int) -> Usual | None:
        counts: list[int] = []
        longest: list[int] = []
        for then in self._alike(symbol, bucket):
            hour = self._hour(then // HOUR * HOUR)
            if hour is None:
                continue
            row = hour.names.get(symbol)
            place = then % HOUR // BUCKET
            if row is not None:
                counts.append(int(hour.counts[row, place]))
                longest.append(int(hour.longest[row, place]) * 1_000_000)
            elif counts:
                counts.append(0)
                longest.append(BUCKET)
        return summary(counts, longest) if len(counts) >= MIN_DAYS else None

    def _alike(self, symbol: str, bucket: int) -> list[int]:
        """The same time of day on trailing days of the same sort, oldest first."""
        calendar = self.calendar(symbol)
        key = (id(calendar), bucket)
        if key not in self._like:
            sort = _sort(calendar, bucket)
            local = datetime.fromtimestamp(bucket // NS, UTC).astimezone(ZoneInfo(calendar.zone))
            days = [local.replace(tzinfo=None) - timedelta(days=d) for d in range(DAYS, 0, -1)]
            zoned = [int(day.replace(tzinfo=ZoneInfo(calendar.zone)).timestamp()) * NS for day in days]
            self._like[key] = [t for t in zoned if sort is not None and _sort(calendar, t) == sort]
        return self._like[key]


def learnt(
    activity: Activity,
    venue: Calendar,
    watched: Callable[[str], Spans],
    before: Mapping[str, int],
    spoilt: Spans = (),
) -> Iterator[tuple[int, Hour]]:
    """What the whole hours of what was looked at teach, each with its beginning.

    `venue`: the feed's own calendar. `spoilt`: what a check has found wrong; hours that meet it teach
    nothing.
    """
    names = [WHOLE_FEED, *activity.names]
    lists: dict[str, list[tuple[int, int]]] = {}
    for gap in (*activity.silences(before), *activity.feed_silences(max(before.values(), default=0))):
        lists.setdefault(gap.symbol, []).append((gap.start, gap.end))
    own = {name: np.array(some, np.int64) for name, some in lists.items()}
    for start in range(-(-activity.of.start // HOUR) * HOUR, activity.of.end - HOUR + 1, HOUR):
        hour = Slice(start, start + HOUR)
        open_ = opened(venue.sessions(hour), hour)
        unheard = sum(b - a for span in open_ for a, b in subtract(span, watched(WHOLE_FEED)))
        if not open_ or unheard > UNHEARD or any(hour.meets(a, b) for a, b in spoilt):
            continue
        place = (start - activity.base) // BUCKET
        counts = np.array([activity.of_symbol(n)[place : place + PER_HOUR] for n in names], np.int32)
        longest = np.zeros((len(names), PER_HOUR), np.int32)
        for row, name in enumerate(names):
            if name in own:
                longest[row] = _longest(own[name], watched(name), start)
        yield start, Hour({name: row for row, name in enumerate(names)}, counts, longest)


def _longest(gaps: Array, watched: Spans, start: int) -> Array:
    """In each bucket of the hour that begins at `start`, the longest silence (ms) that touches it, of what
    could have been heard; `gaps` are rows of (start, end)."""
    gaps = gaps[(gaps[:, 0] < start + HOUR) & (gaps[:, 1] > start)]
    best, first, last = (np.zeros(len(gaps), np.int64) for _ in range(3))
    for a, b in watched:
        begin, end = np.maximum(gaps[:, 0], a), np.minimum(gaps[:, 1], b)
        longer = end - begin > best
        best[longer] = (end - begin)[longer]
        first[longer], last[longer] = begin[longer], end[longer]
    ms = np.minimum(best // 1_000_000, 2**31 - 1).astype(np.int32)
    first, last = (first - start) // BUCKET, (last - start) // BUCKET
    found: Array = np.zeros(PER_HOUR, np.int32)
    for place in range(PER_HOUR):
        met = (best > 0) & (np.maximum(first, 0) <= place) & (place <= np.minimum(last, PER_HOUR - 1))
        found[place] = ms[met].max(initial=0)
    return found


def _sort(calendar: Calendar, at: int) -> str | None:
    found = calendar.sessions(Slice(at, at + BUCKET))
    return found[0].sort if found else None
