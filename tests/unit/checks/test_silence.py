"""Silence and volume: what is too long or too few is found, and what is usual there is not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tapedeck import message as m
from tapedeck.checks.activity import BUCKET, FLOOR, Activity
from tapedeck.checks.silence import Silence, Usual, limit, silences, summary, volumes
from tapedeck.columns import from_messages
from tapedeck.message import WHOLE_FEED
from tapedeck.slices import NS, Slice

T0 = 1_723_118_400 * NS
OF = Slice(T0, T0 + 3600 * NS)
ALL = [(OF.start, OF.end)]


def seen(stamps: dict[str, list[float]]) -> Activity:
    """Trades at seconds after T0, in two stretches."""
    activity = Activity(OF)
    for half in (Slice(T0, T0 + 1800 * NS), Slice(T0 + 1800 * NS, OF.end)):
        for symbol, times in stamps.items():
            own = [T0 + int(t * NS) for t in times]
            made = [m.Trade(symbol, 0, t, 0, 0, 1, 1.0, 1.0) for t in own if half.start <= t < half.end]
            if made:
                activity.take([from_messages("trade", made)])
    return activity


def each(seconds: float, *, but: tuple[float, float] = (0, 0)) -> list[float]:
    return [t for t in np.arange(0.5, 3600, seconds).tolist() if not but[0] < t < but[1]]


def usual(**known: tuple[float, float]) -> object:
    """(messages a bucket, longest silence in s) of symbols that are known."""
    return lambda symbol, at: (
        Usual(known[symbol][0], 0.0, int(known[symbol][1] * NS), 20) if symbol in known else None
    )


def found(activity: Activity, known: object, watched: object = lambda symbol: ALL) -> list[Silence]:
    return silences(activity, activity.silences({}), watched, known)  # type: ignore[arg-type]


def test_counts_and_gaps_are_those_of_a_walk_through_the_ticks() -> None:
    rng = np.random.default_rng(3)
    stamps = {s: sorted(rng.uniform(0, 3600, n).tolist()) for s, n in (("A", 300), ("B", 40), ("C", 1))}
    activity = seen(stamps)
    for symbol, times in stamps.items():
        ns = [T0 + int(t * NS) for t in times]
        counts = [sum(T0 + i * BUCKET <= t < T0 + (i + 1) * BUCKET for t in ns) for i in range(6)]
        assert activity.of_symbol(symbol).tolist() == counts
        edges = [OF.start, *ns, OF.end]
        expected = [(a, b) for a, b in pairwise(edges) if b - a > FLOOR]
        own = sorted((g.start, g.end) for g in activity.silences({}) if g.symbol == symbol)
        assert own == expected
    merged = sorted(T0 + int(t * NS) for times in stamps.values() for t in times)
    edges = [OF.start, *merged, OF.end]
    expected = [(a, b) for a, b in pairwise(edges) if b - a > FLOOR]
    assert [(g.start, g.end) for g in activity.feed_silences()] == expected


def test_a_feed_that_stops_is_found_without_any_baseline() -> None:
    [one] = found(seen({"A": each(0.5, but=(1000, 1020)), "B": each(0.5, but=(1000, 1020))}), usual())
    assert (one.symbol, one.silent, one.heard) == (WHOLE_FEED, 2, 2)
    assert one.start == pytest.approx(T0 + 1000 * NS, abs=NS)
    assert one.end == pytest.approx(T0 + 1020 * NS, abs=NS)


def test_before_the_first_and_behind_the_last_message_only_earlier_days_say_that_a_feed_is_silent() -> None:
    some = seen({"A": [t for t in each(0.5) if 300 < t < 2000]})
    assert found(some, usual()) == []
    edges = found(some, usual(**{WHOLE_FEED: (1200.0, 0.0)}))
    assert [(one.symbol, one.open_ended) for one in edges] == [(WHOLE_FEED, False), (WHOLE_FEED, True)]


def test_a_feed_that_often_pauses_is_not_silent() -> None:
    bursts = [minute * 60 + i / 20 for minute in range(60) for i in range(100)]
    assert found(seen({"A": bursts}), usual()) == []


def test_one_symbol_is_judged_by_its_own_days_only() -> None:
    activity = seen({"A": each(1, but=(600, 900)), "B": each(1)})
    assert found(activity, usual()) == []  # a new listing
    assert found(activity, usual(A=(600, 200), B=(600, 0))) == []  # so long is usual
    [one] = found(activity, usual(A=(600, 4), B=(600, 0)))
    assert (one.symbol, one.silent, one.heard) == ("A", 1, 2)


def test_a_symbol_that_is_rarely_heard_is_held_to_its_rate() -> None:
    rare = {"A": [100.0, 1500.0, 3000.0], "B": each(1)}
    assert found(seen(rare), usual(A=(0.5, 0), B=(600, 0))) == []
    assert limit(Usual(0.0, 0.0, 0, 20)) > 10**17


def test_many_symbols_silent_together_are_one_finding() -> None:
    hole = (600, 900)
    active = {s: each(1, but=hole) for s in "ABC"} | {"D": each(1)}
    [one] = found(seen(active), usual(**{s: (600, 0) for s in "ABCD"}))
    assert (one.symbol, one.silent, one.heard) == (WHOLE_FEED, 3, 4)


def test_closed_hours_and_halts_are_no_silence() -> None:
    activity = seen({"A": each(1, but=(600, 900)), "B": each(1, but=(600, 900))})
    watched = [(OF.start, T0 + 600 * NS), (T0 + 900 * NS, OF.end)]
    assert found(activity, usual(A=(600, 0), B=(600, 0)), lambda symbol: watched) == []


def test_a_symbol_that_is_not_heard_at_all_is_silent_to_the_end() -> None:
    activity = seen({"B": each(1)})
    gaps = list(activity.silences({"A": T0 - 10 * NS}))
    [one] = silences(activity, gaps, lambda s: ALL, usual(A=(600, 0), B=(600, 0)))  # type: ignore[arg-type]
    assert (one.symbol, one.open_ended, one.end) == ("A", True, OF.end)


def test_volume_is_held_against_its_deviations_and_its_ratio() -> None:
    activity = seen({"A": each(1, but=(600, 1100)), "B": each(1)})
    low = volumes(activity, lambda s: ALL, usual(A=(600, 0), B=(600, 0)), ["A", "B"])  # type: ignore[arg-type]
    assert [(v.symbol, v.start, v.messages) for v in low] == [("A", T0 + BUCKET, 100)]
    wild = lambda s, at: Usual(600, 200, 0, 20)  # noqa: E731
    assert volumes(activity, lambda s: ALL, wild, ["A", "B"]) == []
    part = [(OF.start, T0 + 700 * NS), (T0 + 800 * NS, OF.end)]
    assert volumes(activity, lambda s: part, usual(A=(600, 0)), ["A"]) == []  # type: ignore[arg-type]


def test_what_is_usual_is_not_moved_by_one_bad_day() -> None:
    one = summary([600] * 19 + [0], [0] * 19 + [600 * NS])
    assert (one.messages, one.deviation, one.longest, one.days) == (600, 0, 0, 20)
