"""What is usual of each symbol at a time of day: learnt from whole hours, kept in MongoDB."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from tapedeck.calendars.named import calendar_of
from tapedeck.calendars.session import Calendar, opened
from tapedeck.checks import heard
from tapedeck.checks.activity import BUCKET, Activity
from tapedeck.checks.heard import Heard
from tapedeck.checks.silence import Spans
from tapedeck.checks.trailing import HOUR, PER_HOUR, Hour, Trailing, learnt
from tapedeck.log import meta
from tapedeck.message import KINDS, WHOLE_FEED
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import database, documents, library
from tapedeck.store.window import between

COLLECTION = "baselines"
KEPT_DAYS = 60


@dataclass(slots=True)
class Baselines(Trailing):
    """What is known of a vendor; hours are loaded when they are asked for. `calendars` by symbol."""

    settings: Settings
    vendor: str
    _hours: dict[int, Hour | None] = field(default_factory=dict)
    _calendars: dict[str, Calendar] = field(default_factory=dict)

    def calendar(self, symbol: str) -> Calendar:
        """See `Trailing.calendar`."""
        if symbol not in self._calendars:
            self._calendars[symbol] = calendar_of(
                self.settings, self.vendor, "" if symbol == WHOLE_FEED else symbol
            )
        return self._calendars[symbol]

    def before(self, start: int) -> Heard:
        """How things stood at `start`."""
        return heard.before(self.settings, self.vendor, start)

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
    venue, hours = calendar_of(settings, vendor), 0
    for start, hour in learnt(activity, venue, watched, before, spoilt):
        _put(settings, vendor, start, hour)
        hours += 1
    return hours


def learn(settings: Settings, vendor: str, of: Slice) -> int:
    """Learn the whole hours of a slice from what Arctic holds of it; gives how many hours were learnt."""
    hours = 0
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
            hours += keep(settings, vendor, activity, partial(_open, known, hour), {})
    return hours


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


def _put(settings: Settings, vendor: str, start: int, hour: Hour) -> None:
    document = {
        "vendor": vendor, "hour": start, "symbols": list(hour.names), "counts": hour.counts.tobytes(),
        "longest": hour.longest.tobytes(),
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


def _id(vendor: str, hour: int) -> str:
    return f"{vendor}|{hour}"
