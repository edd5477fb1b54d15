"""Documents are replaced whole, only forwards, whoever writes when (DESIGN §2.4); stock arctic reads them."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from arctic import Arctic
from arctic.date import DateRange

from tapedeck.columns import from_messages
from tapedeck.errors import Mismatch, Unavailable
from tapedeck.log.plan import Claim
from tapedeck.message import Trade
from tapedeck.settings import Settings, Vendor
from tapedeck.slices import NS, Slice
from tapedeck.store import database, documents, library
from tapedeck.store.documents import Outcome, verdict
from tapedeck.store.library import Library
from tapedeck.store.window import Built, build_windows

START = 1_723_161_000 * NS
SPAN = Slice(START, START + 600 * NS)


@pytest.fixture
def trades(settings: Settings) -> Library:
    return library.ensure(settings, "binance_usdm")["trade"]


def window(rows: int, read: dict[str, int], symbol: str = "BTCUSDT", base: str | None = None) -> Built:
    """A window of so many trades, that has read the topics through the offsets."""
    messages = [
        Trade(symbol, 0, START + i * 1_000_003, i + 1, i, 1, 60_000.0 + i / 10, 0.5, 1) for i in range(rows)
    ] or [Trade(symbol, 0, START - 1, 1, 0, 1, 1.0, 1.0, 1)]
    columns = from_messages("trade", messages).with_arrays(
        topic=np.full(len(messages), 3, np.int32), offset=np.arange(len(messages), dtype=np.int64)
    )
    claims = [Claim(topic_id=t, partition=0, start=0, next=n) for t, n in read.items()]
    found = build_windows(SPAN, columns, None, NS, partition=0, claims=claims)
    from dataclasses import replace

    from tapedeck.store.window import no_messages

    built = found.get(symbol) or no_messages("trade", symbol, SPAN, partition=0, claims=claims)
    return replace(built, base=base)


def put(trades: Library, *builds: Built, **more: Any) -> list[Outcome]:
    return documents.replace(trades, builds, "test", **more)


def standing(trades: Library, symbol: str = "BTCUSDT") -> list[documents.Stored]:
    return documents.load(trades.collection, [symbol], SPAN)


def test_a_build_that_has_read_further_replaces_and_an_older_one_never(trades: Library) -> None:
    assert put(trades, window(3, {"live": 50})) == [Outcome.WRITTEN]
    assert put(trades, window(2, {"live": 40})) == [Outcome.REFUSED]
    assert put(trades, window(4, {"live": 60})) == [Outcome.WRITTEN]
    assert put(trades, window(5, {"backfill": 99})) == [Outcome.REFUSED]  # an absent topic counts as 0
    assert put(trades, window(5, {"live": 60, "backfill": 1})) == [Outcome.WRITTEN]
    (stands,) = standing(trades)
    assert stands.tallies[0].messages == 5
    assert stands.document["generation"] == 3


def test_equal_content_is_not_written_again(trades: Library) -> None:
    put(trades, window(3, {"live": 50}))
    before = standing(trades)[0].document
    assert put(trades, window(3, {"live": 70})) == [Outcome.EQUAL]
    assert standing(trades)[0].document == before


def test_newer_code_stands(trades: Library) -> None:
    put(trades, window(3, {"live": 50}))
    trades.collection.update_one({}, {"$inc": {"code": 1}})
    assert put(trades, window(4, {"live": 60})) == [Outcome.OUTDATED]


def test_an_emptied_window_becomes_a_document_of_no_rows(trades: Library, settings: Settings) -> None:
    put(trades, window(3, {"live": 50}), window(2, {"live": 50}, "ETHUSDT"))
    assert put(trades, window(0, {"live": 60})) == [Outcome.WRITTEN]
    (stands,) = standing(trades)
    assert len(stands.rows("trade")) == 0
    assert stands.document["generation"] == 2
    assert len(stock(settings, ["BTCUSDT", "ETHUSDT"])) == 2


def test_a_build_onto_a_document_is_refused_once_that_document_is_gone(trades: Library) -> None:
    first = window(3, {"live": 50})
    put(trades, first)
    assert put(trades, window(4, {"live": 60})) == [Outcome.WRITTEN]
    assert put(trades, window(5, {"live": 70}, base=first.build)) == [Outcome.REFUSED]
    assert put(trades, window(5, {"live": 70}, base=standing(trades)[0].build)) == [Outcome.WRITTEN]
    assert put(trades, window(1, {"live": 90}, base="")) == [Outcome.REFUSED]  # adds to no document
    assert put(trades, window(1, {"live": 1}, "NEW", base="")) == [Outcome.WRITTEN]
    assert put(trades, window(1, {"live": 1}, "NONE", base="gone")) == [Outcome.REFUSED]
    assert trades.collection.count_documents({}) == 2


@pytest.mark.parametrize("inserted", ["none", "some", "all"])
def test_races_end_with_the_build_that_read_furthest(trades: Library, inserted: str) -> None:
    symbols = [f"S{n}" for n in range(40)]
    threads = []
    for turn in range(6):
        builds = [window(turn + 1, {"live": 10 + turn}, symbol) for symbol in symbols]
        random.Random(turn).shuffle(builds)
        absent = symbols if inserted == "all" or (inserted == "some" and turn % 2) else []
        threads.append(threading.Thread(target=put, args=(trades, *builds), kwargs={"absent": absent}))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for symbol in symbols:
        (stands,) = standing(trades, symbol)
        assert stands.tallies[0].messages == 6, symbol


def test_the_servers_rule_is_the_one_of_verdict(trades: Library) -> None:
    rng = random.Random(7)
    for _ in range(120):
        rows, base = rng.randrange(3), rng.choice([None, None, "", "stale", "standing"])
        read = {t: rng.randrange(3) for t in rng.sample(["a", "b", "c"], rng.randrange(3))}
        stands = trades.collection.find_one({"_id": documents.document_id(START, "BTCUSDT")})
        if base == "standing":
            base = stands["build"] if stands else ""
        new = window(rows, read, base=base)
        expected = verdict(stands, new)
        assert put(trades, new, absent=rng.choice([[], ["BTCUSDT"]])) == [expected]
        after = trades.collection.find_one({"_id": documents.document_id(START, "BTCUSDT")})
        if expected is not Outcome.WRITTEN:
            assert after == stands


def test_a_large_window_is_halved_and_read_and_replaced_as_one(trades: Library, settings: Settings) -> None:
    limit = 20_000
    assert put(trades, window(3000, {"live": 50}), limit=limit) == [Outcome.WRITTEN]
    parts = standing(trades)
    assert len(parts) > 2
    assert sum(p.tallies[0].messages for p in parts) == 3000
    assert [p.span.start for p in parts[1:]] == [p.span.end for p in parts[:-1]]
    frame = stock(settings, "BTCUSDT")
    assert frame["seq"].tolist() == list(range(1, 3001))
    assert put(trades, window(3000, {"live": 60}), limit=limit) == [Outcome.EQUAL]
    assert put(trades, window(2, {"live": 40})) == [Outcome.REFUSED]
    assert put(trades, window(2, {"live": 60})) == [Outcome.WRITTEN]
    assert len(standing(trades)) == 1
    assert len(stock(settings, "BTCUSDT")) == 2


def test_stock_arctic_reads_the_rows(trades: Library, settings: Settings) -> None:
    put(trades, window(100, {"live": 50}))
    frame = stock(settings, "BTCUSDT")
    assert frame["price"].tolist() == [60_000.0 + i / 10 for i in range(100)]
    ns = frame.index.as_unit("ns").asi8 + frame["recv_ns"].to_numpy(np.int64)
    assert ns.tolist() == [START + i * 1_000_003 for i in range(100)]


def test_writes_that_are_not_durable_are_refused(trades: Library) -> None:
    from pymongo import WriteConcern

    weak = trades.collection.with_options(write_concern=WriteConcern(w=1))
    with pytest.raises(Unavailable, match="w=majority"):
        documents.replace(dataclasses.replace(trades, collection=weak), [window(1, {})], "test")


def test_a_library_keeps_its_window_length(trades: Library, settings: Settings) -> None:
    from msgspec import structs

    vendors = {**settings.vendors, "binance_usdm": Vendor(window={"trade": 60})}
    with pytest.raises(Mismatch, match=r"set vendors\.binance_usdm\.window\.trade back to 600"):
        library.ensure(structs.replace(settings, vendors=vendors), "binance_usdm")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    for arctic in _opened:
        arctic._conn.close()  # reset() would open another client for the libraries it knows
    _opened.clear()


_opened: list[Any] = []


def stock(settings: Settings, symbols: Any) -> Any:
    """What stock arctic reads of the window."""
    arctic = Arctic(database.endpoints.mongo_uri(settings), tz_aware=True, tzinfo=ZoneInfo("UTC"))
    _opened.append(arctic)
    from datetime import UTC, datetime, timedelta

    start = datetime.fromtimestamp(START // NS, UTC)
    return arctic["binance_usdm.trade"].read(symbols, date_range=DateRange(start, start + timedelta(hours=1)))
