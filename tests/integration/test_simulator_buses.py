"""The simulator on the other buses: what it plays is what a collector's bus hears."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from tapedeck import buses, vendors
from tapedeck.buses import captured
from tapedeck.message import Book
from tests import servers
from tests.integration.test_simulator import history, simulating, tapedeck  # noqa: F401 - a fixture
from tests.unit.buses.hearing import hear, hear_changes
from tests.unit.buses.test_nats import server

SYMBOLS = ["BTCUSDT", "ETHUSDT"]


def test_a_websocket_venue_sends_all_of_it_and_answers_for_its_books(tmp_path: Path, history: Path) -> None:  # noqa: F811
    expected = [payload for _, payload in captured.read(history)]
    vendor, address = vendors.get("binance_usdm"), f"websocket:ws://127.0.0.1:{servers.free_port()}"
    words = ["binance_usdm", history, "--bus", address, "--speed", "0.5", "--json"]
    with simulating(tmp_path, *words) as process:
        bus = buses.open(address, vendor, SYMBOLS)
        try:
            heard = hear(bus, len(expected) + 2)
            out, err = process.communicate(timeout=60)
        finally:
            bus.close()
    assert process.returncode == 0, err
    assert json.loads(out)["totals"]["sent"] == len(expected)
    images = [payload for payload in heard if b"@snapshot" in payload[:60]]
    assert [payload for payload in heard if payload not in images] == expected
    by_symbol = defaultdict[str, list[Book]](list)
    for payload in heard:
        for said in vendor.normalise(payload, 1, 1):
            if isinstance(said, Book):
                by_symbol[said.symbol].append(said)
    assert set(by_symbol) == set(SYMBOLS)
    for books in by_symbol.values():
        [at] = [n for n, book in enumerate(books) if book.snapshot]
        assert at > 0, "the image is asked for when the stream has begun"
        assert books[at].seq >= books[0].prev


@pytest.mark.skipif(shutil.which("nats-server") is None, reason="nats-server is not on this machine")
def test_a_nats_subject_gets_all_of_it_in_order(tmp_path: Path, history: Path) -> None:  # noqa: F811
    expected = [payload for _, payload in captured.read(history)]
    port = servers.free_port()
    with server(port):
        bus = buses.open(f"nats:nats://127.0.0.1:{port}/md.>", vendors.get("binance_usdm"), [])
        try:
            assert hear_changes(bus, 1)[0].connected
            words = [
                "binance_usdm",
                history,
                "--bus",
                f"nats:nats://127.0.0.1:{port}/md.usdm",
                "--speed",
                "max",
            ]
            with simulating(tmp_path, *words) as process:
                assert hear(bus, len(expected)) == expected
                _, err = process.communicate(timeout=60)
                assert process.returncode == 0, err
        finally:
            bus.close()


@pytest.mark.parametrize(
    ("bus", "status", "why"),
    [
        ("nats:nats://127.0.0.1:1/a", 3, "no NATS server answers"),
        ("nats:nats://127.0.0.1:1/a.>", 2, "wildcards"),
        ("nats:nats://127.0.0.1/a", 2, "is no address of a NATS bus"),
        ("websocket:ws://127.0.0.1:1/path", 2, "without a path"),
        ("websocket:wss://127.0.0.1:1", 2, "can't be simulated"),
    ],
)
def test_what_can_not_be_played_on_is_one_sentence(
    tmp_path: Path,
    history: Path,  # noqa: F811
    bus: str,
    status: int,
    why: str,
) -> None:
    done = tapedeck(tmp_path, "simulate", "binance_usdm", history, "--bus", bus)
    assert done.returncode == status, done.stderr
    assert why in done.stderr
    assert done.stderr.strip().count("\n") == 0
