"""The simulator as a person starts it: `tapedeck simulate`, heard over a real bus."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tapedeck import buses, vendors
from tapedeck.buses import Bus, captured
from tapedeck.simulate import capture, market
from tests import servers
from tests.recorded import USDM_ETH, recorded
from tests.unit.buses.hearing import hear

START = 1_723_118_400_000_000_000


@pytest.fixture
def bus_address() -> str:
    return f"zmq:tcp://127.0.0.1:{servers.free_port()}"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A captured file of two symbols, two seconds long."""
    path = tmp_path / "history.gz"
    capture.write(path, market.generate("binance_usdm", ["BTCUSDT", "ETHUSDT"], 1_000, 2, 1, START))
    return path


def tapedeck(tmp_path: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(words), cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60
    )


def command(words: Sequence[str | Path]) -> list[str]:
    code = "import sys; from tapedeck.cli.main import main; main(sys.argv[1:])"
    return [sys.executable, "-c", code, *map(str, words)]


def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TAPEDECK_")}
    return kept | {"TAPEDECK_STATE_DIR": str(tmp_path / "state")}


@contextmanager
def simulating(tmp_path: Path, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`tapedeck simulate` with these words; killed at the end if it is still there."""
    process = subprocess.Popen(
        command(["simulate", *words]), cwd=tmp_path, env=environment(tmp_path), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def listening(address: str) -> Iterator[Bus]:
    bus = buses.open(address, vendors.get("binance_usdm"), [])
    try:
        yield bus
    finally:
        bus.close()


def ledger_of(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Faults, and the last line."""
    *faults, last = [json.loads(line) for line in path.read_text().splitlines()]
    return faults, last


@pytest.mark.parametrize("speed", ["max", "20"])
def test_a_captured_file_comes_over_the_bus_byte_for_byte_in_order(
    tmp_path: Path, bus_address: str, history: Path, speed: str
) -> None:
    expected = [payload for _, payload in captured.read(history)]
    words = ["binance_usdm", history, "--bus", bus_address, "--speed", speed, "--json"]
    with listening(bus_address) as bus, simulating(tmp_path, *words) as process:
        assert hear(bus, len(expected)) == expected
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["complete"] is True
    assert told["totals"]["sent"] == told["totals"]["played"] == len(expected)


def test_several_files_are_merged_by_receipt_time(tmp_path: Path, bus_address: str) -> None:
    everything: list[tuple[int, bytes]] = []
    files = []
    for number, symbol in enumerate(["BTCUSDT", "ETHUSDT", "XRPUSDT"]):
        messages = list(market.generate("binance_usdm", [symbol], 300, 1, number, START))
        files.append(tmp_path / f"{symbol}.zst")
        capture.write(files[-1], messages)
        everything += messages
    expected = [payload for _, payload in sorted(everything)]
    words = ["binance_usdm", *files, "--bus", bus_address, "--speed", "max"]
    with listening(bus_address) as bus, simulating(tmp_path, *words):
        assert hear(bus, len(expected)) == expected


def test_what_is_heard_is_the_file_changed_by_exactly_what_the_ledger_says(
    tmp_path: Path, bus_address: str, history: Path
) -> None:
    source = [payload for _, payload in captured.read(history)]
    ledgers = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for ledger in ledgers:
        words = [
            "binance_usdm", history, "--bus", bus_address, "--speed", "max", "--ledger", ledger,
            "--seed", "4", "--fault", "drop=0.02,dup=0.02", "--fault", "reorder=0.02,stall=0.0005",
        ]  # fmt: skip
        with listening(bus_address) as bus, simulating(tmp_path, *words) as process:
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            faults, last = ledger_of(ledger)
            heard = hear(bus, last["totals"]["sent"])
            assert not bus.wait(100) or not list(bus.drain())
        dropped = {fault["index"] for fault in faults if fault["fault"] == "drop"}
        copied = [source[fault["index"]] for fault in faults if fault["fault"] == "dup"]
        assert dropped
        assert copied
        assert sorted(heard) == sorted([p for n, p in enumerate(source) if n not in dropped] + copied)
        assert last["totals"]["played"] == len(source)
    assert ledgers[0].read_bytes() == ledgers[1].read_bytes()


def test_a_synthetic_market_is_the_one_that_its_arguments_name(tmp_path: Path, bus_address: str) -> None:
    words = [
        "--symbols", "3", "--rate", "2000", "--burst", "2", "--duration", "2", "--seed", "9",
        "--start", "2024-08-08T12:00:00Z",
    ]  # fmt: skip
    symbols = ["BTCUSDT", "ETHUSDT", "SYM0003USDT"]
    expected = list(market.generate("binance_spot", symbols, 2000, 2, 9, START, 2))
    with (
        listening(bus_address) as bus,
        simulating(tmp_path, "binance_spot", *words, "--bus", bus_address, "--speed", "max"),
    ):
        assert hear(bus, len(expected)) == [payload for _, payload in expected]
    written = tapedeck(tmp_path, "simulate", "binance_spot", *words, "--out", tmp_path / "m.zst", "--json")
    assert json.loads(written.stdout) == {"file": str(tmp_path / "m.zst"), "messages": len(expected)}
    assert list(captured.read(tmp_path / "m.zst")) == expected


def test_nothing_is_sent_before_so_many_listen(tmp_path: Path, bus_address: str, history: Path) -> None:
    expected = [payload for _, payload in captured.read(history)]
    words = ["binance_usdm", history, "--bus", bus_address, "--speed", "max", "--wait-subscribers", "2"]
    with listening(bus_address) as one, simulating(tmp_path, *words):
        assert one.wait(30_000)
        assert [change.connected for change in one.changes()] == [True]
        assert not one.wait(300)
        with listening(bus_address) as two:
            assert hear(one, len(expected)) == hear(two, len(expected)) == expected


def test_when_nobody_comes_it_gives_up_as_infrastructure(
    tmp_path: Path, bus_address: str, history: Path
) -> None:
    ledger = tmp_path / "ledger.jsonl"
    done = tapedeck(
        tmp_path, "simulate", "binance_usdm", history, "--bus", bus_address, "--wait-timeout", "100ms",
        "--ledger", ledger,
    )  # fmt: skip
    assert done.returncode == 3
    assert "0 of 1 subscribers came" in done.stderr
    assert not list(tmp_path.glob("ledger*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_the_ledger_says_how_far_it_came(
    tmp_path: Path, bus_address: str, number: signal.Signals
) -> None:
    ledger = tmp_path / "ledger.jsonl"
    words = ["binance_usdm", "--rate", "500", "--bus", bus_address, "--ledger", ledger, "--fault", "drop=0.1"]
    with listening(bus_address) as bus, simulating(tmp_path, *words) as process:
        first = hear(bus, 200)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        faults, last = ledger_of(ledger)
        assert last["complete"] is False
        rest = hear(bus, last["totals"]["sent"] - len(first))
        assert len(first) + len(rest) == last["totals"]["sent"]
        assert len(faults) == last["totals"]["drop"] > 0


def test_a_signal_ends_it_while_it_waits_for_listeners(tmp_path: Path, bus_address: str) -> None:
    with simulating(tmp_path, "binance_usdm", "--bus", bus_address) as process:
        assert process.stderr is not None
        assert "waiting for 1 to subscribe" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_bad_input_is_one_sentence_and_nothing_is_bound(tmp_path: Path, history: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(history.read_bytes()[:-40])
    other = tmp_path / "other.gz"
    other.write_bytes(gzip.compress(b"PK no capture\n"))
    with socket.socket() as taken:
        # the port is taken: whoever tried to bind it would end with another sentence and status 3
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"zmq:tcp://127.0.0.1:{taken.getsockname()[1]}"
        for words, why in (
            (["binance_usd", history], "did you mean 'binance_usdm'?"),
            (["binance_usdm", history, "--speed", "0"], "the speed '0' is no pace"),
            (["binance_usdm", history, "--speed", "nan"], "the speed 'nan' is no pace"),
            (["binance_usdm", history, "--speed", "fast"], "the speed 'fast' is no pace"),
            (["binance_usdm", history, "--fault", "lose=1"], "there is no fault 'lose'"),
            (["binance_usdm", history, "--rate", "5"], "--rate is for a synthetic market"),
            (["binance_usdm", tmp_path / "absent.gz"], "absent.gz can't be read"),
            (["binance_usdm", history, cut], "cut.gz breaks off or is damaged after line"),
            (["binance_usdm", history, other], "other.gz is no capture: line 1"),
            (["binance_usdm", "--rate", "0"], "the rate 0 is not a positive number"),
            (["binance_usdm", "--symbols", "0"], "0 symbols make no market"),
            (["binance_usdm", "--start", "2024-08-08"], "has no zone"),
            (["binance_usdm", "--duration", "x"], "'x' is no duration"),
            (["binance_usdm", "--out", tmp_path / "m.gz"], "--out needs an end"),
        ):
            done = tapedeck(tmp_path, "simulate", *words, "--bus", address, "--wait-timeout", "1s")
            assert done.returncode == 2, done
            assert why in done.stderr
            assert done.stderr.startswith("tapedeck: ")
            assert len(done.stderr.splitlines()) == 1, done.stderr
        done = tapedeck(tmp_path, "simulate", "binance_usdm", history, "--bus", address)
        assert done.returncode == 3
        assert "is taken" in done.stderr
    done = tapedeck(tmp_path, "simulate", "binance_usdm", history, "--bus", "websocket")
    assert (done.returncode, "can't be simulated" in done.stderr) == (2, True)
    assert not (tmp_path / "m.gz").exists()


def test_a_recorded_market_is_played_whole(tmp_path: Path, bus_address: str) -> None:
    path = recorded(USDM_ETH)
    expected = [payload for _, payload in captured.read(path)]
    words = ["binance_usdm", path, "--bus", bus_address, "--speed", "max", "--json"]
    with listening(bus_address) as bus, simulating(tmp_path, *words) as process:
        heard = hear(bus, len(expected))
        out, err = process.communicate(timeout=60)
    assert heard == expected, err
    totals = {row["stream"]: row["sent"] for row in json.loads(out)["streams"]}
    assert totals == {
        "": 1, "ethusdt@bookTicker": 53_992, "ethusdt@trade": 14_076, "ethusdt@depth@0ms": 6_586,
    }  # fmt: skip


def test_a_stall_at_a_time_is_told_and_loses_nothing(tmp_path: Path, bus_address: str, history: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    words = [
        "binance_usdm", history, "--bus", bus_address, "--speed", "max", "--ledger", ledger,
        "--fault", "stall=300ms@1s",
    ]  # fmt: skip
    expected = [payload for _, payload in captured.read(history)]
    with listening(bus_address) as bus, simulating(tmp_path, *words) as process:
        assert hear(bus, len(expected)) == expected
        assert process.wait(timeout=60) == 0
    faults, _ = ledger_of(ledger)
    assert [(fault["fault"], fault["seconds"]) for fault in faults] == [("stall", 0.3)]
    (fault,) = faults
    assert fault["recv_ns"] >= START + 1_000_000_000
