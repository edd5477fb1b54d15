"""Taper, publisher and writer killed at random moments of a live market, and started again.

What reached the tape is in Arctic exactly once; what did not was sent while no taper listened.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tapedeck.message import Status
from tapedeck.settings import Settings
from tapedeck.simulate import capture, market
from tapedeck.slices import NS, Slice
from tests.faults import SEEDS
from tests.road import Ids, await_stored, expected, in_file
from tests.tapes import VENDOR, Running, taped, until

SECONDS = 8
KILLS = 4


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_anywhere_nothing_is_lost_or_doubled_in_arctic(
    settings: Settings, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    path, ledger = tmp_path / "market.zst", tmp_path / "ledger.jsonl"
    made = market.generate(VENDOR, ["BTCUSDT", "A", "B", "C"], 1000.0, SECONDS, seed, 1_723_118_400 * NS)
    capture.write(path, made)
    mongo = {
        "TAPEDECK_MONGO__URI": settings.mongo.uri, "TAPEDECK_MONGO__DATABASE": settings.mongo.database,
        "TAPEDECK_WRITER__SESSION": "2s",
    }  # fmt: skip
    start = time.time_ns()
    writers = [Running(settings, "write", VENDOR, **mongo)]
    tapers_killed = 0
    try:
        with Running(settings, "collect", VENDOR) as collector:
            until(lambda: len(collector.halves()) == 2)
            with Running(
                settings, "simulate", VENDOR, str(path), "--ledger", str(ledger), "--json",
                "--fault", "drop=0.005,dup=0.001", "--seed", str(seed),
            ) as player:  # fmt: skip
                for _ in range(KILLS):
                    time.sleep(dice.uniform(0.2, SECONDS / KILLS))
                    victim = dice.choice(["taper", "publisher", "writer"])
                    if victim == "writer":
                        writers[-1].process.kill()
                        writers[-1].process.wait()
                        writers.append(Running(settings, "write", VENDOR, **mongo))
                    elif (pid := collector.halves().get(victim)) is not None:
                        os.kill(pid, signal.SIGKILL)
                        tapers_killed += victim == "taper"
                        until(lambda v=victim, p=pid: collector.halves().get(v, p) != p)  # type: ignore[misc]
                assert player.process.wait(60) == 0, player.said
            time.sleep(0.5)
            assert collector.end() == 0, collector.said
        of = Slice(start, time.time_ns())
        on_tape = Counter[Ids](
            (type(m).__name__.lower(), m.symbol, m.seq) for m in taped(settings) if not isinstance(m, Status)
        )
        await_stored(settings, writers[-1], on_tape, of, 60)
        assert writers[-1].end() == 0, writers[-1].said
    finally:
        for writer in writers:
            writer.__exit__()
    sent = expected(VENDOR, path, ledger)
    assert not on_tape - sent
    assert len(_holes(path, ledger, on_tape)) <= tapers_killed


def _holes(path: Path, ledger: Path, on_tape: Counter[Ids]) -> list[int]:
    """Where stretches of payloads begin that the bus sent and the tape has not, in the order of sending."""
    faults = [json.loads(line) for line in ledger.read_text().splitlines()[:-1]]
    dropped = {fault["index"] for fault in faults if fault["fault"] == "drop"}
    sent = [payload for index, payload in enumerate(in_file(VENDOR, path)) if index not in dropped]
    missing = [
        any((type(m).__name__.lower(), m.symbol, m.seq) not in on_tape for m in payload)  # type: ignore[union-attr]
        for payload in sent
    ]
    return [i for i, (before, here) in enumerate(pairwise([False, *missing])) if here and not before]
