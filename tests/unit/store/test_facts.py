"""Facts are a pure function of the log: however it is cut into batches, their sum is the digest's own."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapedeck import digest
from tapedeck import message as m
from tapedeck.log.decode import decode_records
from tapedeck.log.plan import Range
from tapedeck.log.read import Records
from tapedeck.packed import pack
from tapedeck.store.facts import CONTROL, UNDECODABLE, Seen, added, facts, joined, missing, seen, total, union

MINUTE = 60 * 10**9
KINDS = [m.Trade("A", 0, 1, 1, 0, 1, 1.0, 1.0), m.Quote("B", 0, 1, 1, 0, 1, 1.0, 2.0)]
START = 1000


def batch(values: list[bytes], minutes: list[int], start: int) -> Seen:
    stamps = np.array([minute * 60_000 for minute in minutes], np.int64)
    r = Range(
        topic="t", topic_id="i", number=3, partition=0, start=start, stop=start + len(values),
        start_reason="exact", stop_reason="exact",
    )  # fmt: skip
    records = Records(
        r, np.arange(start, start + len(values)), stamps, pack([b""] * len(values)), pack(values)
    )
    return seen(records, decode_records(records, 1))


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[bytes], list[int]]:
    minutes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=30))
    values = []
    for i, minute in enumerate(minutes):
        which, ns = draw(st.integers(0, 4)), minute * MINUTE
        if which == 0:
            values.append(m.encode(m.Trade("A", 0, ns, i, 0, 1, 1.0 + i, 1.0)))
        elif which == 1:
            values.append(m.encode(m.Quote("B", 0, ns, i, 0, 2, 1.0 + i, 2.0)))
        elif which == 2:
            values.append(m.encode(m.Heartbeat("*", 0, ns, 0, 0, 1, ns, i)))
        elif which == 3:
            values.append(m.encode(m.Fields("A", 0, ns, i, 0, 1, {"x": float(i)})))
        else:
            values.append(b"\xc1 no message")
    return values, minutes


@settings(deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_any_cutting_gives_the_same_facts(log: tuple[list[bytes], list[int]], rng: random.Random) -> None:
    values, minutes = log
    whole = facts(batch(values, minutes, START))
    cuts = sorted({0, len(values), *(rng.randrange(len(values) + 1) for _ in range(3))})
    parts = [batch(values[a:b], minutes[a:b], START + a) for a, b in itertools.pairwise(cuts)]
    assert added(np.concatenate([facts(part) for part in parts])).tolist() == whole.tolist()
    (again,) = joined(parts)
    assert facts(again).tolist() == whole.tolist()
    assert int(whole["messages"].sum()) == len(values)


@settings(deadline=None)
@given(logs())
def test_a_kinds_facts_sum_to_its_messages_and_digest(log: tuple[list[bytes], list[int]]) -> None:
    values, minutes = log
    of = batch(values, minutes, START)
    rows = facts(of)
    trades = [m.decode(v) for v in values if b"no message" not in v and isinstance(m.decode(v), m.Trade)]
    from tapedeck.columns import from_messages

    count, value = total(rows[rows["what"] == 0])
    assert count == len(trades)
    assert value == (digest.digest(from_messages("trade", trades)) if trades else 0)
    assert total(rows[rows["what"] == UNDECODABLE]) == (sum(b"no message" in v for v in values), 0)
    beats = sum(b"no message" not in v and isinstance(m.decode(v), m.Heartbeat) for v in values)
    assert total(rows[rows["what"] == CONTROL]) == (beats, 0)


def test_sums_carry_through_both_halves() -> None:
    most = np.full(5, 2**64 - 1, np.uint64)
    of = Seen(0, np.ones(5, np.int64), np.zeros(5, np.int8), most, most)
    assert total(facts(of)) == (5, 5 * (2**128 - 1) % 2**128)


@pytest.mark.parametrize(
    ("start", "end", "runs", "gaps"),
    [
        (0, 10, [], [(0, 10)]),
        (0, 10, [(0, 10)], []),
        (2, 8, [(0, 3), (5, 6)], [(3, 5), (6, 8)]),
        (0, 10, [(12, 20)], [(0, 10)]),
        (0, 10, [(8, 20), (3, 4)], [(0, 3), (4, 8)]),
    ],
)
def test_what_is_missing(
    start: int, end: int, runs: list[tuple[int, int]], gaps: list[tuple[int, int]]
) -> None:  # fmt: skip
    assert missing(start, end, runs) == gaps
    assert union([*runs, *gaps, (start, end)]) == union([*runs, (start, end)])
