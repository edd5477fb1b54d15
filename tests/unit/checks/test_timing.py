"""Clocks and order: a slow clock, a wrong zone, time that goes back, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tapedeck import message as m
from tapedeck.checks.timing import Timing
from tapedeck.columns import Columns, from_messages
from tapedeck.partitions import partition_of
from tapedeck.slices import NS, Slice

T0 = 1_723_118_400 * NS
OF = Slice(T0, T0 + 3600 * NS)


def trades(events: list[int], *, src: int = 1, seqs: list[int] | None = None, step: int = NS) -> Columns:
    """Trades received `step` apart; `events` are ns before receipt."""
    stamps = [T0 + i * step for i in range(len(events))]
    made = [
        m.Trade("A", at - ago, at, (seqs or range(1, len(events) + 1))[i], 0, src, 1.0, 1.0)
        for i, (at, ago) in enumerate(zip(stamps, events, strict=True))
    ]
    columns = from_messages("trade", made)
    n = len(made)
    return columns.with_arrays(topic=np.zeros(n, np.int32), offset=np.arange(n))


def of(*parts: Columns, grace: int = 60 * NS) -> Timing:
    timing = Timing(grace)
    for part in parts:
        timing.take(part, OF, ())
    return timing


def test_a_usual_delay_is_right() -> None:
    clock = of(trades([NS // 100 + i % 7 * 1_000_000 for i in range(200)])).clocks[1]
    assert (clock.wrong, clock.negative, clock.zone) == (False, 0, 0)


def test_a_slow_clock_is_told_by_every_message() -> None:
    clock = of(trades([-1_270_000_000 + i * 1000 for i in range(100)])).clocks[1]
    assert clock.wrong
    assert clock.negative == clock.messages == 100
    assert clock.median == pytest.approx(-1.27 * NS, abs=1e6)
    assert clock.zone == 0


@pytest.mark.parametrize("hours", [-5, 5, 1, 5.5, -14, 0.75])
def test_a_wrong_zone_is_told_to_the_quarter(hours: float) -> None:
    clock = of(trades([int(hours * 3600 * NS) + 30_000_000] * 50)).clocks[1]
    assert clock.wrong
    assert clock.zone == hours * 3600 * NS


def test_a_market_that_is_played_again_years_later_is_no_wrong_zone() -> None:
    assert not of(trades([2 * 365 * 86_400 * NS] * 50)).clocks[1].wrong


def test_a_rounded_stamp_is_no_wrong_clock() -> None:
    assert not of(trades([-40_000_000, 5_000_000] * 20)).clocks[1].wrong


def test_event_time_that_goes_back_is_counted_once_a_step() -> None:
    found = of(trades([0, 0, 2 * NS, 0, 3 * NS, 0])).back
    [one] = found.values()
    assert (one.symbol, one.kind, one.steps, one.farthest) == ("A", "trade", 2, 2 * NS)
    assert one.first == T0 + 2 * NS


def test_a_message_that_came_out_of_order_is_not_time_going_back() -> None:
    assert of(trades([0, 0, 2 * NS, 0], seqs=[1, 3, 2, 4])).back == {}


def test_two_sources_and_unknown_times_are_no_step_back() -> None:
    one, other = trades([0] * 10), trades([5 * NS] * 10, src=2)
    mixed = from_messages("trade", [m.Trade("A", 0, T0 + i, i + 1, 0, 1, 1.0, 1.0) for i in range(3)])
    mixed = mixed.with_arrays(topic=np.zeros(3, np.int32), offset=np.arange(3))
    assert of(one, other, mixed).back == {}


def test_only_what_lies_behind_all_sources_is_late() -> None:
    late = trades([0] * 200)
    order = np.append(np.arange(1, 200), 0)  # the first one came last
    timing = of(late.take(order).with_arrays(offset=np.arange(200)))
    assert (timing.late, timing.late_first) == (1, T0)
    assert of(late).late == 0
    ahead, behind = trades([0] * 200), trades([0] * 200, src=2)
    both = Columns(
        "trade", ("A",), {name: np.concatenate((ahead[name], behind[name])) for name in ahead.arrays}
    ).with_arrays(offset=np.arange(400))
    assert of(both).late == 0


def test_partitions_of_one_group_each_have_an_order_of_their_own() -> None:
    names = {partition_of(name, 8) % 8: name for name in (f"S{i}" for i in range(100))}
    made = [m.Trade(names[p], 0, T0 + i * 3 * NS, i + 1, i, 1, 1.0, 1.0) for p in (1, 5) for i in range(100)]
    columns = from_messages("trade", made).with_arrays(
        topic=np.zeros(200, np.int32), offset=np.concatenate((np.arange(100), np.arange(100) * 10))
    )
    alone = Timing(60 * NS, counts={0: 8})
    alone.take(columns, OF, ())
    assert alone.late == 0
    together = Timing(60 * NS)
    together.take(columns, OF, ())
    assert together.late > 0
