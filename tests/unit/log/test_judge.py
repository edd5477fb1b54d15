"""Judging: void, then resend, then copy, against a plain reading of DESIGN §2.6 one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tapedeck import message as m
from tapedeck.columns import Columns, from_messages
from tapedeck.log.judge import judge

MARGIN = 30


def columns(*messages: m.Message, topic: int = 3) -> Columns:
    count = len(messages)
    kind = {m.Trade: "trade", m.Book: "book", m.Status: "status", m.Void: "void"}[type(messages[0])]
    return from_messages(kind, messages).with_arrays(
        topic=np.full(count, topic, np.int32), offset=np.arange(count, dtype=np.int64)
    )


def trade(ts: int, seq: int, src: int = 1, symbol: str = "A") -> m.Trade:
    return m.Trade(symbol, 0, ts, seq, 0, src, 1.0, 1.0)


def names(part: Columns) -> list[tuple[int, int]]:
    return list(zip(part["src"].tolist(), part["ts_recv"].tolist(), strict=True))


def test_the_first_of_one_name_stays() -> None:
    judged = judge({"trade": columns(trade(1, 1), trade(2, 2), trade(1, 1), trade(3, 3))}, None, MARGIN)[
        "trade"
    ]
    assert judged.kept["offset"].tolist() == [0, 1, 3]
    assert judged.duplicates["offset"].tolist() == [2]


def test_identical_ticks_of_one_source_are_never_copies() -> None:
    judged = judge({"trade": columns(*(trade(ts, 7) for ts in (1, 2, 3)))}, None, MARGIN)["trade"]
    assert len(judged.kept) == 3


def test_the_lowest_source_wins_within_the_margin() -> None:
    messages = [trade(100, 1), trade(100 + MARGIN, 1, 2), trade(101 + 2 * MARGIN, 1, 3), trade(5, 9, 2)]
    judged = judge({"trade": columns(*messages)}, None, MARGIN)["trade"]
    assert names(judged.kept) == [(1, 100), (3, 161), (2, 5)]


def test_the_nth_is_like_the_nth_where_a_source_repeats_one() -> None:
    messages = [trade(10, 1), trade(11, 1, 2), trade(12, 1), trade(13, 1, 2), trade(14, 1, 2)]
    judged = judge({"trade": columns(*messages)}, None, MARGIN)["trade"]
    assert names(judged.kept) == [(1, 10), (1, 12), (2, 14)]


def test_a_snapshot_is_no_copy_of_a_change_and_a_status_of_none() -> None:
    books = [m.Book("A", 0, 1, 5, 0, 1, 1), m.Book("A", 0, 2, 5, 0, 2, 0)]
    assert len(judge({"book": columns(*books)}, None, MARGIN)["book"].kept) == 2
    statuses = [m.Status("A", 0, 1, 5, 0, 1, 1), m.Status("A", 0, 2, 5, 0, 2, 1)]
    assert len(judge({"status": columns(*statuses)}, None, MARGIN)["status"].kept) == 2


def test_a_void_takes_its_source_and_slice_only_and_a_voided_message_hides_no_copy() -> None:
    messages = [trade(10, 1), trade(11, 1, 2), trade(20, 2), trade(12, 3, symbol="B")]
    void = m.Void("A", 0, 10, 0, 0, 1, 20)
    judged = judge({"trade": columns(*messages)}, columns(void), MARGIN)["trade"]
    assert names(judged.voided) == [(1, 10)]
    assert names(judged.kept) == [(2, 11), (1, 20), (1, 12)]


def test_a_void_in_the_backfill_topic_spares_what_came_after() -> None:
    messages = columns(trade(10, 1), trade(11, 2), trade(10, 1), topic=9)
    void = columns(m.Void("*", 0, 0, 0, 0, 1, 100, 2), topic=9)
    judged = judge({"trade": messages}, void, MARGIN, frozenset({9}))["trade"]
    assert judged.voided["offset"].tolist() == [0, 1]
    assert judged.kept["offset"].tolist() == [2]


@given(
    st.lists(
        st.tuples(st.integers(1, 200), st.integers(0, 4), st.integers(1, 2), st.sampled_from("AB")),
        max_size=25,
        unique_by=lambda row: (row[0], row[2]),
    )
)
def test_two_sources_are_judged_as_one_by_one(rows: list[tuple[int, int, int, str]]) -> None:
    messages = [trade(ts, seq, src, symbol) for ts, seq, src, symbol in rows]
    if not messages:
        return
    judged = judge({"trade": columns(*messages)}, None, MARGIN)["trade"]
    assert sorted(judged.duplicates["offset"].tolist()) == sorted(plain_copies(messages))
    assert sorted([*judged.kept["offset"].tolist(), *judged.duplicates["offset"].tolist()]) == list(
        range(len(messages))
    )


def plain_copies(messages: list[m.Trade]) -> list[int]:
    """Copies found one by one: runs of likes no further apart than the margin, n-th with n-th."""
    copies = []
    for symbol, seq in {(one.symbol, one.seq) for one in messages if one.seq}:
        likes = sorted(
            (i for i, one in enumerate(messages) if (one.symbol, one.seq) == (symbol, seq)),
            key=lambda i: messages[i].ts_recv,
        )
        runs: list[list[int]] = [[likes[0]]]
        for before, here in pairwise(likes):
            if messages[here].ts_recv - messages[before].ts_recv > MARGIN:
                runs.append([])
            runs[-1].append(here)
        for run in runs:
            first = [i for i in run if messages[i].src == 1]
            second = [i for i in run if messages[i].src == 2]
            for low, high in zip(first, second, strict=False):
                if abs(messages[low].ts_recv - messages[high].ts_recv) <= MARGIN:
                    copies.append(high)
    return copies
