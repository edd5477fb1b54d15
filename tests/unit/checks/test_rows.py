"""Rows against rows: missing, extra and different ones, each with its values."""

from __future__ import annotations

import numpy as np

from tapedeck import message as m
from tapedeck.checks.rows import diff
from tapedeck.columns import Columns, empty, from_messages
from tapedeck.slices import NS

T0 = 1_723_161_600 * NS
COUNTS = {3: 3, 0: 3}
"""By topic number, its partitions; of three the symbol A lives in partition 1."""


def trades(count: int = 20) -> Columns:
    made = [m.Trade("A", 0, T0 + i * NS, i + 1, i, 1, 100.0 + i, 1.0, 1) for i in range(count)]
    whole = from_messages("trade", made)
    return whole.with_arrays(topic=np.full(count, 3, np.int32), offset=np.arange(count) * 2)


def test_equal_rows_do_not_differ_whatever_their_order() -> None:
    whole = trades()
    assert diff(whole, whole.take(np.arange(20)[::-1]), "A", COUNTS).messages == 0


def test_each_sort_is_counted_and_shown_with_its_values() -> None:
    log = trades()
    price = log["price"].copy()
    price[4] = 7.5
    arctic = log.with_arrays(price=price).take(np.array([0, 1, 1, *range(3, 20)]))
    extra = log.with_arrays(offset=log["offset"] + 1).take(np.array([9]))
    both = Columns("trade", ("A",), {n: np.concatenate((arctic[n], extra[n])) for n in arctic.arrays})
    found = diff(log, both, "A", COUNTS)
    assert (found.missing, found.extra, found.different, found.messages) == (1, 2, 1, 4)
    missing, *more, changed = found.rows
    place = "topic 3 partition 1 offset 4 at 2024-08-09T00:00:02Z"
    assert missing.line.startswith(f"missing in Arctic {place}: ts_event=0 ts_recv={T0 + 2 * NS} seq=3")
    assert [(row.sort, row.offset) for row in more] == [("extra", 2), ("extra", 19)]
    assert changed.line.endswith("offset 8 at 2024-08-09T00:00:04Z: price 104.0 in the log, 7.5 in Arctic")


def test_a_window_that_one_side_lacks() -> None:
    assert diff(trades(), empty("trade"), "A", COUNTS).missing == 20
    assert diff(empty("trade"), trades(), "A", COUNTS).extra == 20
    assert len(diff(trades(), empty("trade"), "A", COUNTS).rows) == 5


def test_a_level_of_a_book_that_changed_is_seen() -> None:
    def book(size: float) -> Columns:
        whole = from_messages("book", [m.Book("A", 0, T0, 5, 4, 1, 0, [(1.0, size)], [])])
        return whole.with_arrays(topic=np.zeros(1, np.int32), offset=np.zeros(1, np.int64))

    [row] = diff(book(2.0), book(3.0), "A", COUNTS).rows
    assert (row.log, row.arctic) == ({"bids": [[1.0, 2.0]]}, {"bids": [[1.0, 3.0]]})
