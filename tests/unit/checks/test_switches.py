"""Where messages without a sequence go over to another source it is said, once a cause."""

from __future__ import annotations

from tapedeck import message as m
from tapedeck.checks.switches import grouped, switches
from tapedeck.columns import Columns, from_messages
from tapedeck.slices import NS, Slice

WHOLE = Slice(0, 10_000 * NS)


def trades(*given: tuple[str, int, int, int]) -> Columns:
    """One of each (symbol, second, source, seq)."""
    made = [m.Trade(symbol, 0, at * NS, seq, 0, src, 1.0, 1.0) for symbol, at, src, seq in given]
    return from_messages("trade", made)


def test_each_symbols_turn_is_found_where_the_other_source_begins() -> None:
    kept = trades(
        ("A", 1, 1, 0), ("B", 2, 2, 0), ("A", 3, 1, 0), ("A", 5, 2, 0), ("B", 6, 2, 0), ("A", 9, 1, 0)
    )
    found = [(s.symbol, s.before, s.after, s.last // NS, s.at // NS) for s in switches(kept, WHOLE)]
    assert found == [("A", 1, 2, 3, 5), ("A", 2, 1, 5, 9)]
    assert [s.at // NS for s in switches(kept, Slice(5 * NS, 9 * NS))] == [5]


def test_what_has_a_sequence_switches_silently() -> None:
    assert switches(trades(("A", 1, 1, 7), ("A", 2, 2, 8), ("A", 3, 1, 9)), WHOLE) == []


def test_many_symbols_at_once_are_one_cause_and_each_direction_its_own() -> None:
    kept = trades(
        ("A", 1, 1, 0), ("B", 1, 1, 0), ("A", 2, 2, 0), ("B", 20, 2, 0), ("A", 30, 1, 0), ("B", 31, 1, 0),
        ("A", 500, 2, 0),
    )  # fmt: skip
    groups = grouped(switches(kept, WHOLE))
    assert [[(s.symbol, s.at // NS) for s in group] for group in groups] == [
        [("A", 2), ("B", 20)], [("A", 500)], [("A", 30), ("B", 31)],
    ]  # fmt: skip
