"""Heartbeats: who listened when, and what was taped and never published."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec import structs

from tapedeck import message as m
from tapedeck.checks.heartbeats import Outage, listening, outages, shortfalls, unheard
from tapedeck.columns import Columns, empty, from_messages
from tapedeck.log.meta import Life
from tapedeck.slices import NS, Slice

T0 = 1_723_161_600 * NS
OF = Slice(T0, T0 + 60 * NS)
NOW = T0 + 3600 * NS


def beats(*spans: tuple[float, float], src: int = 1, since: float = 0.0, rate: int = 0) -> Columns:
    """A heartbeat each second of the spans (in seconds after T0); `rate` messages are sent between two."""
    times = [t for first, last in spans for t in np.arange(first, last, 1.0)]
    life = T0 + int(since * NS)
    return from_messages(
        "heartbeat",
        [m.Heartbeat("*", 0, T0 + int(t * NS), 0, 0, src, life, rate * i) for i, t in enumerate(times)],
    )


def life(since: float = 0.0, closed: float | None = None, src: int = 1, retired: bool = False) -> Life:
    end = None if closed is None else T0 + int(closed * NS)
    return Life(vendor="v", src=src, since=T0 + int(since * NS), topic_id="t", closed=end, retired=retired)


def both(first: Columns, second: Columns) -> Columns:
    arrays = {name: np.concatenate((first[name], second[name])) for name in first.arrays}
    return Columns("heartbeat", ("*",), arrays)


def spoken(found: list[Outage]) -> list[tuple[str, float, float, bool]]:
    return [(o.why, (o.start - T0) / NS, (o.end - T0) / NS, o.certain) for o in found]


def test_regular_heartbeats_are_no_outage() -> None:
    assert outages(beats((0, 100)), [life()], [], OF, NOW) == ([], [])


@pytest.mark.parametrize(
    ("pause", "expected"),
    [(1.4, []), (1.6, [("late heartbeat", 9, 10.6, False)]), (2.5, [("late heartbeat", 9, 11.5, True)])],
)
def test_a_late_heartbeat_is_doubtful_first_and_then_certain(
    pause: float, expected: list[tuple[str, float, float, bool]]
) -> None:
    found, _ = outages(beats((0, 10), (9 + pause, 100)), [life()], [], OF, NOW)
    assert spoken(found) == expected


def test_a_killed_collector_was_away_from_its_last_sign_to_its_next_life() -> None:
    two = both(beats((0, 10)), beats((13, 100), since=13))
    found, _ = outages(two, [life(), life(13)], [], OF, NOW)
    assert spoken(found) == [("killed", 9, 13, True)]


def test_a_bus_that_is_gone_while_its_collector_moves_is_gone_on_in_the_new_topic() -> None:
    signs = both(beats((0, 10)), beats((10, 100), since=10))
    moved = structs.replace(life(10), moved=T0)
    for changes, end in [([(1, T0 + 8 * NS, False), (1, T0 + 15 * NS, True)], 15),
                         ([(1, T0 + 8 * NS, False)], 60)]:  # fmt: skip
        found, _ = outages(signs, [life(closed=10), moved], changes, OF, NOW)
        assert spoken(found) == [("disconnected", 8, 10, True), ("disconnected", 10, end, True)]
    back = [(1, T0 + 5 * NS, False), (1, T0 + 8 * NS, True)]
    assert spoken(outages(signs, [life(closed=10), moved], back, OF, NOW)[0]) == [
        ("disconnected", 5, 8, True)
    ]


def test_one_that_said_goodbye_was_away_only_if_it_came_back() -> None:
    early = beats((0, 10))
    found, notes = outages(early, [life(closed=9.5)], [], OF, NOW)
    assert (found, notes) == ([], ["collector 1 ended and has not come back"])
    found, _ = outages(both(early, beats((13, 99), since=13)), [life(closed=9.5), life(13)], [], OF, NOW)
    assert spoken(found) == [("ended", 9.5, 13, True)]


def test_one_that_has_fallen_silent_is_away_until_now() -> None:
    found, _ = outages(beats((0, 10)), [life()], [], OF, T0 + 30 * NS)
    assert spoken(found) == [("silent since", 9, 30, True)]
    assert outages(beats((0, 10)), [life()], [], OF, T0 + 18 * NS)[0] == []  # on its way to Kafka
    assert outages(beats((0, 10)), [life(retired=True)], [], OF, NOW)[0] == []


def test_from_disconnect_to_connect_nobody_listened() -> None:
    changes = [(1, T0 + 20 * NS, False), (1, T0 + 25 * NS, True), (2, T0 + 30 * NS, False)]
    found, _ = outages(beats((0, 100)), [life()], changes, OF, NOW)
    assert spoken(found) == [("disconnected", 20, 25, True)]


def test_a_bus_that_was_gone_when_its_collector_ended_is_no_outage() -> None:
    changes = [(1, T0 + 20 * NS, False)]
    assert outages(beats((0, 31)), [life(closed=30)], changes, OF, NOW)[0] == []
    found, _ = outages(beats((0, 100)), [life()], changes, OF, NOW)
    assert spoken(found) == [("disconnected", 20, 60, True)]


def test_what_another_source_heard_is_not_unheard() -> None:
    out, _ = outages(both(beats((0, 10)), beats((13, 100), since=13)), [life(), life(13)], [], OF, NOW)
    lives = [life(), life(13)]
    alone = unheard(out, listening(lives, [], out, OF.end))
    assert [((s - T0) / NS, (e - T0) / NS) for _, s, e in alone] == [(9, 13)]
    assert unheard(out, listening([*lives, life(src=2)], [], out, OF.end)) == []
    file = (1007, T0 + 8 * NS, T0 + 11 * NS - 1)
    left = unheard(out, listening(lives, [file], out, OF.end))
    assert [((s - T0) / NS, (e - T0) / NS) for _, s, e in left] == [(11, 13)]


def test_an_hour_in_which_both_collectors_were_away_is_named_once() -> None:
    out = [
        Outage(src=1, start=T0, end=T0 + 9 * NS, why="killed"),
        Outage(src=2, start=T0 + 4 * NS, end=T0 + 9 * NS, why="killed"),
    ]
    heard = {1: [(T0 - NS, T0)], 2: [(T0 - NS, T0 + 4 * NS)]}
    assert [(s - T0) // NS for _, s, _ in unheard(out, heard)] == [4]


def test_messages_that_were_taped_and_not_published_are_counted() -> None:
    sent = beats((0, 20), rate=5)
    times = sent["ts_recv"]
    whole = np.sort(np.concatenate([times[:-1] + (k + 1) * 1000 for k in range(5)]))
    begun = {1: T0}
    assert shortfalls(3, sent, {1: whole}, OF, begun) == []
    lost = whole[(whole < T0 + 7 * NS) | (whole > T0 + 9 * NS)]
    [short] = shortfalls(3, sent, {1: lost}, OF, begun)
    assert ((short.start - T0) / NS, (short.end - T0) / NS, short.messages) == (7, 9, 10)
    assert (short.src, short.partition) == (1, 3)
    assert shortfalls(3, sent, {1: lost}, Slice(T0 + 30 * NS, OF.end), begun) == []
    assert shortfalls(3, sent, {1: lost}, OF, {1: T0 + 10 * NS}) == []


def test_resends_and_an_unread_beginning_are_no_shortfall() -> None:
    sent = beats((5, 20), rate=5)
    more = np.sort(np.concatenate([sent["ts_recv"] + k for k in range(9)]))
    assert shortfalls(0, both(sent, sent), {1: more}, OF, {1: T0 + 5 * NS}) == []
    assert shortfalls(0, empty("heartbeat"), {}, OF, {}) == []
