"""A window is a pure function of the log: batches and order of arrival don't matter (DESIGN §2.3)."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapedeck import digest
from tapedeck import message as m
from tapedeck.columns import Columns, concat, from_messages
from tapedeck.log.plan import Claim
from tapedeck.message import KINDS, Trade, Void
from tapedeck.slices import Slice
from tapedeck.store.documents import documents
from tapedeck.store.window import Tally, beyond, build, build_windows, onto, tally_of

MS = 1_000_000
SPAN = Slice(1000 * MS, 2000 * MS)
MARGIN = 100 * MS
LIVE, BACKFILL = 3, 4
CLAIMS = (Claim(topic_id="live", partition=0, start=0, next=100),)

price = st.sampled_from([1.0, 2.0])
levels = st.lists(st.tuples(price, price), max_size=3)
common: dict[str, st.SearchStrategy[Any]] = {
    "symbol": st.sampled_from(["A", "B"]),
    "ts_event": st.just(0),
    "ts_recv": st.integers(850, 2150).map(lambda ms: ms * MS),
    "seq": st.integers(0, 6),
    "prev": st.just(0),
    "src": st.sampled_from([1, 2, 1007]),
}
message = st.builds(Trade, **common, price=price, size=st.just(1.0))
of_kind: dict[str, st.SearchStrategy[Any]] = {
    "trade": message,
    "quote": st.builds(m.Quote, **common, bid=price, ask=price),
    "book": st.builds(m.Book, **common, snapshot=st.integers(0, 1), bids=levels, asks=levels),
    "status": st.builds(m.Status, **common, code=st.integers(0, 5), text=st.sampled_from(["", "up"])),
    "fields": st.builds(m.Fields, **common, fields=st.dictionaries(st.sampled_from(["a", "b"]), price)),
}
topic = st.sampled_from([LIVE, BACKFILL])
placed = st.lists(st.tuples(message, topic), max_size=25)
void = st.builds(
    Void, symbol=st.sampled_from(["A", "*"]), ts_event=st.just(0), ts_recv=st.just(1200 * MS), seq=st.just(0),
    prev=st.just(0), src=st.sampled_from([1, 2]), end=st.just(1500 * MS), before=st.just(10),
)  # fmt: skip


def record(message: Any, kind: str, topic: int, offset: int) -> Columns:
    return from_messages(kind, [message]).with_arrays(
        topic=np.array([topic], np.int32), offset=np.array([offset], np.int64)
    )


def built(parts: list[Columns], voids: Columns | None, kind: str = "trade") -> dict[str, Any]:
    return build_windows(
        SPAN, concat(kind, parts), voids, MARGIN,
        partition=0, claims=CLAIMS, backfills=frozenset({BACKFILL}),
    )  # fmt: skip


def stored(windows: dict[str, Any]) -> dict[str, Any]:
    """Documents without what names the build."""
    return {
        symbol: [{k: v for k, v in d.items() if k != "build"} for d in documents(window, "test")]
        for symbol, window in windows.items()
    }


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(st.data(), st.none() | void, st.randoms(use_true_random=False), st.booleans())
def test_any_cutting_and_any_order_of_arrival_make_the_same_documents(
    kind: str, data: st.DataObject, voided: Void | None, rng: random.Random, twice: bool
) -> None:
    messages = data.draw(st.lists(st.tuples(of_kind[kind], topic), max_size=25))
    parts = [record(m, kind, topic, offset) for offset, (m, topic) in enumerate(messages)]
    voids = record(voided, "void", BACKFILL, 30) if voided else None
    expected = stored(built(parts, voids, kind))
    shuffled = parts + parts[: len(parts) // 2] if twice else list(parts)
    rng.shuffle(shuffled)
    cuts = sorted(rng.randrange(len(shuffled) + 1) for _ in range(rng.randrange(4)))
    batches = [concat(kind, shuffled[a:b]) for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    assert stored(built(batches, voids, kind)) == expected


@settings(deadline=None)
@given(placed, st.none() | void)
def test_every_message_of_the_window_is_in_exactly_one_place(
    messages: list[tuple[Trade, int]], voided: Void | None
) -> None:
    parts = [record(m, "trade", topic, offset) for offset, (m, topic) in enumerate(messages)]
    voids = record(voided, "void", BACKFILL, 30) if voided else None
    total = Tally()
    for window in built(parts, voids).values():
        for columns, tally in zip(
            (window.kept, window.duplicates, window.voided), window.tallies, strict=True
        ):
            assert tally == tally_of(columns)
            total += tally
    inside = [p for p in parts if SPAN.start <= int(p["ts_recv"][0]) < SPAN.end]
    assert total == Tally(len(inside), digest.add(*(digest.digest(p) for p in inside)))


@settings(deadline=None)
@given(placed)
def test_all_symbols_at_once_is_each_symbol_alone(messages: list[tuple[Trade, int]]) -> None:
    parts = [record(m, "trade", topic, offset) for offset, (m, topic) in enumerate(messages)]
    together = built(parts, None)
    for symbol, window in together.items():
        alone = build(
            symbol, SPAN, concat("trade", parts), None, MARGIN,
            partition=0, claims=CLAIMS, backfills=frozenset({BACKFILL}),
        )  # fmt: skip
        assert stored({symbol: alone}) == stored({symbol: window})


def trade(ms: int, seq: int, src: int = 1) -> Trade:
    return Trade("A", 0, ms * MS, seq, seq - 1, src, 1.0, 1.0)


def test_margins_judge_but_are_not_stored() -> None:
    first = record(trade(995, 7, src=1), "trade", LIVE, 0)
    copy = record(trade(1001, 7, src=2), "trade", LIVE, 1)
    window = built([first, copy], None)["A"]
    assert [t.messages for t in window.tallies] == [0, 1, 0]


def test_of_sequences_that_begin_anew_at_once_two_collectors_copies_are_one() -> None:
    """The venue counts from 1 again within the margin: the n-th of a seq is the n-th of the other's."""
    seqs = [1, 2, 3, 1, 2, 3, 4]
    parts = [
        record(trade(1500 + 10 * i + src, seq, src), "trade", LIVE, 2 * i + src)
        for i, seq in enumerate(seqs)
        for src in (1, 2)
    ]
    window = built(parts, None)["A"]
    assert window.kept["seq"].tolist() == seqs
    assert set(window.kept["src"].tolist()) == {1}
    assert [t.messages for t in window.tallies] == [7, 7, 0]


def test_rows_are_in_order_of_receipt_topic_and_offset() -> None:
    parts = [
        record(trade(1500, 0, src=1), "trade", BACKFILL, 2),
        record(trade(1500, 0, src=2), "trade", LIVE, 9),
        record(trade(1400, 0, src=3), "trade", LIVE, 10),
    ]
    kept = built(parts, None)["A"].kept
    assert kept["offset"].tolist() == [10, 9, 2]


def test_a_cut_log_adds_what_lies_past_the_stored_document_and_takes_nothing_away() -> None:
    old = built([record(trade(1100 + i, i + 1), "trade", LIVE, i) for i in range(5)], None)["A"]
    past = [(trade(1104, 5), 4), (trade(1104, 5), 100), (trade(1200, 6), 101)]
    tail = concat("trade", [record(message, "trade", LIVE, offset) for message, offset in past])
    fresh = beyond([(SPAN, {LIVE: 100})], tail)
    assert fresh["offset"].tolist() == [100, 101]
    again = build(
        "A", SPAN, concat("trade", [old.kept, fresh]), None, MARGIN, partition=0,
        claims=(Claim(topic_id="live", partition=0, start=80, next=102),),
    )  # fmt: skip
    window = onto(again, old.build, (Tally(5, 1), Tally(3, 9), Tally(2, 4)), CLAIMS, partial=False)
    assert window.kept["seq"].tolist() == [1, 2, 3, 4, 5, 6]
    assert [t.messages for t in window.tallies] == [6, 1 + 3, 2]
    assert window.claims == (Claim(topic_id="live", partition=0, start=0, next=102),)
