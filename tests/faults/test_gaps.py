"""Faults of a live road: what the bus dropped, what was sent while no taper lived, each with its reason."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from tapedeck.checks.findings import Finding
from tapedeck.checks.gap_check import gap_check
from tapedeck.settings import Settings
from tapedeck.simulate import capture, market
from tapedeck.slices import NS, Slice
from tapedeck.store.rebuild import rebuild
from tests.faults.test_collector import through
from tests.road import in_file
from tests.tapes import VENDOR, Running, until

NOON = 1_723_118_400 * NS


def sure(found: list[Finding]) -> list[Finding]:
    """Without heartbeats that a busy machine made late, and seconds in which it played nothing."""
    return [f for f in found if f.evidence.get("what") != "late heartbeat" and f.check != "silence"]


def play(settings: Settings, tmp_path: Path, *more: str) -> Running:
    path = tmp_path / "market.zst"
    capture.write(path, market.generate(VENDOR, ["BTCUSDT", "A", "B"], 400.0, 6.0, 5, NOON))
    return Running(settings, "simulate", VENDOR, str(path), "--json", *more)


def test_exactly_what_the_bus_dropped_is_missing_upstream(settings: Settings, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    start = time.time_ns()
    with Running(settings, "collect", VENDOR) as collector:
        until(lambda: "taper" in collector.halves())
        faults = ("--fault", "drop=0.02,dup=0.01,reorder=0.01", "--seed", "3", "--ledger", str(ledger))
        with play(settings, tmp_path, *faults) as player:
            assert player.process.wait(60) == 0, player.said
        assert collector.end() == 0, collector.said
    deeds = [json.loads(line) for line in ledger.read_text().splitlines()[:-1]]
    dropped = {
        (d["symbol"], d["kind"], d["seq"])
        for d in deeds
        if d["fault"] == "drop" and d["kind"] in ("trade", "book")
    }
    report = gap_check(settings, VENDOR, Slice(start, time.time_ns()))
    found = sure(report.findings)
    assert {(f.check, f.reason) for f in found} == {("sequence", "upstream")}

    def covers(f: Finding, one: tuple[str, str, int]) -> bool:
        return (f.symbol, f.kind) == one[:2] and f.evidence["first"] <= one[2] < f.evidence["next"]

    for f in found:
        assert any(covers(f, one) for one in dropped), f
    sent = [m for part in in_file(VENDOR, tmp_path / "market.zst") for m in part]
    ends = set()
    for kind in ("trade", "book"):
        for symbol in ("BTCUSDT", "A", "B"):
            seqs = [m.seq for m in sent if (type(m).__name__.lower(), m.symbol) == (kind, symbol)]
            heard = sorted({*seqs} - {seq for s, k, seq in dropped if (s, k) == (symbol, kind)})
            ends |= {(symbol, kind, seq) for seq in seqs if not heard[0] < seq < heard[-1]}
    inside = dropped - ends
    assert len(inside) > 10
    for one in inside:
        assert sum(covers(f, one) for f in found) == 1, one
    assert report.counts["duplicates"] > 0
    assert report.counts["reorders"] > 0


def test_what_was_sent_while_no_taper_lived_is_the_collectors(settings: Settings, tmp_path: Path) -> None:
    start = time.time_ns()
    with Running(settings, "collect", VENDOR) as collector:
        until(lambda: "taper" in collector.halves())
        with play(settings, tmp_path) as player:
            until(lambda: through(settings, 500))
            killed = collector.halves()["taper"]
            os.kill(killed, signal.SIGKILL)
            until(lambda: collector.halves().get("taper", killed) != killed)
            assert player.process.wait(60) == 0, player.said
        assert collector.end() == 0, collector.said
    of = Slice(start, time.time_ns())
    found = sure(gap_check(settings, VENDOR, of).findings)
    assert {f.reason for f in found} == {"collector"}
    [outage] = [f for f in found if f.check == "collector"]
    assert outage.evidence["what"] == "killed"
    assert len(found) > 2
    for f in found:
        assert f.start < outage.end
        assert outage.start < f.end
    rebuild(settings, VENDOR, of)
    assert {f.id for f in gap_check(settings, VENDOR, of).findings} >= {f.id for f in found}
