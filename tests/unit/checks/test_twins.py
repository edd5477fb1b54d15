"""Two collectors against each other: exactly what one lacks while it listens, and nothing else."""

from __future__ import annotations

import numpy as np

from tapedeck import message as m
from tapedeck.checks.twins import Twins
from tapedeck.columns import from_messages
from tapedeck.log.judge import judge
from tapedeck.slices import NS, Slice

T0 = 1_723_118_400 * NS
OF = Slice(T0, T0 + 100 * NS)
ALWAYS = [(T0 - 100 * NS, T0 + 200 * NS)]


def taken(lack: dict[int, set[int]], only: dict[int, str] | None = None, lag: int = NS // 50) -> Twins:
    """A trade a second of A and B from collectors 1 and 2, without the seqs that each lacks of A."""
    heard = []
    for i in range(-5, 105):
        for src in (1, 2):
            for symbol in ("A", "B"):
                own = symbol == "A" and i in lack.get(src, ())
                if not own and (only or {}).get(src, symbol) == symbol:
                    at = T0 + i * NS + src * lag
                    heard.append(m.Trade(symbol, 0, at, i + 100, i + 99, src, 1.0, 1.0))
    columns = from_messages("trade", sorted(heard, key=lambda one: one.ts_recv))
    size = len(columns)
    columns = columns.with_arrays(topic=np.zeros(size, np.int32), offset=np.arange(size))
    twins = Twins()
    twins.take(judge({"trade": columns}, None, 30 * NS), OF)
    return twins


def test_what_agrees_is_silent_and_the_lag_is_told() -> None:
    twins = taken({})
    assert twins.lacking({1: ALWAYS, 2: ALWAYS}) == []
    assert twins.lag() == {(1, 2): NS // 50}


def test_what_one_lacks_while_it_listens_is_told_of_it_alone() -> None:
    twins = taken({1: {70}, 2: {10, 11, 12}})
    found = {one.src: one for one in twins.lacking({1: ALWAYS, 2: ALWAYS})}
    assert {src: (one.other, one.messages, one.of, one.symbols) for src, one in found.items()} == {
        1: (2, 1, 197, ("A",)), 2: (1, 3, 199, ("A",)),
    }  # fmt: skip
    assert (found[2].first, found[2].last) == (T0 + 10 * NS + NS // 50, T0 + 12 * NS + NS // 50)


def test_what_was_sent_while_it_did_not_listen_is_held_against_nobody() -> None:
    twins = taken({2: set(range(30, 40))})
    away = [(T0, T0 + 30 * NS), (T0 + 40 * NS, OF.end)]
    assert twins.lacking({1: ALWAYS, 2: away}) == []


def test_a_symbol_that_only_one_subscribes_to_is_no_difference() -> None:
    twins = taken({}, only={2: "A"})
    assert twins.lacking({1: ALWAYS, 2: ALWAYS}) == []
