"""What was replaced is kept: a read as of a time gives what a reader saw then (DESIGN §2.8)."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from tapedeck.errors import BadInput
from tapedeck.settings import Settings, Store
from tapedeck.slices import NS
from tapedeck.store import database, generations, library
from tapedeck.store.documents import Outcome
from tapedeck.store.library import Library
from tapedeck.store.read import read
from tapedeck.store.window import CODE_VERSION
from tests.integration.test_documents import SPAN, put, standing, window

LIBRARY = "binance_usdm.trade"


@pytest.fixture
def trades(settings: Settings) -> Library:
    return library.ensure(settings, "binance_usdm")["trade"]


def now(trades: Library) -> int:
    """The server's clock (ns), with some ms between what was done before and what will be done."""
    time.sleep(0.01)
    found = int(database.server_time(trades.collection).timestamp() * 1000) * 1_000_000
    time.sleep(0.01)
    return found


def seen(settings: Settings, as_of: int, symbol: str = "BTCUSDT") -> int:
    frame = read(LIBRARY, symbol, SPAN.start, SPAN.end, as_of=as_of, settings=settings)
    return int(frame.attrs["messages"])


def test_each_time_gives_what_stood_then_through_every_kind_of_replacement(
    settings: Settings, trades: Library
) -> None:
    saw: list[tuple[int, int]] = [(now(trades), 0)]
    steps: list[tuple[int, dict[str, Any]]] = [
        (3, {}), (5, {}), (3000, {"limit": 20_000}), (3100, {"limit": 20_000}), (0, {}), (7, {}), (7, {}),
    ]  # fmt: skip
    for read_through, (rows, more) in enumerate(steps, 10):
        put(trades, window(rows, {"live": read_through}), **more)
        saw.append((now(trades), rows))
    for at, rows in saw[1:]:
        assert seen(settings, at) == rows
    with pytest.raises(BadInput, match="holds nothing of a symbol 'NONE'"):
        seen(settings, saw[0][0], "NONE")
    assert seen(settings, saw[0][0]) == 0
    assert len(list(trades.collection.find({"sy": "BTCUSDT"}))) == 1  # the library itself holds one


def test_a_time_that_is_forgotten_or_to_come_is_refused(settings: Settings, trades: Library) -> None:
    put(trades, window(3, {"live": 1}))
    with pytest.raises(BadInput, match=r"replaced windows are kept for 30d \(store.keep_age\)"):
        seen(settings, now(trades) - 31 * 86_400 * NS)
    with pytest.raises(BadInput, match="yet to come"):
        seen(settings, now(trades) + 60 * NS)


def test_the_age_limit_is_the_servers_and_follows_the_settings(settings: Settings, trades: Library) -> None:
    for limit, seconds in (("30d", 30 * 86_400), ("2h", 7200)):
        changed = structs.replace(settings, store=Store(keep_age=limit))
        generations.ensure(changed)
        indexes = database.collection(settings, generations.COLLECTION).index_information()
        assert indexes["replaced_1"]["expireAfterSeconds"] == seconds


def test_times_are_the_servers_and_rise_though_its_clock_is_set_back(trades: Library) -> None:
    put(trades, window(3, {"live": 1}))
    ahead = database.server_time(trades.collection) + timedelta(hours=1)
    trades.collection.update_one({}, {"$set": {"at": ahead}})
    put(trades, window(4, {"live": 2}))
    assert standing(trades)[0].document["at"] == ahead + timedelta(milliseconds=1)


def test_older_code_neither_replaces_nor_keeps_anything(trades: Library) -> None:
    put(trades, window(3, {"live": 50}))
    trades.collection.update_one({}, {"$set": {"code": CODE_VERSION + 1}})
    assert put(trades, window(4, {"live": 60})) == [Outcome.OUTDATED]
    assert trades.earlier.count_documents({}) == 0
    trades.collection.update_one({}, {"$set": {"code": CODE_VERSION - 1}})
    assert put(trades, window(3, {"live": 50})) == [Outcome.WRITTEN]  # the same content, by newer code
    assert trades.earlier.count_documents({"code": CODE_VERSION - 1}) == 1


def test_in_races_no_generation_is_lost(trades: Library) -> None:
    """Six writers of the same ten windows, each build newer than the one before: all that stood is kept."""
    symbols = [f"S{n}" for n in range(10)]
    threads = []
    for turn in range(6):
        builds = [window(turn + 1, {"live": 10 + turn}, symbol) for symbol in symbols]
        random.Random(turn).shuffle(builds)
        threads.append(threading.Thread(target=put, args=(trades, *builds)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for symbol in symbols:
        stands = standing(trades, symbol)[0].document
        kept = list(trades.earlier.find({"sy": symbol}).sort("generation", 1))
        before = list(range(1, stands["generation"]))  # and what stands, where a writer came who was refused
        assert [d["generation"] for d in kept] in (before, [*before, stands["generation"]]), symbol
        assert stands["kept"]["n"] == 6


def test_a_library_of_another_name_keeps_its_own(settings: Settings, trades: Library) -> None:
    other = dataclasses.replace(trades, vendor="copy_binance_usdm")
    put(trades, window(3, {"live": 1}))
    put(trades, window(4, {"live": 2}))
    assert generations.as_of(other, ["BTCUSDT"], SPAN, now(trades))[0]["kept"]["n"] == 4
    assert trades.earlier.find_one({"library": other.name}) is None
