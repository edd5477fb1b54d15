"""When a collector listened, by its signs of life."""

from __future__ import annotations

from tapedeck.log.coverage import Sign, listened
from tapedeck.message import CONNECTED, DISCONNECTED
from tapedeck.slices import NS, Slice


def beats(first: int, last: int, since: int = 0) -> list[Sign]:
    return [(t * NS, 0, since * NS) for t in range(first, last + 1)]


def spans(*signs: Sign) -> list[tuple[int, int]]:
    return [(one.start // NS, one.end // NS) for one in listened(signs, {})]


def test_a_life_is_covered_from_its_first_heartbeat_to_its_last() -> None:
    assert listened(beats(5, 9, since=5), {}) == [Slice(5 * NS, 9 * NS + 1)]
    assert listened([], {}) == []


def test_a_disconnect_cuts_until_the_next_connect() -> None:
    assert spans(*beats(0, 20), (5 * NS, DISCONNECTED, 0), (8 * NS, CONNECTED, 0)) == [(0, 5), (8, 20)]
    assert spans(*beats(0, 20), (5 * NS, DISCONNECTED, 0)) == [(0, 5)]
    twice = [
        (5 * NS, DISCONNECTED, 0),
        (6 * NS, DISCONNECTED, 0),
        (7 * NS, CONNECTED, 0),
        (9 * NS, CONNECTED, 0),
    ]
    assert spans(*beats(0, 20), *twice) == [(0, 5), (7, 20)]


def test_what_lies_before_the_first_connect_is_not_covered() -> None:
    assert spans(*beats(0, 20), (3 * NS, CONNECTED, 0)) == [(3, 20)]


def test_two_lives_and_a_pause_are_spans_of_their_own() -> None:
    assert spans(*beats(0, 5, since=0), *beats(7, 9, since=7)) == [(0, 5), (7, 9)]
    assert spans(*beats(0, 5), *beats(30, 33)) == [(0, 5), (30, 33)]
    down = [*beats(0, 5), (3 * NS, DISCONNECTED, 0), *beats(30, 33)]
    assert spans(*down) == [(0, 3)]
    assert spans(*down, *beats(40, 41, since=40)) == [(0, 3), (40, 41)]


def test_a_life_that_moves_to_another_topic_is_connected_or_not_as_it_was() -> None:
    signs = [*beats(0, 10), *beats(10, 20, since=10)]
    down, up = (5 * NS, DISCONNECTED, 0), (15 * NS, CONNECTED, 0)

    def moved(*signs: Sign) -> list[tuple[int, int]]:
        return [(one.start // NS, one.end // NS) for one in listened(signs, {10 * NS: 0})]

    assert moved(*signs) == [(0, 20)]
    assert moved(*signs, down) == [(0, 5)]
    assert moved(*signs, down, up) == [(0, 5), (15, 20)]
    assert moved(*signs[:4], down, *beats(10, 20, since=10)) == [(0, 5)]
    assert moved(*beats(10, 20, since=10)) == [(10, 20)]
    assert moved(*beats(10, 20, since=10), (12 * NS, DISCONNECTED, 0), up) == [(10, 12), (15, 20)]
