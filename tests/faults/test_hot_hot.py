"""Two collectors on one bus: either is killed, or stands still, and Arctic has every message exactly once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from msgspec import structs

from tapedeck.buses import captured
from tapedeck.message import Status
from tapedeck.settings import Settings
from tapedeck.simulate import capture, market
from tapedeck.slices import NS, Slice
from tapedeck.tape.segment import Segment, opened, segments
from tests.faults import SEEDS
from tests.road import Ids, await_stored, expected
from tests.tapes import VENDOR, Running, taped, until

SECONDS = 8
BLOWS = 4
PATIENCE = 60.0


@pytest.mark.parametrize("seed", SEEDS)
def test_of_two_collectors_either_may_die_or_pause_without_a_gap_or_a_double(
    settings: Settings, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    path, ledger = tmp_path / "market.zst", tmp_path / "ledger.jsonl"
    made = market.generate(VENDOR, ["BTCUSDT", "A", "B", "C"], 1000.0, SECONDS, seed, 1_723_118_400 * NS)
    capture.write(path, made)
    *_, (_, last) = captured.read(path)
    windows = dict.fromkeys(("trade", "quote", "book"), 2)  # their edges lie within every pause
    vendors = {VENDOR: structs.replace(settings.vendor(VENDOR), window=windows)}
    settings = structs.replace(settings, vendors=vendors)
    mongo = {"TAPEDECK_MONGO__URI": settings.mongo.uri, "TAPEDECK_MONGO__DATABASE": settings.mongo.database}
    tapes = [settings.tape_dir(VENDOR, src) for src in (1, 2)]
    start = time.time_ns()
    with (
        Running(settings, "write", VENDOR, **mongo) as writer,
        Running(settings, "collect", VENDOR, "--src", "1") as first,
        Running(settings, "collect", VENDOR, "--src", "2") as second,
        Running(
            settings, "simulate", VENDOR, str(path), "--ledger", str(ledger), "--json",
            "--wait-subscribers", "2",
        ) as player,
    ):  # fmt: skip
        until(lambda: all(_lines(tape) for tape in tapes), PATIENCE)
        for blow in range(BLOWS):
            time.sleep(dice.uniform(0.1, 0.5))
            victim, half = (first, second)[blow % 2], dice.choice(["taper", "publisher"])
            tape, other = tapes[blow % 2], tapes[1 - blow % 2]
            _strike(victim, half, tape, other, player, dice)
        assert player.process.wait(60) == 0, player.said
        until(lambda: any(last in _lines(tape) for tape in tapes), PATIENCE)
        assert (first.end(), second.end()) == (0, 0), first.said + second.said
        of = Slice(start, time.time_ns())
        sent = expected(VENDOR, path, ledger)
        await_stored(settings, writer, sent, of, PATIENCE)
        assert writer.end() == 0, writer.said
    for src in (1, 2):
        own = Counter[Ids](
            (type(m).__name__.lower(), m.symbol, m.seq)
            for m in taped(settings, src)
            if not isinstance(m, Status)
        )
        assert not own - sent
        assert own


def _strike(
    collector: Running, half: str, tape: Path, other: Path, player: Running, dice: random.Random
) -> None:
    """Kill a half, and return when it works again; or let it stand still for a while."""
    until(lambda: half in collector.halves(), PATIENCE)
    pid = collector.halves()[half]
    if dice.random() < 0.5:
        life = segments(tape)[-1].life
        os.kill(pid, signal.SIGKILL)
        until(lambda: collector.halves().get(half, pid) != pid, PATIENCE)
        if half == "taper":
            until(lambda: player.process.poll() is not None or _covered(tape, life, other), PATIENCE)
        return
    process = psutil.Process(pid)
    process.suspend()
    time.sleep(dice.uniform(0.5, 1.5))
    process.resume()


def _covered(tape: Path, life: int, other: Path) -> bool:
    """Whether the lives after that one hear the bus again, and the other tape holds all that was sent before.

    What is sent while neither is subscribed, and what a killed one had not yet taken off its connection, is
    lost: so the other may be struck only once it has what this one first heard again.
    """
    heard = _lines(tape, life)
    return bool(heard) and heard[0] in _lines(other)


def _lines(tape: Path, after: int = 0) -> list[bytes]:
    """The bus's payloads on a tape, of the lives after that one, in order."""
    found: list[bytes] = []
    for segment in segments(tape):
        if segment.life > after:
            found += _payloads(tape, segment)
    return found


def _payloads(tape: Path, segment: Segment) -> list[bytes]:
    with opened(tape, segment) as file:
        whole = b"".join(iter(lambda: file.read(2**20), b"")).split(b"\n")[:-1]
    return [line.partition(b" ")[2] for line in whole if not line.startswith(b"!")]
