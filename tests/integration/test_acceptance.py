"""A captured market through the command line, as a person has it: loaded, counted, stored, read, replayed."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from arctic import Arctic
from arctic.date import DateRange

from tapedeck import read
from tapedeck.cli.main import run
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.simulate import capture, market
from tapedeck.slices import NS
from tests.published import VENDOR, environment
from tests.recorded import USDM_BTC, USDM_ETH, recorded
from tests.servers import PROGRAM
from tests.topics import contents

DAY = ("2024-08-08T00:00:00Z", "2024-08-09T00:00:00Z")
NOON = 1_723_118_400 * NS
NAMELESS = b'{"lastUpdateId":7,"E":1723118400000,"T":1723118400000,"bids":[["1.5","2"]],"asks":[["1.6","3"]]}'
REASON = "snapshot names no symbol; load it with --symbol"
STREAMS = {"trade": "trade", "bookTicker": "quote", "depth": "book"}
RECORDED, MADE = "the recorded futures", "a synthetic market"
WHOLE = {
    "BTCUSDT": {"quote": 66_089, "trade": 21_313, "book": 6_551},
    "ETHUSDT": {"quote": 53_992, "trade": 14_076, "book": 6_586},
}
"""Of the recorded futures, by their README."""


class Captured:
    """One symbol's capture as a stranger reads it: envelopes by kind, and one snapshot without a symbol."""

    def __init__(self, path: Path, symbol: str) -> None:
        self.path, self.symbol = path, symbol
        self.kinds: Counter[str] = Counter()
        self.stamps: list[int] = []
        self.trades: list[tuple[int, float]] = []
        with gzip.open(path, "rt") as lines:
            for line in lines:
                stamp, _, payload = line.partition(" ")
                self.stamps.append(int(stamp))
                told = json.loads(payload)
                if "stream" not in told:
                    continue
                kind = STREAMS[told["stream"].split("@")[1]]
                self.kinds[kind] += 1
                if kind == "trade":
                    self.trades.append((int(stamp), float(told["data"]["p"])))

    @property
    def messages(self) -> int:
        return self.kinds.total()


@pytest.fixture(params=[MADE, RECORDED])
def captures(request: pytest.FixtureRequest, tmp_path: Path) -> list[Captured]:
    """BTCUSDT's and ETHUSDT's captures of one day."""
    if request.param == RECORDED:
        found = [Captured(recorded(USDM_BTC), "BTCUSDT"), Captured(recorded(USDM_ETH), "ETHUSDT")]
        assert {one.symbol: one.kinds for one in found} == WHOLE
        return found
    found = []
    for seed, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        lines = list(market.generate(VENDOR, [symbol], 300.0, 10.0, seed, NOON))
        lines.insert(100, (lines[99][0] + 1, NAMELESS))
        capture.write(tmp_path / f"{symbol}.gz", lines)
        found.append(Captured(tmp_path / f"{symbol}.gz", symbol))
    assert all(len(one.kinds) == 3 for one in found)
    return found


def tapedeck(settings: Settings, *words: object) -> str:
    """What a command that ends well prints on stdout; on stderr it has nothing to say."""
    done = subprocess.run(
        [str(PROGRAM), *map(str, words)],
        env=environment(settings), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def told(settings: Settings, *words: object) -> dict[str, Any]:
    """The one JSON object that a command prints."""
    found: dict[str, Any] = json.loads(tapedeck(settings, *words, "--json"))
    return found


@pytest.mark.timeout(900)  # a person's dozen commands, on a machine that may be busy with other work
def test_a_captured_day_is_loaded_counted_stored_read_and_replayed_whole(
    settings: Settings, captures: list[Captured]
) -> None:
    kinds = sum((one.kinds for one in captures), Counter[str]())
    paths = [one.path for one in captures]

    loaded = told(settings, "load", VENDOR, *paths)
    assert [one["messages"] for one in loaded["files"]] == [one.kinds for one in captures]
    assert [one["refused"] for one in loaded["files"]] == [{REASON: 1}, {REASON: 1}]
    counted = told(settings, "cat", VENDOR, *DAY, "--count")
    uncovered = counted["uncovered_seconds"]
    assert 0 < uncovered < 86_400
    assert counted == {
        "messages": kinds.total(), "kinds": kinds, "duplicates": 0, "voided": 0, "undecodable": 0,
        "uncovered_seconds": uncovered, "quarantined": 2, "complete": True, "start": DAY[0], "end": DAY[1],
    }  # fmt: skip
    again = told(settings, "load", VENDOR, *paths)
    assert (again["messages"], again["refused"], again["present"]) == (0, 0, kinds.total() + 2)

    for one in captures:
        redeemed = told(settings, "load", VENDOR, one.path, "--symbol", one.symbol)
        assert (redeemed["messages"], redeemed["redeemed"], redeemed["refused"]) == (1, 1, 0)
        assert redeemed["present"] == one.messages
    kinds["book"] += 2
    counted |= {"messages": kinds.total(), "kinds": kinds, "quarantined": 0}
    later = told(settings, "cat", VENDOR, *DAY, "--count")
    assert 0 < later.pop("uncovered_seconds") <= counted.pop("uncovered_seconds")
    assert later == counted

    rebuilt = told(settings, "backfill", VENDOR, *DAY)
    assert (rebuilt["outcome"], rebuilt["counts"]["messages"]) == ("written", kinds.total())
    twice = told(settings, "backfill", VENDOR, *DAY)
    assert (twice["outcome"], twice["counts"]["windows_written"]) == ("unchanged", 0)
    assert twice["after"] == rebuilt["after"]
    _check_arctic(settings, captures)

    replayed = told(settings, "replay", VENDOR, *DAY, "--to", f"kafka:{settings.kafka.prefix}replayed")
    assert (replayed["counts"]["written"], replayed["complete"]) == (kinds.total(), True)
    assert replayed["after"] == rebuilt["after"]
    _check_topic(settings, captures)


def _check_arctic(settings: Settings, captures: list[Captured]) -> None:
    """Stock arctic and our doors give back the captures' trades: prices in order, every nanosecond."""
    day = DateRange(datetime(2024, 8, 8, tzinfo=UTC), datetime(2024, 8, 9, tzinfo=UTC))
    arctic = Arctic(settings.mongo.uri, tz_aware=True, tzinfo=ZoneInfo("UTC"))
    try:
        stored = [arctic[f"{VENDOR}.trade"].read(one.symbol, date_range=day) for one in captures]
    finally:
        arctic._conn.close()
    for one, stock in zip(captures, stored, strict=True):
        assert stock["price"].tolist() == [price for _, price in one.trades]
        assert [at.timestamp() for at in stock.index] == [ns // 1_000_000 / 1000 for ns, _ in one.trades]
        exact = read(f"{VENDOR}.trade", one.symbol, *DAY, settings=settings)
        assert list(zip(exact.index.asi8.tolist(), exact["price"].tolist(), strict=True)) == one.trades
    one = captures[0]
    count = told(settings, "read", f"{VENDOR}.trade", one.symbol, *DAY, "--count")
    assert count == {"messages": len(one.trades), "rows": len(one.trades)}
    book = read(f"{VENDOR}.book", one.symbol, *DAY, settings=settings)
    assert book.attrs["messages"] == one.kinds["book"] + 1


def _check_topic(settings: Settings, captures: list[Captured]) -> None:
    """The replay's topic holds each capture's lines, CreateTime for CreateTime, in its symbol's partition."""
    held = contents(settings, f"{settings.kafka.prefix}replayed")
    assert set(held) == {partition_of(one.symbol, settings.kafka.partitions) for one in captures}
    for one in captures:
        records = held[partition_of(one.symbol, settings.kafka.partitions)]
        times = [ms for key, ms, _ in records if key == one.symbol.encode()]
        assert times == [stamp // 1_000_000 for stamp in one.stamps]


def test_an_hour_that_holds_nothing_is_no_error_and_a_symbol_that_nobody_knows_is(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    capture.write(tmp_path / "a.txt", market.generate(VENDOR, ["BTCUSDT"], 50.0, 1.0, 1, NOON))
    assert run(["load", VENDOR, str(tmp_path / "a.txt")]) == 0
    hour, to = ("2024-08-07T10:00:00Z", "2024-08-07T11:00:00Z"), f"{settings.kafka.prefix}replayed"
    capfd.readouterr()
    for words, sentence in (
        (["cat", VENDOR, *hour], f"{VENDOR} has no messages in [{hour[0]}, {hour[1]})"),
        (["cat", VENDOR, *hour, "--count"], "the slice holds no messages"),
        (["read", f"{VENDOR}.trade", "BTCUSDT", *hour], f"{VENDOR}.trade holds nothing of BTCUSDT"),
        (["replay", VENDOR, *hour, "--to", f"kafka:{to}"], f"{VENDOR} has no messages in [{hour[0]},"),
        (["backfill", VENDOR, *hour], f"{VENDOR} has no messages in [{hour[0]},"),
    ):
        assert run(words) == 0
        assert sentence in "".join(capfd.readouterr()), words
    for words in (
        ["cat", VENDOR, *hour, "--symbols", "BTCUSD"],
        ["cat", VENDOR, *hour, "--symbols", "BTCUSD", "--count"],
        ["read", f"{VENDOR}.trade", "BTCUSD", *hour],
        ["replay", VENDOR, *hour, "--to", f"kafka:{to}", "--symbols", "BTCUSD"],
    ):
        assert run(words) == 2
        err = capfd.readouterr().err
        assert "'BTCUSD' (did you mean 'BTCUSDT'?)" in err
        assert err.count("\n") == 1
