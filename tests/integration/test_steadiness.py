"""Silence in the gap check on real servers: what earlier days taught, what a halt or a holiday excuses."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from msgspec import structs

from tapedeck import message as m
from tapedeck.calendars.session import opened
from tapedeck.checks import findings
from tapedeck.checks.activity import Activity
from tapedeck.checks.baselines import Baselines, keep, learn
from tapedeck.checks.gap_check import gap_check
from tapedeck.checks.trailing import MIN_DAYS
from tapedeck.columns import from_messages
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, parse_time
from tapedeck.store.rebuild import rebuild
from tests.published import HOUR, T0, VENDOR, Published

DAY = 24 * HOUR
OF = Slice(T0, T0 + HOUR)


def with_calendar(settings: Settings, calendar: str) -> Settings:
    table = structs.replace(settings.vendor(VENDOR), calendar=calendar)
    return structs.replace(settings, vendors={**settings.vendors, VENDOR: table})


def teach(settings: Settings, hour: int, **seconds_apart: float) -> int:
    """One hour as its check would have left it: each symbol heard so often."""
    of = Slice(hour, hour + HOUR)
    activity = Activity(of)
    for symbol, apart in seconds_apart.items():
        times = [of.start + int(t * NS) for t in np.arange(0.5, 3600, apart).tolist()]
        activity.take([from_messages("trade", [m.Trade(symbol, 0, t, 0, 0, 1, 1.0, 1.0) for t in times])])
    known = Baselines(settings, VENDOR)
    return keep(settings, VENDOR, activity, lambda s: opened(known.calendar(s).sessions(of), of), {})


def like_days(settings: Settings, count: int, **seconds_apart: float) -> None:
    """The hour of T0 on the last `count` days of its sort."""
    day, taught = 1, 0
    calendar = Baselines(settings, VENDOR).calendar("*")
    sort = calendar.sessions(OF)[0].sort
    while taught < count:
        hour = T0 - day * DAY
        if calendar.sessions(Slice(hour, hour + HOUR))[0].sort == sort:
            taught += teach(settings, hour, **seconds_apart)
        day += 1


def hour_of(log: Published, *, quiet: tuple[float, float], halted: bool = False) -> None:
    """An hour in which the unchained symbol HOT is heard every second but for one span; COLD always."""
    log.register(T0 - 5 * NS)
    made: list[m.Message] = []
    for t in range(3601):
        at = T0 + t * NS
        made.append(m.Heartbeat("*", 0, at, 0, 0, 1, log.lives[1].since, 0))
        for k, symbol in enumerate(("HOT", "COLD", "LUKE")):
            if symbol != "HOT" or not quiet[0] < t < quiet[1]:
                made.append(m.Quote(symbol, at - NS // 100, at + 1000 + k, 0, 0, 1, 1.0, 2.0, 1.0, 1.0))
    if halted:
        for second, code in ((quiet[0] + 0.5, m.HALT), (quiet[1] - 0.5, m.OPEN)):
            made.append(m.Status("HOT", 0, T0 + int(second * NS), 0, 0, 1, code, ""))
    log.publish(*made)
    log.close(T0 + 3601 * NS)


def test_a_symbol_that_earlier_days_heard_is_missed_and_a_new_one_is_not(settings: Settings) -> None:
    log = Published(settings)
    hour_of(log, quiet=(1000, 1400))
    assert gap_check(settings, VENDOR, OF).findings == []  # nobody knows the symbol yet
    like_days(settings, 6, HOT=1, COLD=1, LUKE=1)
    report = gap_check(settings, VENDOR, OF, run="one")
    [found] = report.findings
    assert (found.check, found.reason, found.symbol, found.severity) == ("silence", "upstream", "HOT", "warn")
    assert (found.start, found.end) == (T0 + 1000 * NS + 1000, T0 + 1400 * NS + 1000)
    assert (found.evidence["scope"], found.evidence["silent"], found.evidence["heard"]) == ("symbol", 1, 3)
    again = gap_check(settings, VENDOR, OF, run="two")
    assert [f.id for f in again.findings] == [found.id]
    assert len(findings.listed(settings, VENDOR)) == 1


@pytest.mark.parametrize(
    ("other_heard", "scope", "reason"), [(False, "everything", "collector"), (True, "feed", "upstream")]
)
def test_a_feed_that_is_silent_with_every_other_is_this_site_s(
    settings: Settings, other_heard: bool, scope: str, reason: str
) -> None:
    logs = [Published(settings), Published(settings, "binance_spot")]
    for log in logs:
        log.register(T0 - 5 * NS)
        made: list[m.Message] = []
        for t in range(601):
            made.append(m.Heartbeat("*", 0, T0 + t * NS, 0, 0, 1, log.lives[1].since, 0))
            if not 300 <= t < 340 or (other_heard and log is logs[1]):
                made += [
                    m.Quote("HOT", 0, T0 + t * NS + 1000 + k * NS // 4, 0, 0, 1, 1.0, 2.0) for k in range(4)
                ]
        log.publish(*made)
        log.close(T0 + 601 * NS)
    [found] = gap_check(settings, VENDOR, Slice(T0, T0 + 600 * NS)).findings
    assert (found.check, found.symbol, found.severity, found.reason) == ("silence", "*", "fail", reason)
    assert found.evidence["scope"] == scope
    assert ("binance_spot either" in found.evidence["why"]) != other_heard


def test_a_halt_is_no_silence(settings: Settings) -> None:
    like_days(settings, 6, HOT=1, COLD=1, LUKE=1)
    log = Published(settings)
    hour_of(log, quiet=(1000, 1400), halted=True)
    assert gap_check(settings, VENDOR, OF).findings == []


def test_what_arctic_holds_teaches_the_same_as_the_check_did(settings: Settings) -> None:
    log = Published(settings)
    hour_of(log, quiet=(1000, 1400))
    gap_check(settings, VENDOR, OF)
    book = Baselines(settings, VENDOR)
    told = book._hour(T0)
    assert told is not None
    rebuild(settings, VENDOR, OF)
    assert learn(settings, VENDOR, OF) == 1
    learnt = Baselines(settings, VENDOR)._hour(T0)
    assert learnt is not None
    assert told.counts[told.names["COLD"]].sum() == 3600
    for symbol in ("HOT", "COLD", "LUKE", "*"):
        one, other = told.names[symbol], learnt.names[symbol]
        assert told.counts[one].tolist() == learnt.counts[other].tolist()
        assert told.longest[one].tolist() == learnt.longest[other].tolist()
    assert told.longest[told.names["HOT"]].max() == 400_000


@pytest.mark.parametrize(
    ("calendar", "at", "sorts"),
    [("XNYS", "2024-11-29T15:00:00Z", {"short"}), ("24x7", "2024-08-10T15:00:00Z", {"weekend"})],
)
def test_half_days_and_weekends_are_compared_with_their_like(
    settings: Settings, calendar: str, at: str, sorts: set[str]
) -> None:
    known = Baselines(with_calendar(settings, calendar), VENDOR)
    like = known._alike("X", parse_time(at))
    found = [known.calendar("X").sessions(Slice(t, t + NS))[0].sort for t in like]
    assert set(found) <= sorts
    assert len(like) == (0 if calendar == "XNYS" else 8)


def test_a_change_of_clocks_moves_no_time_of_day(settings: Settings) -> None:
    known = Baselines(with_calendar(settings, "XNYS"), VENDOR)
    at = parse_time("2024-03-11T13:40:00Z")  # ten past the open, the first summer day
    like = known._alike("X", at)
    assert [t % DAY for t in like] == [parse_time("2024-03-08T14:40:00Z") % DAY] * len(like)
    assert len(like) == 19
    assert all(b > a for a, b in pairwise(like))


def test_closed_hours_teach_nothing_and_a_symbols_first_day_begins_its_baseline(settings: Settings) -> None:
    deck = with_calendar(settings, "XNYS")
    sunday = parse_time("2024-08-04T15:00:00Z")
    assert teach(deck, sunday, A=1) == 0
    taught = partial(teach, deck)
    for day in range(5, 10):  # Monday to Friday
        assert taught(parse_time(f"2024-08-{day:02}T15:00:00Z"), A=1, **({"B": 1.0} if day > 6 else {})) == 1
    known = Baselines(deck, VENDOR)
    at = parse_time("2024-08-12T15:10:00Z")
    usual = known.usual("A", at)
    assert usual is not None
    assert (usual.messages, usual.longest, usual.days) == (600, 0, 5)
    assert known.usual("B", at) is None
    assert known.usual("A", parse_time("2024-08-12T22:10:00Z")) is None
    assert MIN_DAYS == 5
