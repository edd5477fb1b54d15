"""`store check` names each window that the disk no longer holds as written; `prune` takes no window."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import lz4.block
import pytest

from tapedeck.settings import Settings
from tapedeck.store import database, documents, library, prune, tallies
from tapedeck.store.check import Checked, check
from tapedeck.store.encoder import encode
from tapedeck.store.library import Library
from tests.integration.test_documents import SPAN, put, standing, window
from tests.integration.test_reconcile import altered, doubled, less

VENDOR = "binance_usdm"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "LTCUSDT")


@pytest.fixture
def trades(settings: Settings) -> Library:
    one = library.ensure(settings, VENDOR)["trade"]
    put(one, *(window(60, {"live": 90}, symbol) for symbol in SYMBOLS))
    return one


def looked(settings: Settings) -> Checked:
    return check(settings, VENDOR, SPAN)


def flip(one: Library, column: str) -> None:
    document = standing(one)[0].document
    block = bytearray(document["cs"][column]["d"])
    block[-3] ^= 1
    one.collection.update_one({"_id": document["_id"]}, {"$set": {f"cs.{column}.d": bytes(block)}})


def hide(one: Library) -> None:
    """A row of a column, from stock arctic."""
    document = standing(one)[0].document
    mask = bytearray(lz4.block.decompress(document["cs"]["size"]["m"]))
    mask[1] ^= 4
    change = {"cs.size.m": lz4.block.compress(bytes(mask))}
    one.collection.update_one({"_id": document["_id"]}, {"$set": change})


def rewrite(one: Library, change: Any, honest: bool) -> None:
    stored = standing(one)[0]
    rows = change(stored.rows("trade"))
    fields = encode(rows)
    if honest:
        tally = documents.tally_of(rows)
        fields["kept"] = {"n": tally.messages, "digest": f"{tally.digest:032x}"}
    one.collection.update_one({"_id": stored.id}, {"$set": fields})


WRONG: dict[str, tuple[Callable[[Library], object], str]] = {
    **{
        f"a byte of {column} is flipped": (lambda t, c=column: flip(t, c), "BTCUSDT")  # type: ignore[misc]
        for column in ("price", "size", "side", "seq", "recv_ns", "event_ms", "event_ns")
    },
    "a bit of a column's mask is flipped": (hide, "BTCUSDT"),
    "a row is gone": (lambda t: rewrite(t, less, honest=False), "BTCUSDT"),
    "a row is there twice": (lambda t: rewrite(t, doubled, honest=False), "BTCUSDT"),
    "a row is altered": (lambda t: rewrite(t, altered, honest=False), "BTCUSDT"),
    "a row is gone and the document says so": (lambda t: rewrite(t, less, honest=True), ""),
    "a row is there twice and the document says so": (lambda t: rewrite(t, doubled, honest=True), ""),
    "the document is gone": (lambda t: t.collection.delete_one({"sy": "BTCUSDT"}), "BTCUSDT"),
    "stock arctic would not find it": (
        lambda t: t.collection.update_one({"sy": "BTCUSDT"}, {"$set": {"e": database.date(0)}}), "BTCUSDT",
    ),
    "it is no document of ours": (
        lambda t: t.collection.update_one({"sy": "BTCUSDT"}, {"$unset": {"ranges": 1}}), "BTCUSDT",
    ),
    "its ranges are none": (
        lambda t: t.collection.update_one({"sy": "BTCUSDT"}, {"$set": {"ranges.0.start": 100}}), "BTCUSDT",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_each_wrong_window_is_named_and_no_other(settings: Settings, trades: Library, what: str) -> None:
    assert looked(settings) == Checked(documents=3, messages=180)
    change, symbol = WRONG[what]
    change(trades)
    found = looked(settings)
    named = {(f.library, f.symbol, f.start) for f in found.faults}
    assert named == {("binance_usdm.trade", symbol, SPAN.start)}


def test_parts_of_a_halved_window_belong_together(settings: Settings, trades: Library) -> None:
    put(trades, window(3000, {"live": 99}), limit=20_000)
    assert not looked(settings).faults
    part = standing(trades)[1]
    trades.collection.delete_one({"_id": part.id})
    assert [fault.symbol for fault in looked(settings).faults] == ["BTCUSDT"]
    trades.collection.insert_one(dict(part.document))
    assert not looked(settings).faults
    trades.collection.update_one({"_id": part.id}, {"$set": {"build": "another"}})
    assert [fault.symbol for fault in looked(settings).faults] == ["BTCUSDT"]


def test_beside_writers_nothing_is_found_and_nothing_pruned(settings: Settings, trades: Library) -> None:
    ended = threading.Event()

    def write() -> None:
        turn = 100
        while not ended.is_set():
            turn += 1
            rows, more = (turn * 30, {"limit": 20_000}) if turn % 3 == 0 else (turn, {})
            put(trades, *(window(rows, {"live": turn}, symbol) for symbol in SYMBOLS), **more)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert looked(settings).faults == ()
            assert prune.prune(settings, VENDOR) == prune.Pruned()
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert looked(settings).notes == ()
    (summed,) = tallies.read([trades], SPAN)
    assert not summed.stale
    place = (0, SPAN.start)
    assert summed.tallies == tallies.sums_of(trades, [place])[place][0]


def test_a_writer_that_dies_leaves_a_tally_that_is_summed_again(settings: Settings, trades: Library) -> None:
    with contextlib.suppress(ZeroDivisionError), tallies.marked(trades, [(0, SPAN.start)]):
        trades.collection.delete_one({"sy": "LTCUSDT"})  # as a replacement that got half-way
        raise ZeroDivisionError
    (left,) = tallies.read([trades], SPAN, exact=False)
    assert left.stale
    assert left.tallies[0].messages == 180
    (summed,) = tallies.read([trades], SPAN)
    assert summed.tallies[0].messages == 120


def test_sums_of_many_windows_look_at_no_other_partition_and_no_window_between(trades: Library) -> None:
    put(trades, window(61, {"live": 100}), window(62, {"live": 100}, "ETHUSDT"))
    length, other = trades.window, window(20, {"live": 100}, "XRPUSDT")
    put(trades, replace(other, partition=1))
    places = [(0, SPAN.start), (0, SPAN.start + length), (0, SPAN.start + 5 * length), (1, SPAN.start)]
    found = tallies.sums_of(trades, places)
    assert [found[place][0][0].messages for place in places] == [183, 0, 0, 20]
    assert [sorted(found[place][1]) for place in places] == [[*SYMBOLS], [], [], ["XRPUSDT"]]
    asked = {"p": 1, "s": {"$gte": database.date(SPAN.start // 1_000_000)}}
    assert "p_1_s_1" in str(trades.collection.find(asked).explain()["queryPlanner"]["winningPlan"])
    assert tallies.sums_of(trades, []) == {}


def test_a_slow_sum_does_not_take_the_place_of_a_later_one(trades: Library) -> None:
    """The slow one read the documents before they were replaced and stores what it read after."""
    place = (0, SPAN.start)
    versions: list[Any] = []
    with tallies.marked(trades, [place]):
        slow = tallies._change(tallies.sums_of(trades, [place])[place], None)
        versions.append(trades.tallies.find_one({})["version"])  # type: ignore[index]
        put(trades, window(70, {"live": 200}, "BTCUSDT"))
        done = trades.tallies.update_one({"version": versions[0]}, slow)
        assert done.matched_count == 0
    assert tallies.read([trades], SPAN, exact=False)[0].tallies[0].messages == 190


def test_prune_forgets_old_generations_orphans_and_marks_of_the_dead(
    settings: Settings, trades: Library
) -> None:
    put(trades, window(3000, {"live": 100}), limit=20_000)
    orphan = dict(standing(trades)[1].document)
    put(trades, window(61, {"live": 101}), window(62, {"live": 101}, "ETHUSDT"))
    trades.collection.insert_one(orphan)  # what nothing of ours leaves, but a restored backup may
    long_ago = database.server_time(trades.earlier) - timedelta(days=31)
    trades.earlier.update_one({"sy": "ETHUSDT"}, {"$set": {"replaced": long_ago}})
    marks = {"$set": {"marks": [{"by": "the dead", "at": long_ago}]}}
    trades.tallies.update_one({}, marks)
    expected = prune.Pruned(generations=1, parts=1, marks=1)
    assert prune.prune(settings, VENDOR, plan_only=True) == expected
    assert prune.prune(settings, VENDOR) == expected
    assert prune.prune(settings, VENDOR) == prune.Pruned()
    assert not looked(settings).faults
    assert looked(settings).messages == 61 + 62 + 60
    assert not tallies.read([trades], SPAN, exact=False)[0].stale
    assert trades.earlier.count_documents({}) > 0
