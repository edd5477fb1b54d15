"""The research door: Arctic and the log's tail as one, exact, no row twice."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from msgspec import structs

import tapedeck
from tapedeck import message as m
from tapedeck.errors import BadInput, Mismatch, Unavailable
from tapedeck.log import client
from tapedeck.settings import Kafka, Settings, Writer
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store import library
from tapedeck.store.rebuild import rebuild
from tests.integration.test_writer import until, windows_of, writing
from tests.published import HOUR, T0, VENDOR, Published, environment, trade
from tests.servers import PROGRAM

TRADES = f"{VENDOR}.trade"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    vendor = structs.replace(settings.vendors[VENDOR], window={"trade": 60, "quote": 60, "status": 60})
    return structs.replace(settings, vendors={VENDOR: vendor}, writer=Writer(late_every="300ms"))


@pytest.fixture
def log(settings: Settings) -> Published:
    return Published(settings)


def frame(settings: Settings, symbol: str = "BTCUSDT", **more: object) -> pd.DataFrame:
    return tapedeck.read(TRADES, symbol, T0, T0 + HOUR, settings=settings, **more)  # type: ignore[arg-type]


def test_times_and_types_are_exact(settings: Settings, log: Published) -> None:
    log.publish(trade(T0 + 1, 2**53 + 1), m.Trade("BTCUSDT", 0, T0 + 1_234_567_891, 7, 6, 3, 0.1, 2.5, -1))
    for _ in range(2):  # from the log, then from Arctic
        found = frame(settings)
        assert found.index.name == "ts_recv"
        assert str(found.index.dtype) == "datetime64[ns, UTC]"
        assert found.index.asi8.tolist() == [T0 + 1, T0 + 1_234_567_891]
        assert list(found.columns) == ["ts_event", "seq", "prev", "src", "price", "size", "side"]
        assert found["seq"].tolist() == [2**53 + 1, 7]
        assert {str(found[c].dtype) for c in ("seq", "prev", "src", "side")} == {"int64"}
        assert str(found["ts_event"].dtype) == "datetime64[ns, UTC]"
        assert found["ts_event"].isna().tolist() == [False, True]
        assert found["price"].tolist()[1] == 0.1
        assert found.attrs["messages"] == 2
        found["size"] *= 2  # a frame is the caller's own
        assert frame(settings)["size"].tolist() == [1.0, 2.5]
        rebuild(settings, VENDOR, library.named(settings, TRADES).around(T0))


def test_ends_are_half_open_and_may_be_written_in_any_form(settings: Settings, log: Published) -> None:
    log.publish(*(trade(T0 + i, i + 1) for i in range(5)))
    at = datetime.fromtimestamp(T0 // NS, UTC)
    assert tapedeck.read(TRADES, "BTCUSDT", T0 + 1, T0 + 4, settings=settings)["seq"].tolist() == [2, 3, 4]
    texts = (format_time(T0), format_time(T0 + 2))
    assert tapedeck.read(TRADES, "BTCUSDT", *texts, settings=settings)["seq"].tolist() == [1, 2]
    dates = (at, at + timedelta(seconds=1))
    assert len(tapedeck.read(TRADES, "BTCUSDT", *dates, settings=settings)) == 5
    with pytest.raises(BadInput, match="has no zone"):
        tapedeck.read(TRADES, "BTCUSDT", at.replace(tzinfo=None), at, settings=settings)


def test_the_tail_is_joined_and_what_is_written_comes_from_arctic(settings: Settings, log: Published) -> None:
    log.register(T0)
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(100)))
    with writing(settings):
        log.beat(T0 + 100 * NS)
        until(lambda: windows_of(settings) == {T0})
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(90, 150)))  # ten of them again
    assert frame(settings)["seq"].tolist() == list(range(1, 151))
    assert frame(settings, tail=False)["seq"].tolist() == list(range(1, 61))
    log.cut(61)  # what is in Arctic is no longer in the log
    assert frame(settings)["seq"].tolist() == list(range(1, 151))


def test_a_void_and_a_lower_source_in_the_tail_are_obeyed(settings: Settings, log: Published) -> None:
    log.publish(*(trade(T0 + i * NS, i + 1, src=2) for i in range(10)))
    rebuild(settings, VENDOR, library.named(settings, TRADES).around(T0))
    log.publish(*(trade(T0 + i * NS + 5, i + 1, src=1) for i in range(5)))
    assert frame(settings)["src"].tolist() == [1] * 5 + [2] * 5
    log.load([m.Void("BTCUSDT", 0, T0 + 8 * NS, 0, 0, 2, T0 + HOUR, 0, "garbage")])
    assert frame(settings)["seq"].tolist() == list(range(1, 9))


def test_reading_while_it_is_written_sees_every_row_once(settings: Settings, log: Published) -> None:
    log.register(T0)
    stop = threading.Event()

    def produce() -> None:
        for first in range(0, 400, 20):
            log.publish(*(trade(T0 + i * NS, i + 1) for i in range(first, first + 20)))
            log.beat(T0 + (first + 20) * NS)
            time.sleep(0.1)
        stop.set()

    with writing(settings):
        producer = threading.Thread(target=produce)
        producer.start()
        seen = 0
        while not stop.is_set():
            seq = frame(settings)["seq"].tolist()
            assert seq == list(range(1, len(seq) + 1))
            assert len(seq) >= seen
            seen = len(seq)
        producer.join()
        assert frame(settings)["seq"].tolist() == list(range(1, 401))
        assert windows_of(settings) > {T0}


def test_every_kind_has_its_rows(settings: Settings, log: Published) -> None:
    log.publish(
        m.Quote("BTCUSDT", 0, T0, 1, 0, 1, 1.0, 2.0, 3.0, 4.0),
        m.Book("BTCUSDT", 0, T0 + 1, 5, 4, 1, 0, [(1.0, 2.0)], [(3.0, 4.0), (5.0, 0.0)]),
        m.Book("BTCUSDT", 0, T0 + 2, 6, 5, 1, 1),
        m.Fields("BTCUSDT", 0, T0 + 3, 0, 0, 1, {"a": 1.0}),
        m.Fields("BTCUSDT", 0, T0 + 4, 0, 0, 1, {"b": 2.0}),
        m.Status("*", 0, T0 + 5, 0, 0, 1, m.CONNECTED, "up"),
    )

    def found(kind: str, symbol: str = "BTCUSDT", columns: list[str] | None = None) -> pd.DataFrame:
        return tapedeck.read(f"{VENDOR}.{kind}", symbol, T0, T0 + NS, columns, settings=settings)  # type: ignore[no-any-return]

    assert found("quote")[["bid", "ask", "bid_size", "ask_size"]].values.tolist() == [[1.0, 2.0, 3.0, 4.0]]
    book = found("book")
    assert book["side"].tolist() == [1, -1, -1, 0]
    assert book["level"].tolist() == [0, 0, 1, 0]
    assert book.attrs["messages"] == 2
    assert found("fields")["f_a"].tolist()[0] == 1.0
    assert found("fields", columns=["f_b", "f_none", "offset"]).iloc[1].isna().tolist() == [
        False,
        True,
        False,
    ]
    assert found("status", "*")["text"].tolist() == ["up"]
    assert found("status")["text"].tolist() == []


def test_a_slice_comes_in_frames_that_make_up_the_whole(settings: Settings, log: Published) -> None:
    log.publish(*(trade(T0 + i * NS, i + 1, ("BTCUSDT", "ETHUSDT")[i % 2]) for i in range(600)))
    rebuild(settings, VENDOR, Slice(T0, T0 + 300 * NS))  # five windows of 30 a symbol; the rest is the tail
    for symbol in ("BTCUSDT", ["BTCUSDT", "ETHUSDT"]):
        whole = tapedeck.read(TRADES, symbol, T0, T0 + HOUR, settings=settings)
        frames = list(tapedeck.stream(TRADES, symbol, T0, T0 + HOUR, rows=70, settings=settings))
        assert len(frames) > 5
        assert all(0 < len(one) <= 120 for one in frames)
        pd.testing.assert_frame_equal(pd.concat(frames), whole)
    assert list(tapedeck.stream(TRADES, "BTCUSDT", T0 + HOUR, T0 + 2 * HOUR, settings=settings)) == []


def test_arrow_has_the_same_values_and_types(settings: Settings, log: Published) -> None:
    log.publish(trade(T0 + 1, 2**53 + 1), m.Trade("BTCUSDT", 0, T0 + 2, 7, 6, 3, 0.1, 2.5, -1))
    table = tapedeck.read(TRADES, "BTCUSDT", T0, T0 + NS, arrow=True, settings=settings)
    assert table.column_names == ["ts_recv", *frame(settings).columns]
    assert str(table.schema.field("ts_recv").type) == "timestamp[ns, tz=UTC]"
    assert table["ts_recv"].cast("int64").to_pylist() == [T0 + 1, T0 + 2]
    assert table["seq"].to_pylist() == [2**53 + 1, 7]
    assert str(table["seq"].type) == "int64"
    assert table["ts_event"].null_count == 1
    assert json.loads(table.schema.metadata[b"messages"]) == 2


def test_libraries_and_symbols_are_listed(settings: Settings, log: Published) -> None:
    log.publish(trade(T0, 1), trade(T0, 1, "ETHUSDT"))
    rebuild(settings, VENDOR, library.named(settings, TRADES).around(T0))
    assert TRADES in tapedeck.libraries(settings)
    assert tapedeck.symbols(TRADES, settings) == ["BTCUSDT", "ETHUSDT"]


def test_several_symbols_come_merged_by_time(settings: Settings, log: Published) -> None:
    log.publish(*(trade(T0 + i, i + 1, ("BTCUSDT", "ETHUSDT")[i % 2]) for i in range(6)))
    found = tapedeck.read(TRADES, ["ETHUSDT", "BTCUSDT"], T0, T0 + NS, settings=settings)
    assert found["seq"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found["symbol"].tolist() == ["BTCUSDT", "ETHUSDT"] * 3


def test_what_does_not_exist_is_named_with_what_is_near(settings: Settings, log: Published) -> None:
    log.publish(trade(T0, 1))
    with pytest.raises(
        BadInput, match=r"no library 'binance_usdm.trades' \(did you mean 'binance_usdm.trade'"
    ):
        tapedeck.read(f"{VENDOR}.trades", "BTCUSDT", T0, T0 + 1, settings=settings)
    with pytest.raises(BadInput, match=r"of a symbol 'BTCUSD' \(did you mean 'BTCUSDT'"):
        frame(settings, "BTCUSD")
    with pytest.raises(BadInput, match=r"no column 'prize' \(did you mean 'price'"):
        frame(settings, columns=["prize"])
    assert len(tapedeck.read(TRADES, "ETHUSDT", T0, T0 + 1, settings=settings)) == 0


def test_a_damaged_document_is_refused(settings: Settings, log: Published) -> None:
    log.publish(trade(T0, 1))
    rebuild(settings, VENDOR, library.named(settings, TRADES).around(T0))
    one = library.named(settings, TRADES).collection
    price = bytearray((one.find_one() or {})["cs"]["price"]["d"])
    price[-1] ^= 1
    one.update_one({}, {"$set": {"cs.price.d": bytes(price)}})
    with pytest.raises(Mismatch, match="damaged"):
        frame(settings)


def test_without_kafka_the_tail_is_one_sentence_and_arctic_alone_still_reads(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONTACT_SECONDS", 1.0)
    log.publish(trade(T0, 1))
    rebuild(settings, VENDOR, library.named(settings, TRADES).around(T0))
    away = structs.replace(settings, kafka=Kafka(bootstrap="127.0.0.1:1"))
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:1"):
        frame(away)
    assert frame(away, tail=False)["seq"].tolist() == [1]


def run(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), *words], env=environment(settings), capture_output=True, text=True, timeout=120
    )


def test_the_command_prints_rows_and_counts(settings: Settings, log: Published) -> None:
    log.publish(*(trade(T0 + i, i + 1) for i in range(3)))
    where = ("read", TRADES, "BTCUSDT", format_time(T0), format_time(T0 + NS))
    counted = run(settings, *where, "--count", "--json")
    assert (counted.returncode, json.loads(counted.stdout)) == (0, {"messages": 3, "rows": 3})
    lines = [json.loads(line) for line in run(settings, *where, "--format", "jsonl").stdout.splitlines()]
    assert [line["ts_recv"] for line in lines] == [T0, T0 + 1, T0 + 2]
    assert len(run(settings, *where, "--format", "csv").stdout.splitlines()) == 4
    table = run(settings, *where, "--local").stdout.splitlines()
    assert len({len(line) for line in table}) == 1
    for form in ("csv", "parquet"):
        out = Path(settings.state_dir).parent / form
        assert run(settings, *where, "--format", form, "--out", str(out)).stdout == ""
    assert len((out.parent / "csv").read_text().splitlines()) == 4
    assert len(pd.read_parquet(out)) == 3
    nothing = run(settings, "read", TRADES, "BTCUSDT", format_time(T0 + NS), format_time(T0 + 2 * NS))
    assert nothing.returncode == 0
    assert "holds nothing of BTCUSDT" in nothing.stderr
    wrong = run(settings, "read", "binance_usdm.trad", "BTCUSDT", "5m", "now")
    assert wrong.returncode == 2
    assert "did you mean 'binance_usdm.trade'" in wrong.stderr
