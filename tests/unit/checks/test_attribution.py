"""Each missing span has exactly one reason: the last hop before which it was known to be there."""

from __future__ import annotations

import pytest

from tapedeck.checks.attribution import Facts, attribute, explained
from tapedeck.checks.gaps import Missing
from tapedeck.checks.heartbeats import Outage, Shortfall
from tapedeck.log.decode import Undecodable
from tapedeck.log.quarantine import Entry
from tapedeck.slices import NS

T0 = 1_723_161_600 * NS
OUT = Outage(src=1, start=T0 + NS, end=T0 + 4 * NS, why="killed")


def gap(first: int = 5, start: float = 1.0, end: float = 3.0, messages: int = 1) -> Missing:
    return Missing(
        symbol="BTCUSDT", kind="trade", first=first, next=first + messages, start=T0 + int(start * NS),
        end=T0 + int(end * NS), messages=messages, exact=True,
    )  # fmt: skip


def entry(at: float = 2.0, payload: bytes = b'{"s":"BTCUSDT"}') -> Entry:
    return Entry(payload, 1, T0 + int(at * NS), 0, "payload is not JSON")


def short(partition: int = 0, messages: int = 2) -> Shortfall:
    return Shortfall(src=1, partition=partition, start=T0 + 2 * NS, end=T0 + 3 * NS, messages=messages)


def bad(at: float = 2.0) -> Undecodable:
    return Undecodable("t", 0, 77, int(T0 + at * NS) // 10**6, "no message")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (Facts(), "upstream"),
        (Facts(unheard=[(OUT, OUT.start, OUT.end)]), "collector"),
        (Facts(unheard=[(OUT, T0 + 9 * NS, T0 + 11 * NS)]), "upstream"),
        (Facts(heard=[(T0, T0 + 9 * NS)]), "upstream"),
        (Facts(heard=[(T0 + 20 * NS, T0 + 30 * NS)]), "upstream"),  # the hole is not longer than a beat
        (Facts(short=[short()]), "publish"),
        (Facts(short=[short(partition=1)]), "upstream"),
        (Facts(short=[short()], unheard=[(OUT, OUT.start, OUT.end)]), "publish"),
        (Facts(undecodable=[bad()]), "publish"),
        (Facts(undecodable=[bad(5.0)]), "upstream"),
        (Facts(quarantined=[entry()]), "quarantine"),
        (Facts(quarantined=[entry(payload=b'{"s":"ETHUSDT"}')]), "upstream"),
        (Facts(quarantined=[entry(5.0)]), "upstream"),
        (Facts(quarantined=[entry()], short=[short()]), "quarantine"),
    ],
)
def test_one_reason(facts: Facts, reason: str) -> None:
    assert attribute(gap(), 0, facts)[0] == reason


def test_a_doubtful_outage_is_no_reason() -> None:
    doubtful = Outage(src=1, start=T0 + NS, end=T0 + 3 * NS, why="late heartbeat", certain=False)
    assert attribute(gap(), 0, Facts(unheard=[(doubtful, T0 + NS, T0 + 3 * NS)]))[0] == "upstream"


def test_time_that_no_source_covers_is_the_collectors() -> None:
    wide = gap(start=0, end=60)
    assert attribute(wide, 0, Facts(heard=[(T0 - NS, T0 + 9 * NS)]))[0] == "collector"


def test_what_has_explained_enough_explains_nothing_more() -> None:
    facts = Facts(quarantined=[entry()], short=[short(messages=2)])
    said = [attribute(gap(first), 0, facts)[0] for first in (5, 7, 9, 11)]
    assert said == ["quarantine", "publish", "publish", "upstream"]
    assert explained(facts, facts.short[0]) == 2


def test_a_gap_that_reaches_over_a_heartbeat_takes_from_both_counts() -> None:
    first = Shortfall(src=1, partition=0, start=T0, end=T0 + 2 * NS, messages=2)
    second = Shortfall(src=2, partition=0, start=T0 + 2 * NS, end=T0 + 4 * NS, messages=2)
    facts = Facts(short=[first, second])
    assert attribute(gap(messages=3), 0, facts)[0] == "publish"
    assert (explained(facts, first), explained(facts, second)) == (2, 1)
