"""Days on which less comes and nothing is wrong: halts, delistings, listings, half days, holidays, clocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from tapedeck import message as m
from tapedeck.calendars.delisted import Delisted
from tapedeck.calendars.exchange import exchange
from tapedeck.calendars.session import Calendar
from tapedeck.checks.activity import BUCKET
from tapedeck.checks.findings import Finding, identity
from tapedeck.checks.heard import NOTHING, Heard
from tapedeck.checks.look import Look
from tapedeck.checks.silence import Usual
from tapedeck.checks.steadiness import Steadiness
from tapedeck.columns import Columns, empty, from_messages
from tapedeck.log.judge import Judged
from tapedeck.message import WHOLE_FEED
from tapedeck.slices import NS, Slice, parse_time
from tests.unit.checks.test_steadiness import made

HOUR = 3600 * NS
APART = 20
"""Seconds between two messages of a symbol while its venue is open."""
SYMBOLS = ("AAPL", "BAC", "SPY", "XOM")
NYSE = exchange("XNYS")


@dataclass
class Venue:
    """The New York Stock Exchange as it is known to a check: each symbol that is `usual` is heard every
    twenty seconds; hours are checked one after the other, as the DAG does."""

    usually: tuple[str, ...] = SYMBOLS
    delisted: Mapping[str, int] = field(default_factory=dict)
    left: Heard = NOTHING
    closed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def calendar(self, symbol: str) -> Calendar:
        return Delisted(NYSE, self.delisted[symbol]) if symbol in self.delisted else NYSE

    def usual(self, symbol: str, at: int) -> Usual | None:
        rate = BUCKET / NS / APART
        if symbol == WHOLE_FEED:
            return Usual(rate * len(self.usually), 0.0, 0, 20)
        return Usual(rate, 0.0, 0, 20) if symbol in self.usually else None

    def before(self, start: int) -> Heard:
        return self.left

    def hour(
        self,
        start: int,
        until: Mapping[str, int] | None = None,
        since: Mapping[str, int] | None = None,
        statuses: Iterable[m.Status] = (),
        symbols: Iterable[str] = SYMBOLS,
    ) -> list[Finding]:
        """What the check of one hour finds. Symbols trade whenever the exchange is open: until or since a
        time (UTC ns) where that is said."""
        of = Slice(start, start + HOUR)
        steady = Steadiness(of, self, 60 * NS)
        trades = [
            m.Trade(symbol, t - NS // 100, t + k, 0, 0, 1, 1.0, 1.0)
            for session in NYSE.sessions(of)
            for t in range(max(session.start, of.start), min(session.end, of.end), APART * NS)
            for k, symbol in enumerate(symbols)
            if (since or {}).get(symbol, 0) <= t < (until or {}).get(symbol, 2**62)
        ]
        inside = [one for one in statuses if of.start <= one.ts_recv < of.end]
        judged = {
            kind: Judged(columns, columns.take(np.zeros(0, np.int64)), columns.take(np.zeros(0, np.int64)))
            for kind, columns in (("trade", placed("trade", trades)), ("status", placed("status", inside)))
        }
        steady.take(
            Look(partition=0, judged=judged, beats=empty("heartbeat"), undecodable=[], lanes=()), of, ()
        )
        steady.until = of.end
        found = list(steady.found([(start - 30 * 24 * HOUR, of.end)], [], made))
        self.left = steady.left
        self.closed += [identity("silence", "v", *one) for one in (*steady.settled, *steady.gone)]
        self.notes += steady.notes
        return found


def placed(kind: str, messages: list[m.Trade] | list[m.Status]) -> Columns:
    columns = from_messages(kind, messages) if messages else empty(kind)
    size = len(columns)
    return columns.with_arrays(topic=np.zeros(size, np.int32), offset=np.arange(size))


def hours(first: str, last: str) -> Iterator[int]:
    yield from range(parse_time(first), parse_time(last), HOUR)


@pytest.mark.parametrize(
    ("first", "last", "what"),
    [
        ("2024-07-03T12:00:00Z", "2024-07-06T00:00:00Z", "a half day, a holiday, a day between"),
        ("2024-11-27T12:00:00Z", "2024-12-03T00:00:00Z", "a holiday, a half day, a weekend"),
        ("2024-03-08T12:00:00Z", "2024-03-12T00:00:00Z", "clocks go forward"),
        ("2024-11-01T12:00:00Z", "2024-11-05T00:00:00Z", "clocks go back"),
    ],
)
def test_no_hour_of_a_week_with_days_of_other_sorts_is_an_alarm(first: str, last: str, what: str) -> None:
    venue = Venue()
    found = [one for start in hours(first, last) for one in venue.hour(start)]
    assert found == [], what
    assert venue.left.silent == {}


def test_an_hour_in_which_nothing_comes_is_an_alarm_on_the_same_days() -> None:
    venue = Venue()
    venue.hour(parse_time("2024-11-29T15:00:00Z"))
    [feed] = [
        one for one in venue.hour(parse_time("2024-11-29T16:00:00Z"), symbols=()) if one.check == "silence"
    ]
    assert (feed.symbol, feed.severity) == (WHOLE_FEED, "fail")


def test_a_new_listing_is_no_alarm_on_its_first_days() -> None:
    venue = Venue(usually=SYMBOLS[:3])
    listed = parse_time("2024-08-06T17:30:00Z")
    for start in hours("2024-08-05T12:00:00Z", "2024-08-08T00:00:00Z"):
        assert venue.hour(start, since={"XOM": listed}) == []


def test_a_halt_over_the_close_that_ends_two_days_later_is_no_alarm() -> None:
    venue = Venue()
    halt, resume = parse_time("2024-08-06T17:30:00Z"), parse_time("2024-08-08T14:15:00Z")
    told = [m.Status("BAC", halt, halt, 0, 0, 1, m.HALT, "T1"),
            m.Status("BAC", resume, resume, 0, 0, 1, m.OPEN, "T3")]  # fmt: skip
    for start in hours("2024-08-06T12:00:00Z", "2024-08-07T00:00:00Z"):
        assert venue.hour(start, until={"BAC": halt}, statuses=told) == []
    for start in hours("2024-08-07T00:00:00Z", "2024-08-09T00:00:00Z"):
        assert venue.hour(start, since={"BAC": resume}, statuses=told) == []


def test_a_delisting_that_the_venue_or_the_settings_announce_is_no_alarm() -> None:
    ends = parse_time("2024-08-06T17:30:00Z")
    told = [m.Status("BAC", ends, ends, 0, 0, 1, m.HALT, "delisted")]
    for venue, statuses in ((Venue(), told), (Venue(delisted={"BAC": ends}), [])):
        for start in hours("2024-08-06T12:00:00Z", "2024-08-14T00:00:00Z"):
            assert venue.hour(start, until={"BAC": ends}, statuses=statuses) == []


def test_a_delisting_that_nobody_announces_is_one_warning_that_ends_by_itself() -> None:
    venue, ends = Venue(), parse_time("2024-08-01T17:30:00Z")  # a Thursday
    told: dict[str, Finding] = {}
    for start in hours("2024-08-01T12:00:00Z", "2024-08-16T00:00:00Z"):
        for one in venue.hour(start, until={"BAC": ends}):
            told[one.id] = one
    [one] = told.values()
    last = ends - APART * NS + 1
    assert (one.symbol, one.check, one.severity, one.start) == ("BAC", "silence", "warn", last)
    assert "it goes on" in one.evidence["why"]
    # Friday, Monday and Tuesday were whole days without it
    assert parse_time("2024-08-06T19:00:00Z") <= one.end <= parse_time("2024-08-06T20:00:00Z")
    assert venue.closed == [one.id]
    [note] = venue.notes
    assert note.startswith("BAC: nothing came since 2024-08-01T17:29:40.000000001Z, on 3 whole trading days")
    again = venue.hour(parse_time("2024-08-16T15:00:00Z"))
    assert [(f.symbol, f.check) for f in again] == [("BAC", "silence")]
    assert "it goes on" not in again[0].evidence["why"]


def test_a_warning_of_a_symbol_that_is_then_named_as_delisted_is_closed() -> None:
    venue, ends = Venue(), parse_time("2024-08-01T17:30:00Z")
    [one] = [f for start in hours("2024-08-01T12:00:00Z", "2024-08-01T18:00:00Z")
             for f in venue.hour(start, until={"BAC": ends})]  # fmt: skip
    venue.delisted = {"BAC": one.start}
    assert venue.hour(parse_time("2024-08-01T18:00:00Z"), until={"BAC": ends}) == []
    assert venue.closed == [one.id]
    assert venue.left.silent == {}


def test_half_of_all_symbols_delisted_at_once_do_not_stay_a_silent_feed() -> None:
    venue, ends = Venue(), parse_time("2024-08-01T17:30:00Z")
    gone = dict.fromkeys(("BAC", "XOM"), ends)
    told = [f for start in hours("2024-08-01T12:00:00Z", "2024-08-10T00:00:00Z")
            for f in venue.hour(start, until=gone)]  # fmt: skip
    assert max(f.end for f in told) <= parse_time("2024-08-06T20:00:00Z")
    assert len({f.id for f in told}) == 1
    assert venue.left.silent == {}
