"""Partition groups: a symbol is in one whatever topic it was published to, and each record is read once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tapedeck.log.plan import Claim, Plan, Range, claims_of, from_json
from tapedeck.partitions import homes, of_groups, partition_of
from tapedeck.slices import Slice

SYMBOLS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
GROUPS = st.integers(1, 24)
FACTORS = st.lists(st.integers(2, 5), max_size=3)


def counts_of(groups: int, factors: list[int]) -> list[int]:
    """Partition counts of a log: of the backfill topic, the first live one, and those grown into."""
    counts = [groups, groups]
    for factor in factors:
        counts.append(counts[-1] * factor)
    return counts


@given(SYMBOLS, GROUPS, FACTORS)
def test_a_symbol_stays_in_its_group_however_often_the_log_grows(
    symbol: str, groups: int, factors: list[int]
) -> None:
    home = partition_of(symbol, groups)
    for count in counts_of(groups, factors):
        assert partition_of(symbol, count) % groups == home
        assert partition_of(symbol, count) in of_groups([home], groups, count)


@given(GROUPS, FACTORS)
def test_every_partition_of_every_topic_is_in_exactly_one_group(groups: int, factors: list[int]) -> None:
    for count in counts_of(groups, factors):
        found = [p for group in range(groups) for p in of_groups([group], groups, count)]
        assert sorted(found) == list(range(count))


@given(st.lists(SYMBOLS, min_size=1, unique=True), GROUPS)
def test_homes_of_many_are_each_ones_own(symbols: list[str], count: int) -> None:
    codes = np.arange(len(symbols))[::-1]
    assert homes(symbols, codes, count).tolist() == [partition_of(s, count) for s in reversed(symbols)]


@given(SYMBOLS, GROUPS, FACTORS)
def test_of_a_groups_claims_a_window_has_one_a_topic_its_symbols_own(
    symbol: str, groups: int, factors: list[int]
) -> None:
    plan = plan_of(counts_of(groups, factors))
    home = partition_of(symbol, groups)
    claims = claims_of(symbol, plan.claimed(home))
    assert [c.topic_id for c in claims] == [f"t{n}" for n in range(2 + len(factors))]
    assert [c.partition for c in claims] == [partition_of(symbol, c.count) for c in claims]
    assert plan.holds(symbol)


@given(GROUPS, FACTORS)
def test_a_plans_groups_share_out_its_ranges(groups: int, factors: list[int]) -> None:
    plan = plan_of(counts_of(groups, factors))
    assert plan.groups == list(range(groups))
    assert sorted(map(str, plan.ranges)) == sorted(str(r) for g in plan.groups for r in plan.of(g))


def test_a_plan_that_was_stored_before_topics_said_their_counts_reads_as_it_did() -> None:
    new = plan_of([4, 4])
    text = new.to_json().replace(b',"count":4', b"")
    old = from_json(text)
    assert old.to_json() == text  # so its digest, by which it is stored, is what it was
    assert [old.count_of(r) for r in old.ranges] == [4] * 8
    assert [len(old.of(group)) for group in range(4)] == [2] * 4


def plan_of(counts: list[int]) -> Plan:
    """A plan over topics t0 (the backfill topic), t1 and so on, of so many partitions each."""
    places = [(f"t{n}", p, count) for n, count in enumerate(counts) for p in range(count)]
    return Plan(
        vendor="v", slice=Slice(0, 1), margin=0, partitions=counts[0],
        ranges=tuple(
            Range(
                topic=name, topic_id=name, number=0, partition=p, start=0, stop=1, start_reason="exact",
                stop_reason="exact", count=count,
            )
            for name, p, count in places
        ),
        claims=tuple(Claim(topic_id=t, partition=p, start=0, next=1, count=count) for t, p, count in places),
    )  # fmt: skip
