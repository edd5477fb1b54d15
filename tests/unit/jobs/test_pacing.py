"""One clock: deadlines from one anchor, lateness as it was, a cap on reading."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from tapedeck.errors import BadInput
from tapedeck.jobs import pacing
from tapedeck.jobs.pacing import Cap, Pace, ahead, parse_speed

MS = 1_000_000


class Hands:
    """A clock that only waiting and working move, and what was handed over when."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, work: int = 0, oversleep: int = 0) -> None:
        self.now, self.work, self.oversleep = 10**15, work, oversleep
        self.given: list[tuple[int, int, int]] = []
        monkeypatch.setattr(pacing.time, "monotonic_ns", lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += int(seconds * 1e9) + self.oversleep

    def take(self, first: int, last: int) -> None:
        self.given.append((first, last, self.now))
        self.now += self.work


@pytest.mark.parametrize(("speed", "expected"), [("1", 100), ("10", 10), ("0.5", 200)])
def test_a_message_is_due_as_long_after_the_first_as_it_came(
    monkeypatch: pytest.MonkeyPatch, speed: str, expected: int
) -> None:
    hands = Hands(monkeypatch)
    pace = Pace(parse_speed(speed), hands.wait)
    pace.send(np.array([7, 7 + 100 * MS, 7 + 300 * MS]), hands.take)
    begin = hands.given[0][2]
    assert [(at - begin) // MS for _, _, at in hands.given] == [0, expected, 3 * expected]
    late = pace.lateness()
    assert late is not None
    assert (late.messages, late.max) == (3, 0.0)


def test_what_one_is_late_nothing_after_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands(monkeypatch, work=MS // 10, oversleep=2 * MS)
    pace = Pace(1.0, hands.wait)
    stamps = np.arange(5_000, dtype=np.int64) * 10 * MS
    for first in range(0, 5_000, 500):  # stretch after stretch, one clock
        pace.send(stamps[first : first + 500], hands.take)
    late = pace.lateness()
    assert late is not None
    assert late.messages == 5_000
    assert late.histogram == {"0.1": 1, "5": 4_999}
    assert 2.0 <= late.p50 <= late.p99 <= late.max < 2.5  # each is late by its own waking, 5,000 of them too
    assert late.drift == 0
    last = hands.given[-1][2] - hands.given[0][2]
    assert abs(last - 4_999 * 10 * MS) <= 3 * MS  # one anchor: the last is where the first says


def test_percentiles_are_of_messages_not_of_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands(monkeypatch)
    pace = Pace(1.0, hands.wait)
    pace.send(np.array([0]), hands.take)
    hands.now += 50 * MS  # held up: 98 messages are 50 ms late at once
    pace.send(np.full(98, 0), hands.take)
    pace.send(np.array([1_000 * MS]), hands.take)
    late = pace.lateness()
    assert late is not None
    assert (late.p50, late.p99, late.max) == (50.0, 50.0, 50.0)


def test_as_fast_as_possible_waits_for_nothing_and_is_never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands(monkeypatch)
    pace = Pace(parse_speed("max"), hands.wait)
    pace.send(np.arange(2_500) * 10**12, hands.take)
    assert [(a, b) for a, b, _ in hands.given] == [(0, 1000), (1000, 2000), (2000, 2500)]
    assert pace.lateness() is None


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast", "", "1e9"])
def test_a_speed_that_is_none_is_one_sentence(text: str) -> None:
    with pytest.raises(BadInput, match=r"can't run at speed .*: write max"):
        parse_speed(text)


def test_a_cap_holds_the_average(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(pacing.time, "monotonic", lambda: now[0])
    cap = Cap(100, lambda seconds: now.__setitem__(0, now[0] + seconds))
    for _ in range(50):
        cap.took(10)
    assert now[0] == pytest.approx(5.0)


def test_what_fails_while_reading_ahead_fails_the_reader() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise BadInput("here")

    with ahead(source()) as items:
        assert next(items) == 1
        with pytest.raises(BadInput, match="here"):
            next(items)


def test_leaving_ends_the_reading() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for i in range(10**9):
            made.append(i)
            yield i

    with ahead(source()) as items:
        assert next(items) == 0
    stopped = len(made)
    time.sleep(0.05)
    assert len(made) == stopped <= 4
