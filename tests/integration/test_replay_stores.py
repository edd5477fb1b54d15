"""A slice replayed into Arctic libraries of another prefix and into Parquet files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest
from arctic import Arctic
from arctic.date import CLOSED_OPEN, DateRange

from tapedeck import endpoints
from tapedeck import message as m
from tapedeck.errors import BadInput
from tapedeck.jobs import replay, to_parquet
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.log import topics
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import database, library
from tests.published import VENDOR, Published, trade

T0 = 1_723_161_600 * NS - 120 * NS  # two minutes before midnight: two days
OF = Slice(T0, T0 + 240 * NS)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "00700", "A/B C%")
MESSAGES: list[m.Message] = [trade(T0 + i * NS + i * 1_001, i + 1, SYMBOLS[i % 4]) for i in range(240)]
QUOTES: list[m.Message] = [
    m.Quote("BTCUSDT", 0, T0 + i * NS + 500_000_007, i + 1, 0, 1, 1.5, 2.5, 3.0, 4.0) for i in range(10)
]
BOOK = m.Book("ETHUSDT", T0, T0 + 3, 1, 0, 1, 1, [(1.0, 2.0), (0.5, 1.0)], [(3.0, 4.0)])
PREFIX = "check"


@pytest.fixture
def log(settings: Settings) -> Published:
    log = Published(settings)
    log.load([*MESSAGES, *QUOTES, BOOK, MESSAGES[7]])
    return log


@pytest.fixture
def arctic(settings: Settings) -> Iterator[Arctic]:
    uri = endpoints.mongo_uri(settings)
    found = Arctic(uri, tz_aware=True, tzinfo=ZoneInfo("UTC"))
    yield found
    found._conn.drop_database(f"arctic_{PREFIX}_{VENDOR}")
    found._conn.close()


def run(settings: Settings, to: str, of: Slice = OF, **more: object) -> Receipt:
    origin = Origin(who="test", started=time.time_ns())
    return replay.replay(settings, VENDOR, of, to, origin=origin, **more)  # type: ignore[arg-type]


def seen(settings: Settings, to: str, of: Slice = OF) -> str:
    return list(replay.shown(settings, *replay.prepare(settings, VENDOR, of, to)))[-1]


def windows(receipt: Receipt) -> list[int]:
    return [receipt.counts[f"windows_{what}"] for what in ("added", "changed", "unchanged")]


def test_stock_arctic_reads_what_was_replayed_and_a_repeat_writes_nothing(
    settings: Settings, log: Published, arctic: Arctic
) -> None:
    assert seen(settings, f"arctic:{PREFIX}").startswith(
        f"to arctic:{PREFIX}: 10 windows to add, 0 to change"
    )
    assert not arctic.library_exists(f"{PREFIX}_{VENDOR}.trade")  # a plan writes nothing
    first = run(settings, f"arctic:{PREFIX}")
    assert (first.outcome, windows(first)) == ("written", [10, 0, 0])
    assert (first.counts["messages"], first.counts["duplicates"]) == (251, 1)
    ends = [pd.Timestamp(at, tz="UTC").to_pydatetime() for at in (OF.start, OF.end)]
    whole = DateRange(*ends, CLOSED_OPEN)
    read = arctic[f"{PREFIX}_{VENDOR}.trade"].read("ETHUSDT", date_range=whole)
    assert read["seq"].tolist() == [float(one.seq) for one in MESSAGES if one.symbol == "ETHUSDT"]
    again = run(settings, f"arctic:{PREFIX}")
    assert (again.outcome, windows(again)) == ("unchanged", [0, 0, 10])
    assert again.before == again.after == first.after
    assert database.client(settings)[f"arctic_{VENDOR}"]["trade"].count_documents({}) == 0


def test_what_changed_in_the_log_is_foreseen_and_changed_and_nothing_else(
    settings: Settings, log: Published, arctic: Arctic
) -> None:
    run(settings, f"arctic:{PREFIX}", kinds=["trade"], symbols=["BTCUSDT"])
    assert windows(run(settings, f"arctic:{PREFIX}", kinds=["trade"])) == [6, 0, 2]
    log.load([trade(T0 + 11, 999)], src=1008)
    assert (
        "0 windows to add, 1 to change, 7 unchanged"
        in (
            list(
                replay.shown(
                    settings, *replay.prepare(settings, VENDOR, OF, f"arctic:{PREFIX}", kinds=["trade"])
                )
            )[-1]
        )
    )
    changed = run(settings, f"arctic:{PREFIX}", kinds=["trade"])
    assert windows(changed) == [0, 1, 7]
    assert changed.before != changed.after
    assert arctic.list_libraries()
    assert library.prefixed(settings, VENDOR, PREFIX)["quote"].collection.count_documents({}) == 0


@pytest.mark.parametrize("prefix", ["", "a.b", "9x", "x" * 21, "a b"])
def test_a_prefix_that_is_none_is_one_sentence(settings: Settings, log: Published, prefix: str) -> None:
    with pytest.raises(BadInput, match=r"can't begin a library's name|nothing to replay to"):
        replay.prepare(settings, VENDOR, OF, f"arctic:{prefix}")


def told(folder: Path) -> pd.DataFrame:
    """The dataset as pandas reads it, in order."""
    return pd.read_parquet(folder).sort_values(["ts_recv", "kind"]).reset_index(drop=True)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_pandas_and_pyarrow_read_every_message_exactly(
    settings: Settings, log: Published, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    receipt = run(settings, f"parquet:{folder}")
    read = told(folder)
    wanted = sorted([*MESSAGES, *QUOTES, BOOK], key=lambda one: one.ts_recv)
    assert read["ts_recv"].astype("int64").tolist() == [one.ts_recv for one in wanted]
    assert read["symbol"].tolist() == [one.symbol for one in wanted]
    assert read["seq"].tolist() == [one.seq for one in wanted]
    assert sorted(set(read["day"])) == ["2024-08-08", "2024-08-09"]
    trades = ds.dataset(folder, partitioning="hive").to_table(
        filter=(ds.field("kind") == "trade") & (ds.field("symbol") == "A/B C%")
    )
    mine = [one for one in MESSAGES if one.symbol == "A/B C%"]
    assert np.array_equal(np.sort(trades["ts_recv"].cast("int64").to_numpy()), [t.ts_recv for t in mine])
    assert trades["price"].to_pylist() == [t.price for t in mine]  # type: ignore[union-attr]
    assert read[read["kind"] == "book"]["bids"].iloc[0].tolist()[1] == {"price": 0.5, "size": 1.0}
    assert (receipt.outcome, receipt.counts["written"], receipt.counts["files"]) == ("written", 251, 10)


def test_polars_and_duckdb_read_the_same(settings: Settings, log: Published, tmp_path: Path) -> None:
    run(settings, f"parquet:{tmp_path}")
    wanted = sorted(one.ts_recv for one in [*MESSAGES, *QUOTES, BOOK])
    whole = pl.scan_parquet(f"{tmp_path}/**/*.parquet", hive_partitioning=True, missing_columns="insert")
    assert sorted(whole.select(pl.col("ts_recv").dt.timestamp("ns")).collect()["ts_recv"]) == wanted
    mine = [one for one in MESSAGES if one.symbol == "A/B C%"]  # type: ignore[union-attr]
    found = whole.filter(symbol="A/B C%", kind="trade").sort("ts_recv").collect()
    assert found["price"].to_list() == [t.price for t in mine]  # type: ignore[union-attr]
    told = duckdb.sql(
        f"""SELECT symbol, count(*), sum(price), epoch_ns(min(ts_recv))
        FROM read_parquet('{tmp_path}/*/*/*/*/*.parquet', hive_partitioning=true, union_by_name=true,
        hive_types_autocast=false)
        WHERE kind = 'trade' GROUP BY symbol ORDER BY symbol"""  # noqa: S608
    ).fetchall()
    for symbol, count, prices, first in told:
        own = [one for one in MESSAGES if one.symbol == symbol]  # type: ignore[union-attr]
        assert (count, first) == (len(own), own[0].ts_recv)
        assert prices == pytest.approx(sum(t.price for t in own))  # type: ignore[union-attr]
    assert [row[0] for row in told] == sorted(SYMBOLS)


def test_a_repeat_leaves_the_files_alone_and_a_late_message_is_added(
    settings: Settings, log: Published, tmp_path: Path
) -> None:
    first = run(settings, f"parquet:{tmp_path}")
    held = files(tmp_path)
    again = run(settings, f"parquet:{tmp_path}")
    assert files(tmp_path) == held
    assert (again.outcome, again.counts["already"], again.counts["written"]) == ("unchanged", 251, 0)
    assert again.before == again.after == first.after
    assert "holds 251 messages of it already" in seen(settings, f"parquet:{tmp_path}")
    log.load([trade(T0 + 11, 999)], src=1008)
    assert run(settings, f"parquet:{tmp_path}").after != first.after
    assert len(told(tmp_path)) == 252
    assert sorted(files(tmp_path)) == sorted(held)


def test_a_half_finished_replay_goes_on_and_readers_see_no_half_file(
    settings: Settings, log: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, plan = replay.prepare(settings, VENDOR, OF, f"parquet:{tmp_path}")
    first, *rest = replay.parts(settings, order)
    replay.copy_part(settings, order, plan, first)
    held = files(tmp_path)

    def killed(self: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(to_parquet._Files, "finish", killed)
        for part in rest:
            with pytest.raises(KeyboardInterrupt):
                replay.copy_part(settings, order, plan, part)
    assert files(tmp_path) == held
    done = [replay.copy_part(settings, order, plan, part) for part in replay.parts(settings, order)]
    assert done[0].already == done[0].messages
    assert sum(part.messages for part in done) == len(told(tmp_path)) == 251


def test_other_replays_share_a_folder_unless_they_overlap(
    settings: Settings, log: Published, tmp_path: Path
) -> None:
    half = Slice(OF.start, OF.start + 100 * NS)
    run(settings, f"parquet:{tmp_path}", of=half)
    run(settings, f"parquet:{tmp_path}", of=Slice(half.end, OF.end))
    assert len(told(tmp_path)) == 251
    held = files(tmp_path)
    with pytest.raises(BadInput, match=r"already holds a replay of .* that this one overlaps"):
        run(settings, f"parquet:{tmp_path}")
    assert files(tmp_path) == held


def test_a_folder_that_is_not_ours_is_refused_untouched(
    settings: Settings, log: Published, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="holds something that no replay wrote: replay to one that is empty"):
        run(settings, f"parquet:{tmp_path}")
    with pytest.raises(BadInput, match=r"notes.txt is a file: replay to a folder"):
        run(settings, f"parquet:{tmp_path / 'notes.txt'}")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_rows_wait_in_memory_only_up_to_a_bound(
    settings: Settings, log: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_parquet, "HELD", 10)
    monkeypatch.setattr("tapedeck.log.reading.STRETCH_RECORDS", 20)
    run(settings, f"parquet:{tmp_path}")
    assert len(told(tmp_path)) == timeline(VENDOR, settings).count(OF.start, OF.end).messages == 251


def test_a_store_is_not_paced(settings: Settings, log: Published, tmp_path: Path) -> None:
    assert topics.ensure(settings, VENDOR)
    for to in (f"parquet:{tmp_path}", "arctic:x"):
        with pytest.raises(BadInput, match="written as fast as possible: leave the speed at max"):
            replay.prepare(settings, VENDOR, OF, to, speed="1")
