"""One anchor for all that share it, and hours that take no time."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck.errors import BadInput
from tapedeck.jobs.clock import Clock, Hours
from tapedeck.jobs.hours import clock_of, hours_of
from tapedeck.jobs.order import Order
from tapedeck.jobs.pacing import Pace
from tapedeck.settings import SessionTable, Settings, Vendor
from tapedeck.slices import NS, Slice, parse_time

MS = 1_000_000


@given(st.lists(st.integers(1, 50), min_size=2, max_size=20), st.lists(st.integers(0, 600), max_size=50))
def test_open_time_is_what_one_would_count(steps: list[int], stamps: list[int]) -> None:
    bounds = np.cumsum(steps[: len(steps) // 2 * 2]).tolist()
    spans = [(a, b) for a, b in zip(bounds[::2], bounds[1::2], strict=True)]
    hours = Hours(spans)
    counted = [sum(a <= t < b for a, b in spans for t in range(a, min(b, stamp))) for stamp in stamps]
    assert hours.passed(np.array(stamps, np.int64)).tolist() == counted
    assert hours.total == sum(b - a for a, b in spans)


def test_without_an_open_hour_everything_is_due_at_once() -> None:
    assert Hours([]).passed(np.array([1, 5])).tolist() == [0, 0]


def test_a_night_between_two_sessions_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10**15]
    monkeypatch.setattr("time.monotonic_ns", lambda: now[0])
    pace = Pace(
        1.0,
        lambda s: now.__setitem__(0, now[0] + int(s * 1e9)),
        Clock(1, Hours([(0, NS), (100 * NS, 101 * NS)])),
    )
    given: list[int] = []
    stamps = np.array([NS // 2, NS - MS, 50 * NS, 100 * NS + MS])
    pace.send(stamps, lambda a, b: given.extend([now[0]] * (b - a)))
    assert [(at - given[0]) // MS for at in given] == [0, 499, 500, 501]


def test_all_that_share_a_clock_go_by_the_first_message_of_all() -> None:
    clock, found = Clock(3), list[tuple[int, int]]()
    others = [threading.Thread(target=lambda t=t: found.append(clock.begin(t))) for t in (700, 500)]  # type: ignore[misc]
    for one in others:
        one.start()
    clock.leave()  # the third has nothing to send
    for one in others:
        one.join(60)
    assert found[0] == found[1]
    assert found[0][1] == 500


def test_one_that_sends_nothing_leaves_once() -> None:
    clock = Clock(2)
    idle = Pace(1.0, clock=clock)
    idle.send(np.zeros(0, np.int64), lambda a, b: None)
    idle.end()
    busy = Pace(1.0, clock=clock)
    busy.send(np.array([7]), lambda a, b: None)
    busy.end()
    assert busy.lateness() is not None


def order(vendor: str, of: Slice, **more: object) -> Order:
    return Order(
        vendor=vendor, slice=of, to="zmq:x", symbols=(), kinds=(), partitions=1, **more  # type: ignore[arg-type]
    )  # fmt: skip


def test_hours_are_of_every_symbol_that_is_replayed() -> None:
    table = SessionTable(zone="UTC", sessions={"mon": ["09:00-10:00", "11:00-12:00"]})
    late = SessionTable(zone="UTC", sessions={"mon": ["11:30-13:00"]})
    settings = Settings(
        calendars={"early": table, "late": late},
        vendors={
            "a": Vendor(bus="", symbols=["X", "Y"], calendar="early", calendars={"Y": "late"}),
            "b": Vendor(bus="", symbols=["Z"], calendar="24x7"),
        },
    )
    of = Slice(parse_time("2024-08-05T00:00:00Z"), parse_time("2024-08-06T00:00:00Z"))
    both = hours_of(settings, [order("a", of)], of)
    assert both.total == 3 * 3600 * NS  # 09-10 and 11-13
    only = Order(vendor="a", slice=of, to="", symbols=("X",), kinds=(), partitions=1)
    assert hours_of(settings, [only], of).total == 2 * 3600 * NS
    together = clock_of(settings, [order("a", of, skip_closed=True), order("b", of, skip_closed=True)])
    assert together.hours is not None
    assert together.hours.total == 24 * 3600 * NS
    assert clock_of(settings, [order("a", of)]).hours is None


def test_a_calendar_that_nobody_knows_is_one_sentence() -> None:
    of = Slice(0, NS)
    settings = Settings(vendors={"a": Vendor(bus="", symbols=["X"], calendar="XNYZ")})
    with pytest.raises(BadInput, match="names no calendar 'XNYZ'"):
        hours_of(settings, [order("a", of)], of)
