"""Hour after hour: a silence over several is one, and what turned out to be none is settled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tapedeck import message as m
from tapedeck.calendars.always import Always
from tapedeck.calendars.delisted import Delisted
from tapedeck.calendars.exchange import exchange
from tapedeck.calendars.session import Calendar
from tapedeck.checks.activity import BUCKET
from tapedeck.checks.findings import Finding, identity
from tapedeck.checks.heard import NOTHING, Heard
from tapedeck.checks.look import Look
from tapedeck.checks.silence import Usual
from tapedeck.checks.steadiness import Steadiness
from tapedeck.columns import empty, from_messages
from tapedeck.log.judge import Judged
from tapedeck.message import WHOLE_FEED
from tapedeck.slices import NS, Slice, parse_time

HOUR = 3600 * NS
T0 = 1_723_118_400 * NS
CHAINED = 100.0


@dataclass
class Known:
    """A message a second of each symbol is usual, and of the feed as many as of all of them."""

    symbols: tuple[str, ...] = ("A", "B", "C")
    delisted: Mapping[str, int] = field(default_factory=dict)
    left: Heard = NOTHING
    venue: Calendar = field(default_factory=lambda: Always(weekends=True))

    def calendar(self, symbol: str) -> Calendar:
        always = self.venue
        return Delisted(always, self.delisted[symbol]) if symbol in self.delisted else always

    def usual(self, symbol: str, at: int) -> Usual | None:
        if symbol == WHOLE_FEED:
            return Usual(len(self.symbols) * BUCKET / NS, 0.0, 0, 20)
        return Usual(BUCKET / NS, 0.0, 0, 20) if symbol in self.symbols else None

    def before(self, start: int) -> Heard:
        return self.left


def made(check: str, what: tuple[object, ...], **fields: Any) -> Finding:
    fields = {"symbol": WHOLE_FEED, "kind": WHOLE_FEED, "at": fields["start"], **fields}
    return Finding(id=identity(check, "v", *what), check=check, vendor="v", **fields)


def hour(
    known: Known, n: int, quiet: Mapping[str, tuple[float, float]], chained: Iterable[str] = ()
) -> tuple[list[Finding], Steadiness]:
    """The n-th hour after T0, in which each symbol is heard every second but for its span (seconds)."""
    of = Slice(T0 + n * HOUR, T0 + (n + 1) * HOUR)
    steady = Steadiness(of, known, 60 * NS)
    trades = []
    for symbol in known.symbols:
        first, last = quiet.get(symbol, (0.0, 0.0))
        times = [t for t in np.arange(0.5, 3600).tolist() if not first < t < last]
        for i, t in enumerate(times):
            seq = 4000 * n + i + 1 if symbol in chained else 0
            at = of.start + int(t * NS)
            trades.append(m.Trade(symbol, at, at, seq, max(0, seq - 1), 1, 1.0, 1.0))
    columns = from_messages("trade", sorted(trades, key=lambda one: one.ts_recv))
    columns = columns.with_arrays(topic=np.zeros(len(columns), np.int32), offset=np.arange(len(columns)))
    nothing = columns.take(np.zeros(0, np.int64))
    look = Look(
        partition=0, judged={"trade": Judged(columns, nothing, nothing)}, beats=empty("heartbeat"),
        undecodable=[], lanes=(),
    )  # fmt: skip
    steady.take(look, of, ())
    steady.until = of.end
    found = list(steady.found([(T0 - HOUR, of.end)], [], made))
    known.left = steady.left
    return [one for one in found if one.check == "silence"], steady


def test_a_silence_over_three_hours_is_one_finding_that_ends() -> None:
    known = Known()
    [first], _ = hour(known, 0, {"A": (3000, 9999)})
    assert "it goes on" in first.evidence["why"]
    [second], _ = hour(known, 1, {"A": (0, 9999)})
    assert (second.id, second.start, second.end) == (first.id, first.start, T0 + 2 * HOUR)
    [third], _ = hour(known, 2, {"A": (0, 100)})
    assert (third.id, third.start, third.end) == (first.id, first.start, T0 + 2 * HOUR + 100_500_000_000)
    assert "it goes on" not in third.evidence["why"]
    assert hour(known, 3, {})[0] == []


def test_a_feed_that_is_silent_over_an_hours_end_is_one_finding() -> None:
    known = Known()
    [first], _ = hour(known, 0, dict.fromkeys("ABC", (3000, 9999)))
    [second], _ = hour(known, 1, dict.fromkeys("ABC", (0, 100)))
    assert (first.symbol, second.id, second.start) == ("*", first.id, first.start)


def test_a_quiet_symbol_whose_chain_goes_on_in_the_next_hour_is_settled_then() -> None:
    known = Known()
    [first], _ = hour(known, 0, {"A": (3000, 9999)}, chained="A")
    found, steady = hour(known, 1, {"A": (0, 100)}, chained="A")
    assert found == []
    assert [identity("silence", "v", *one) for one in steady.settled] == [first.id]
    _, later = hour(known, 2, {}, chained="A")
    assert later.settled == []


def test_a_delisted_symbol_is_not_missed_and_one_that_ends_early_is() -> None:
    ended = {"A": T0 + 3000 * NS + NS // 2}
    assert hour(Known(delisted=ended), 0, {"A": (3000, 9999)})[0] == []
    known = Known(delisted=ended)
    [early], _ = hour(known, 0, {"A": (2000, 9999)})
    assert (early.symbol, early.end) == ("A", ended["A"])
    assert hour(known, 1, {"A": (0, 9999)})[0] == []


@pytest.mark.parametrize(
    ("at", "what", "found"),
    [
        ("2024-11-27T18:00:00Z", "an afternoon", True),
        ("2024-11-29T18:00:00Z", "the afternoon of a half day", False),
        ("2024-07-04T15:00:00Z", "a holiday", False),
        ("2024-07-06T15:00:00Z", "a Saturday", False),
        ("2024-03-08T20:00:00Z", "the last hour in winter time", True),
        ("2024-03-11T20:00:00Z", "the same hour once clocks have changed", False),
        ("2024-11-01T13:00:00Z", "the half hour after the open in summer time", True),
        ("2024-11-04T13:00:00Z", "the same hour once clocks have changed back", False),
    ],
)
def test_nothing_is_missed_on_a_holiday_a_half_day_or_after_a_change_of_clocks(
    at: str, what: str, found: bool
) -> None:
    start = parse_time(at)
    of = Slice(start, start + HOUR)
    steady = Steadiness(of, Known(venue=exchange("XNYS")), 60 * NS)
    steady.until = of.end
    some = [one.check for one in steady.found([(start - 24 * HOUR, of.end)], [], made)]
    assert ("silence" in some) if found else some == [], what


def test_what_opens_late_is_missed_from_its_open_only() -> None:
    start = parse_time("2024-11-04T14:00:00Z")  # the open is at half past, an hour later than on Friday
    steady = Steadiness(Slice(start, start + HOUR), Known(venue=exchange("XNYS")), 60 * NS)
    steady.until = start + HOUR
    [one] = [f for f in steady.found([(start - HOUR, start + HOUR)], [], made) if f.check == "silence"]
    assert (one.symbol, one.start, one.end) == ("*", start + HOUR // 2, start + HOUR)
