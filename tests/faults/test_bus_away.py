"""A venue that goes and comes again: the outage is one named gap, and its books begin anew with an image."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec import structs

from tapedeck.checks.gap_check import gap_check
from tapedeck.log import topics
from tapedeck.message import CONNECTED, DISCONNECTED, Book, Status
from tapedeck.settings import Settings
from tapedeck.simulate import capture, market
from tapedeck.slices import Slice
from tests import servers
from tests.faults.test_gaps import NOON, sure
from tests.tapes import VENDOR, Running, check_log, messages, until


def test_what_a_venue_sent_while_it_could_not_be_reached_is_one_outage(
    settings: Settings, tmp_path: Path
) -> None:
    bus = f"websocket:ws://127.0.0.1:{servers.free_port()}"
    vendors = settings.vendors | {VENDOR: structs.replace(settings.vendors[VENDOR], bus=bus)}
    settings = structs.replace(settings, vendors=vendors)
    made = list(market.generate(VENDOR, ["BTCUSDT", "ETHUSDT"], 200.0, 9.0, 5, NOON))
    parts = [tmp_path / "before.zst", tmp_path / "after.zst"]
    capture.write(parts[0], made[:600])
    capture.write(parts[1], made[1000:1800])  # the 400 between are sent to nobody
    start = time.time_ns()
    with Running(settings, "collect", VENDOR) as collector:
        for part in parts:
            with Running(settings, "simulate", VENDOR, str(part)) as venue:
                assert venue.process.wait(120) == 0, venue.said
        until(lambda: sum(isinstance(m, Book) and m.snapshot for log in _log(settings) for m in log) >= 4, 60)
        assert collector.end() == 0, collector.said
    check_log(settings)
    log = [message for partition in _log(settings) for message in partition]
    codes = {m.code for m in log if isinstance(m, Status)}
    assert codes == {CONNECTED, DISCONNECTED}
    images = [m for m in log if isinstance(m, Book) and m.snapshot]
    assert sorted(m.symbol for m in images) == ["BTCUSDT"] * 2 + ["ETHUSDT"] * 2
    found = sure(gap_check(settings, VENDOR, Slice(start, time.time_ns())).findings)
    assert {f.reason for f in found} == {"collector"}, found
    outages = sorted((f for f in found if f.check == "collector"), key=lambda f: f.start)
    between = [f for f in outages if f.start < images[-1].ts_recv]
    assert any(f.evidence["what"] == "disconnected" for f in between)
    sequences = [f for f in found if f.check == "sequence"]
    assert {(f.symbol, f.kind) for f in sequences} == {
        (symbol, kind) for symbol in ("BTCUSDT", "ETHUSDT") for kind in ("trade", "book")
    }, "what went between is missing once in each stream, and nowhere else"
    assert len(sequences) == 4


def _log(settings: Settings) -> list[list[object]]:
    return messages(settings, topics.verify(settings, VENDOR).live[0])  # type: ignore[return-value]
