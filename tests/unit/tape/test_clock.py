"""The one clock: receipt times strictly increase and leave room for every k."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tapedeck.clock import STEP, Clock, Stamps

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND


class HandClock(Clock):
    """Moved by hand; the wall clock may be put anywhere."""

    def __init__(self) -> None:
        self.now, self.wall_now = 5 * SECOND, NOW

    def advance(self, ns: int, wall: int | None = None) -> None:
        self.now += ns
        self.wall_now += ns if wall is None else wall

    def monotonic(self) -> int:
        return self.now

    def wall(self) -> int:
        return self.wall_now


def test_the_first_stamp_is_the_wall_clocks_time() -> None:
    assert Stamps(clock=HandClock()).take() == NOW


def test_a_stamp_is_never_within_the_bytes_of_the_one_before() -> None:
    stamps = Stamps(clock=HandClock())
    assert [stamps.take(100), stamps.take(0), stamps.take(1)] == [NOW, NOW + 100, NOW + 101]


def test_a_new_taper_starts_above_the_last_stamp_issued_even_where_the_clock_was_set_back() -> None:
    assert Stamps(above=NOW + 7 * SECOND, clock=HandClock()).take() == NOW + 7 * SECOND + 1


def test_a_step_of_the_wall_clock_never_turns_stamps_back() -> None:
    clock = HandClock()
    stamps = Stamps(clock=clock)
    before = stamps.take()
    clock.advance(SECOND, wall=-3600 * SECOND)
    stamps.slew()
    after = stamps.take()
    assert before < after < before + SECOND


def test_a_small_error_is_taken_out_at_500_ppm_and_no_further_than_to_zero() -> None:
    clock = HandClock()
    stamps = Stamps(clock=clock)
    clock.advance(SECOND, wall=SECOND + 700_000)
    assert stamps.slew() == 200_000
    clock.advance(SECOND)
    assert stamps.slew() == 0
    assert stamps.take() == clock.wall()


def test_after_a_suspend_the_lost_time_is_caught_up() -> None:
    clock = HandClock()
    stamps = Stamps(clock=clock)
    clock.advance(SECOND, wall=10 * SECOND)
    seconds = 0
    while abs(stamps.slew()) >= STEP:
        clock.advance(SECOND)
        seconds += 1
    assert seconds < 9 * 20


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(-(10**12), 10**12), st.integers(0, 10**6))))
def test_whatever_the_clocks_do_no_two_messages_share_a_time(
    events: list[tuple[int, int, int]],
) -> None:
    clock = HandClock()
    stamps = Stamps(clock=clock)
    floor = 0
    for monotonic, wall, size in events:
        clock.advance(monotonic, wall)
        stamps.slew()
        stamp = stamps.take(size)
        assert stamp >= floor
        floor = stamp + max(1, size)
