"""Sequence chains: every drop is found, nothing else, and recorded markets hold none."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tapedeck import message as m
from tapedeck import vendors
from tapedeck.buses import captured
from tapedeck.checks.gaps import Chains, Head, Missing, Tail, chains, tails
from tapedeck.columns import Columns, from_messages
from tapedeck.message import KIND_OF
from tapedeck.simulate.faults import Deed, commit, parse_faults
from tapedeck.slices import NS
from tests.recorded import SPOT_AFTER, SPOT_BEFORE, USDM_BTC, USDM_ETH, recorded

MARGIN = 30 * NS
T0 = 1_723_161_600 * NS


def columns(kind: str, messages: list[m.Message]) -> Columns:
    made = from_messages(kind, messages)
    return made.with_arrays(topic=np.zeros(len(made), np.int32), offset=np.arange(len(made)))


def trades(*seqs: int, step: int = NS, src: int = 1) -> Columns:
    return columns(
        "trade",
        [m.Trade("A", 0, T0 + i * step, seq, seq - 1, src, 1.0, 1.0) for i, seq in enumerate(seqs)],
    )


def book(*updates: tuple[int, int, int]) -> Columns:
    """Each (prev, seq, snapshot)."""
    return columns(
        "book",
        [m.Book("A", 0, T0 + i * NS, seq, prev, 1, image) for i, (prev, seq, image) in enumerate(updates)],
    )


def ranges(found: Chains) -> list[tuple[int, int]]:
    return [(gap.first, gap.next) for gap in found.missing]


def counts(found: Chains) -> tuple[int, int, int, int]:
    return len(found.missing), len(found.duplicates), len(found.reorders), len(found.resets)


def test_a_whole_chain_has_no_break() -> None:
    assert counts(chains(trades(*range(5, 500)), MARGIN)) == (0, 0, 0, 0)


def test_a_gap_is_named_by_seqs_and_by_its_neighbours_times() -> None:
    found = chains(trades(1, 2, 6, 7), MARGIN)
    assert found.missing == [
        Missing(
            symbol="A", kind="trade", first=3, next=6, start=T0 + NS, end=T0 + 2 * NS, messages=3, exact=True
        )
    ]


@pytest.mark.parametrize(
    ("seqs", "expected"),
    [
        ((1, 2, 2, 3, 4), (0, 1, 0, 0)),
        ((1, 2, 3, 2, 3, 4), (0, 2, 0, 0)),
        ((1, 3, 2, 4), (0, 0, 1, 0)),
        ((1, 3, 4, 5, 2, 6), (0, 0, 1, 0)),
        ((1, 4, 3, 2, 5), (0, 0, 2, 0)),
        ((1, 5, 3, 6), (2, 0, 1, 0)),
        ((1, 3, 2, 3, 4), (0, 1, 1, 0)),
        ((3, 2, 4), (0, 0, 1, 0)),
        ((100, 101, 1, 2, 3), (0, 0, 1, 0)),
    ],
)
def test_duplicates_and_reorders_are_no_gaps(seqs: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if seqs[0] == 100:  # far behind and long after: begun anew, see below
        found = chains(trades(*seqs, step=60 * NS), MARGIN)
        assert counts(found) == (0, 0, 0, 1)
    else:
        assert counts(chains(trades(*seqs), MARGIN)) == expected


def test_seqs_that_begin_again_are_a_reset_though_each_came_before() -> None:
    found = chains(trades(1, 2, 3, 4, 1, 2, 3, 4, step=20 * NS), MARGIN)
    assert counts(found) == (0, 0, 0, 1)


def test_a_status_of_the_vendor_makes_a_jump_a_reset() -> None:
    jump = trades(1, 2, 50, 51)
    assert counts(chains(jump, MARGIN, {"A": [T0 + NS + 5]})) == (0, 0, 0, 1)
    assert counts(chains(jump, MARGIN, {"A": [T0 + 3 * NS]})) == (1, 0, 0, 0)
    assert counts(chains(jump, MARGIN, {"B": [T0 + NS + 5]})) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        (((0, 10, 1), (8, 12, 0), (12, 15, 0)), (0, 0, 0, 0)),  # the snapshot comes first
        (((5, 8, 0), (0, 10, 1), (8, 12, 0)), (0, 0, 0, 0)),  # the change goes on over the snapshot
        (((5, 8, 0), (0, 20, 1), (18, 22, 0), (22, 25, 0)), (0, 0, 0, 1)),  # begun anew from it
        (((5, 8, 0), (0, 20, 1), (21, 25, 0)), (1, 0, 0, 0)),  # prev lies past the snapshot
        (((5, 8, 0), (0, 30, 1), (18, 22, 0)), (1, 0, 0, 0)),  # the snapshot is of later
        (((5, 8, 0), (9, 12, 0)), (1, 0, 0, 0)),
    ],
)
def test_snapshots(updates: tuple[tuple[int, int, int], ...], expected: tuple[int, ...]) -> None:
    assert counts(chains(book(*updates), MARGIN)) == expected


def test_what_a_vendor_does_not_chain_is_not_judged() -> None:
    quotes = [m.Quote("A", 0, T0 + i * NS, i * 7 + 1, 0, 1, 1.0, 2.0) for i in range(9)]
    assert counts(chains(columns("quote", quotes), MARGIN)) == (0, 0, 0, 0)


def test_a_chain_is_held_against_where_it_stood_before() -> None:
    part = trades(10, 11)
    assert chains(part, MARGIN).heads == {"A": Head(9, T0, 1)}
    assert tails(part) == {"A": Tail(11, T0 + NS, 1)}
    assert counts(chains(part, MARGIN, before={"A": Tail(9, T0 - NS)})) == (0, 0, 0, 0)
    [gap] = chains(part, MARGIN, before={"A": Tail(5, T0 - NS)}).missing
    assert (gap.first, gap.next, gap.start, gap.end) == (6, 10, T0 - NS, T0)


def test_each_symbol_has_its_own_chain() -> None:
    mixed = [
        m.Trade(symbol, 0, T0 + i * NS, i + 1, i, 1, 1.0, 1.0)
        for i in range(6)
        for symbol in ("A", "B")
        if (symbol, i) != ("B", 3)
    ]
    [gap] = chains(columns("trade", mixed), MARGIN).missing
    assert (gap.symbol, gap.first, gap.next) == ("B", 4, 5)


# recorded markets


def market(
    vendor: str, *files: str, faults: str = "", seed: int = 1
) -> tuple[dict[str, Columns], list[Deed]]:
    """Messages by kind as a collector stamps them, and what was done to them."""
    deeds: list[Deed] = []
    one = vendors.get(vendor)
    found: dict[str, list[m.Message]] = {}
    at = T0
    for path in map(recorded, files):
        for _, payload in commit(
            parse_faults(faults), seed, captured.read(Path(path)), one.stream_of, deeds.append, lambda _: None
        ):
            at += 1_000_000
            for said in one.normalise(payload, at, 1, "BTCUSDT"):
                if hasattr(said, "ts_recv"):
                    found.setdefault(KIND_OF[type(said)], []).append(said)
    return {kind: columns(kind, messages) for kind, messages in found.items()}, deeds


@pytest.mark.parametrize(
    ("vendor", "files"),
    [
        ("binance_usdm", (USDM_BTC,)),
        ("binance_usdm", (USDM_ETH,)),
        ("binance_spot", (SPOT_BEFORE, SPOT_AFTER)),
    ],
)
def test_recorded_markets_have_no_break_not_even_at_midnight(vendor: str, files: tuple[str, ...]) -> None:
    for kind, whole in market(vendor, *files)[0].items():
        assert counts(chains(whole, MARGIN)) == (0, 0, 0, 0), kind


@pytest.mark.parametrize(
    ("vendor", "files"), [("binance_usdm", (USDM_ETH,)), ("binance_spot", (SPOT_AFTER,))]
)
def test_of_a_faulty_bus_exactly_the_drops_are_missing(vendor: str, files: tuple[str, ...]) -> None:
    faults = "drop=0.004,dup=0.004,reorder=0.004"
    heard, deeds = market(vendor, *files, faults=faults, seed=random.Random(7).randrange(99))
    normalise = vendors.get(vendor).normalise
    for kind in ("trade", "book"):
        said = [(d.fault, x) for d in deeds for x in normalise(d.payload, 1, 1, "BTCUSDT")]
        of_kind = [(fault, x) for fault, x in said if KIND_OF.get(type(x)) == kind]
        dropped = {x.seq for fault, x in of_kind if fault == "drop" and not getattr(x, "snapshot", 0)}
        seqs = heard[kind]["seq"]
        inside = {seq for seq in dropped if seqs.min() < seq < seqs.max()}
        assert len(inside) > 5
        found = chains(heard[kind], MARGIN)
        for seq in inside:  # recall
            assert sum(gap.first <= seq < gap.next for gap in found.missing) == 1, seq
        for gap in found.missing:  # precision
            assert any(gap.first <= seq < gap.next for seq in inside), gap
        if kind == "trade":
            assert sum(gap.messages for gap in found.missing) == len(inside)
        doubled = sum(fault == "dup" and not getattr(x, "snapshot", 0) for fault, x in of_kind)
        assert len(found.duplicates) == doubled
        assert found.resets == []


def test_in_whatever_order_messages_come_the_same_is_found() -> None:
    dice = random.Random(3)
    names = ("A", "B", "C")
    said: list[m.Message] = []
    seqs = dict.fromkeys(names, 1)
    for i in range(600):
        name = dice.choice(names)
        step = 3 if dice.random() < 0.02 else 1
        image = int(dice.random() < 0.05)
        prev = seqs[name] + step - 1
        seqs[name] += step
        said.append(m.Book(name, 0, T0 + i * NS, seqs[name], prev, 1, image))
    ordered = columns("book", said)
    shuffled = ordered.take(np.random.default_rng(1).permutation(len(said)))
    found = chains(ordered, MARGIN)
    assert len(found.missing) > 3
    assert chains(shuffled, MARGIN) == found
    assert tails(shuffled) == tails(ordered)
