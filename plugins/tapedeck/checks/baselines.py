"""What is usual of each symbol at a time of day: learnt from whole hours, kept in MongoDB.

Trailing days are compared at the venue's own time of day, so that a change of clocks moves nothing, and only
with their like (half days with half days). Before MIN_DAYS like days are known nothing is judged by them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from tapedeck.calendars.named import calendar_of
from tapedeck.calendars.session import Calendar, opened
from tapedeck.checks import heard
from tapedeck.checks.activity import BUCKET, Activity, Gap
from tapedeck.checks.heard import Heard
from tapedeck.checks.heartbeats import subtract
from tapedeck.checks.silence import Spans, Usual, longest_open, summary
from tapedeck.log import meta
from tapedeck.message import KINDS, WHOLE_FEED
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import database, documents, library
from tapedeck.store.window import between

COLLECTION = "baselines"
HOUR = 3600 * NS
PER_HOUR = HOUR // BUCKET
DAYS, MIN_DAYS = 28, 5
"""So many trailing days are looked at, and so many of a like must be known."""
KEPT_DAYS = 60
UNHEARD = 60 * NS
"""An hour of which more open time was not listened to teaches nothing."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What was learnt of one hour. `counts` and `longest` (ms) are of shape (symbols, buckets)."""

    names: dict[str, int]
    counts: Any
    longest: Any


@dataclass(slots=True)
class Baselines:
    """What is known of a vendor; hours are loaded when they are asked for. `calendars` by symbol."""

    settings: Settings
    vendor: str
    _hours: dict[int, Hour | None] = field(default_factory=dict)
    _like: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    _calendars: dict[str, Calendar] = field(default_factory=dict)

    def calendar(self, symbol: str) -> Calendar:
        """The symbol's; the vendor's own for the feed as a whole."""
        if symbol not in self._calendars:
            self._calendars[symbol] = calendar_of(
                self.settings, self.vendor, "" if symbol == WHOLE_FEED else symbol
            )
        return self._calendars[symbol]

    def usual(self, symbol: str, at: int) -> Usual | None:
        """What is usual of a symbol in the bucket that holds `at`; None where too little is known.

        Days before a symbol was first heard count for nothing; later days without it count as zero.
        """
        bucket = at // BUCKET * BUCKET
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

    def before(self, start: int) -> Heard:
        """How things stood at `start`."""
        return heard.before(self.settings, self.vendor, start)

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

    def _hour(self, start: int) -> Hour | None:
        if start not in self._hours:
            with database.answering(self.settings):
                found = database.collection(self.settings, COLLECTION).find_one(
                    {"_id": _id(self.vendor, start)}
                )
            self._hours[start] = _decode(found) if found else None
        return self._hours[start]


def keep(
    settings: Settings,
    vendor: str,
    activity: Activity,
    watched: Callable[[str], Spans],
    before: Mapping[str, int],
    spoilt: Spans = (),
) -> int:
    """Learn from the whole hours of what was looked at; gives how many. Replaces what was learnt of them.

    `spoilt`: what a check has found wrong; hours that meet it teach nothing.
    """
    names = [WHOLE_FEED, *activity.names]
    own: dict[str, list[Gap]] = {}
    for gap in (*activity.silences(before), *activity.feed_silences(max(before.values(), default=0))):
        own.setdefault(gap.symbol, []).append(gap)
    learnt = 0
    for start in range(-(-activity.of.start // HOUR) * HOUR, activity.of.end - HOUR + 1, HOUR):
        hour = Slice(start, start + HOUR)
        open_ = opened(calendar_of(settings, vendor).sessions(hour), hour)
        unheard = sum(b - a for span in open_ for a, b in subtract(span, watched(WHOLE_FEED)))
        if not open_ or unheard > UNHEARD or any(hour.meets(a, b) for a, b in spoilt):
            continue
        place = (start - activity.base) // BUCKET
        counts = np.array([activity.of_symbol(n)[place : place + PER_HOUR] for n in names], np.int32)
        longest = np.zeros((len(names), PER_HOUR), np.int32)
        for row, name in enumerate(names):
            for gap in own.get(name, ()):
                part = longest_open(gap, watched(name)) if hour.meets(gap.start, gap.end) else None
                if part is None:
                    continue
                first = max(0, (part[0] - start) // BUCKET)
                last = min(PER_HOUR - 1, (part[1] - start) // BUCKET)
                ms = min((part[1] - part[0]) // 1_000_000, 2**31 - 1)
                longest[row, first : last + 1] = np.maximum(longest[row, first : last + 1], ms)
        _put(settings, vendor, start, names, counts, longest)
        learnt += 1
    return learnt


def learn(settings: Settings, vendor: str, of: Slice) -> int:
    """Learn the whole hours of a slice from what Arctic holds of it; gives how many hours were learnt."""
    learnt = 0
    known = Baselines(settings, vendor)
    groups = meta.read(settings).topics(vendor).groups
    for start in range(-(-of.start // HOUR) * HOUR, of.end - HOUR + 1, HOUR):
        hour = Slice(start, start + HOUR)
        activity = Activity(hour)
        parts: dict[str, list[Any]] = {}
        for kind in KINDS:
            one = library.named(settings, f"{vendor}.{kind}")
            wide = Slice(one.around(hour.start).start, hour.end)
            with database.answering(settings):
                for group in range(groups):
                    for stored in documents.in_partition(one.collection, group, wide):
                        rows = between(stored.rows(kind), hour)
                        if len(rows):
                            parts.setdefault(stored.symbol, []).append(rows)
        for rows_of in parts.values():
            activity.take(rows_of)
        if activity.names:
            learnt += keep(settings, vendor, activity, partial(_open, known, hour), {})
    return learnt


def shown(settings: Settings, vendor: str, at: int, symbol: str = "") -> list[dict[str, Any]]:
    """What is usual at a time, of a symbol or of all that are known, the whole feed ("*") first."""
    known = Baselines(settings, vendor)
    names = {symbol} if symbol else {WHOLE_FEED}
    if not symbol:
        for then in known._alike(WHOLE_FEED, at // BUCKET * BUCKET):
            hour = known._hour(then // HOUR * HOUR)
            names |= set(hour.names) if hour else set()
    found = ((name, known.usual(name, at)) for name in sorted(names))
    return [
        {
            "symbol": name, "messages": usual.messages, "deviation": usual.deviation,
            "longest_silence_seconds": usual.longest / NS, "days": usual.days,
        }
        for name, usual in found if usual is not None
    ]  # fmt: skip


def _put(
    settings: Settings, vendor: str, start: int, names: Sequence[str], counts: Any, longest: Any
) -> None:
    document = {
        "vendor": vendor, "hour": start, "symbols": list(names), "counts": counts.tobytes(),
        "longest": longest.tobytes(),
    }  # fmt: skip
    with database.answering(settings):
        book = database.collection(settings, COLLECTION)
        book.replace_one({"_id": _id(vendor, start)}, document, upsert=True)
        oldest = (time.time_ns() // HOUR - KEPT_DAYS * 24) * HOUR
        if start > oldest:
            book.delete_many({"vendor": vendor, "hour": {"$lt": oldest}})


def _decode(found: dict[str, Any]) -> Hour:
    names = {name: row for row, name in enumerate(found["symbols"])}
    shape = (len(names), PER_HOUR)
    arrays = [np.frombuffer(found[name], np.int32).reshape(shape) for name in ("counts", "longest")]
    return Hour(names, *arrays)


def _open(known: Baselines, of: Slice, symbol: str) -> Spans:
    return opened(known.calendar(symbol).sessions(of), of)


def _sort(calendar: Calendar, at: int) -> str | None:
    found = calendar.sessions(Slice(at, at + BUCKET))
    return found[0].sort if found else None


def _id(vendor: str, hour: int) -> str:
    return f"{vendor}|{hour}"
