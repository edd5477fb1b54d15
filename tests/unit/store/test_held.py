"""What a writer holds: positions stay below what is not yet safe, and below nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tapedeck.columns import Columns, from_messages
from tapedeck.log.meta import TopicPin
from tapedeck.message import KINDS, Trade, Void
from tapedeck.slices import NS, Slice
from tapedeck.store.held import Held, Mend, Reach

MINUTE = 60 * NS
T0 = 28_000_000 * MINUTE
LIVE, BACKFILL = ("live", 0), ("backfill", 0)
PINS = {
    number: TopicPin(
        id=name, name=name, vendor="v", role=name, partitions=1, partitioner="murmur2", number=number
    )
    for number, name in ((3, "live"), (4, "backfill"))
}


@pytest.fixture
def held() -> Held:
    """Two minutes of trades, one a second; the first minute's windows are closed."""
    held = Held(
        partition=0, windows=dict.fromkeys(KINDS, MINUTE), margin=NS,
        reaches={LIVE: Reach("live", 0, 1, 0, 0)}, pins=PINS, closed={},
    )  # fmt: skip
    trades = [Trade("A", 0, T0 + i * NS, i + 1, i, 1, 1.0, 1.0) for i in range(120)]
    columns = from_messages("trade", trades).with_arrays(
        topic=np.full(120, 3, np.int32), offset=np.arange(120, dtype=np.int64)
    )
    held.add(LIVE, {"trade": columns})
    for kind in KINDS:
        held.close(kind, T0 + MINUTE)
    return held


def void(start: int, end: int) -> Columns:
    one = Void("A", 0, start, 0, 0, 1, end, 0, "garbage")
    return from_messages("void", [one]).with_arrays(
        topic=np.array([4], np.int32), offset=np.array([7], np.int64)
    )


def test_a_void_of_closed_windows_holds_the_position_until_they_are_mended(held: Held) -> None:
    held.add_voids(BACKFILL, void(T0, T0 + MINUTE))
    assert held.late.sweeps == [Slice(T0, T0 + MINUTE)]
    assert held.unsafe() == {LIVE: 60, BACKFILL: 7}
    held.late = Mend()
    assert held.unsafe() == {LIVE: 60}


def test_a_void_of_open_windows_holds_the_position_until_they_are_closed(held: Held) -> None:
    held.add_voids(BACKFILL, void(T0 + 30 * NS, T0 + 90 * NS))
    held.late = Mend()
    assert held.unsafe() == {LIVE: 60, BACKFILL: 7}
    for kind in KINDS:
        held.close(kind, T0 + 2 * MINUTE)
    assert held.unsafe() == {}
