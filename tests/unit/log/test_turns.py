"""A tail's messages without a sequence, heard by two, as they come: once, but where one begins or ends."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tapedeck import message as m
from tapedeck.columns import concat
from tapedeck.log.turns import Turns
from tapedeck.slices import NS
from tests.unit.log.test_owners import MARGIN, TROUBLES, Collector, market, time

Event = tuple[int, int, Any]
"""(when it comes, place in the market's stream or -1, the message or a sign's fields)."""


def events(one: Collector) -> list[Event]:
    """What a collector publishes, in its order."""
    signs = concat("heartbeat", one.signs)
    names = ("src", "ts_recv", "since", "connected", "closing")
    found: list[Event] = [
        (fields[1], -1, fields) for fields in zip(*(signs[name].tolist() for name in names), strict=True)
    ]
    found += [(trade.ts_recv, place, trade) for place, trade in zip(one.heard, one.messages, strict=True)]
    return sorted(found, key=lambda event: event[0])


def handed_out(comes: list[Event]) -> Counter[float]:
    """How often each message of the market is handed out, by its price, of which each has its own."""
    turns, found = Turns(MARGIN, 10**6), Counter[float]()
    for _, place, said in comes:
        if place < 0:
            src, at, since, connected, closing = said
            turns.sign(src, at, since, bool(connected), bool(closing))
        else:
            found.update(one.price for one in turns.message("trade", said) if isinstance(one, m.Trade))
        found.update(one.price for one in turns.due() if isinstance(one, m.Trade))
    return found


@settings(max_examples=15)
@given(TROUBLES, st.integers(0, 10**6), st.floats(2, 20), st.floats(0, 1.5))
def test_either_may_die_pause_be_cut_off_or_come_late(
    troubles: list[tuple[str, float, float, int]], seed: int, rate: float, behind: float
) -> None:
    rng = random.Random(seed)
    collectors = {src: Collector(src, []) for src in (1, 2)}
    at, edges = 40.0, [0.0]
    for what, gap, length, src in troubles:
        collectors[src].trouble.append((what, at + gap, at + gap + length))
        edges += [at + gap, at + gap + length]
        at += gap + length + 40
    times = [when for when, _ in market(rng, at, rate)]
    stream = [(when, m.Trade("A", 0, 0, 0, 0, 0, float(i), 1.0)) for i, when in enumerate(times)]
    late = rng.choice((1, 2))  # the log has this one's records later than the other's
    comes = []
    for one in collectors.values():
        one.hear(stream, rng)
        one.beat(at + 40)
        shift = int(behind * NS) if one.src == late else 0
        comes += [(when + shift, place, said) for when, place, said in events(one)]
    found = handed_out(sorted(comes, key=lambda event: event[0]))
    unsure = [(edge - 1.5, edge + 1.5 + behind) for edge in edges]  # what comes late is not known to be back
    sure = [i for i, t in enumerate(times) if t > 4 + behind and not any(a < t < b for a, b in unsure)]
    assert {i: found[float(i)] for i in sure} == dict.fromkeys(sure, 1)


def test_the_lowest_is_never_kept_waiting_and_a_copy_never_comes() -> None:
    turns = Turns(MARGIN, 100)
    for at in range(3):
        for src in (1, 2):
            turns.sign(src, time(at), time(0), True, False)
    low, high = (m.Trade("A", 0, time(2.5) + src, 0, 0, src, 1.0, 1.0) for src in (1, 2))
    assert list(turns.message("trade", high)) == []
    assert list(turns.message("trade", low)) == [low]
    assert list(turns.due()) == []
    turns.sign(1, time(3), time(0), True, False)
    assert list(turns.due()) == []
    assert not turns.waiting


def test_where_the_lowest_is_not_subscribed_the_other_is_handed_out() -> None:
    turns = Turns(MARGIN, 100)
    for at in range(3):
        turns.sign(1, time(at), time(0), True, False)
    high = m.Trade("B", 0, time(2.5), 0, 0, 2, 1.0, 1.0)
    assert list(turns.message("trade", high)) == []
    turns.sign(1, time(3), time(0), True, False)
    assert list(turns.due()) == [high]
