"""Bus to acknowledgement: counted when a chunk and all before it are acknowledged in every lane."""

from __future__ import annotations

from tapedeck.metrics import BOUNDS
from tapedeck.slices import NS
from tapedeck.tape import latency
from tapedeck.tape.latency import Latency


def counted(of: Latency) -> dict[float, float]:
    """Records by their bucket's upper bound."""
    bounds = [*BOUNDS, float("inf")]
    return {bound: n for bound, n in zip(bounds, of.buckets.counts, strict=True) if n}


def test_a_chunk_counts_once_all_its_lanes_are_acknowledged() -> None:
    of = Latency()
    of.mark([3, 2], 10 * NS)
    of.mark([3, 2], 11 * NS)  # nothing new was sent
    of.mark([4, 2], 12 * NS)
    of.take([3, 1], 13 * NS)
    assert counted(of) == {}
    of.take([3, 2], 14 * NS)
    assert counted(of) == {5.0: 5}
    of.take([4, 2], 12 * NS + NS // 2)
    assert counted(of) == {5.0: 5, 0.5: 1}
    assert of.buckets.sum == 4.0 * 5 + 0.5


def test_a_wall_clock_behind_the_stamps_counts_as_no_time() -> None:
    of = Latency()
    of.mark([1], 10 * NS)
    of.take([1], 9 * NS)
    assert (counted(of), of.buckets.sum) == ({BOUNDS[0]: 1}, 0)


def test_a_long_outage_keeps_so_many_marks_and_loses_no_record() -> None:
    of = Latency()
    for n in range(1, latency.MOST_MARKS + 501):
        of.mark([n], n * NS)
    of.take([latency.MOST_MARKS - 1], 0)
    assert sum(of.buckets.counts) == latency.MOST_MARKS - 1
    of.take([latency.MOST_MARKS + 499], 0)
    assert sum(of.buckets.counts) == latency.MOST_MARKS - 1, "what counts together waits for its last record"
    of.take([latency.MOST_MARKS + 500], 0)
    assert sum(of.buckets.counts) == latency.MOST_MARKS + 500
