"""Blows at one of two collectors, each struck only once the other holds what would be lost with it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tapedeck.tape.segment import Segment, segments
from tests.faults.standing import PATIENCE, Road
from tests.tapes import FIRST, Running, lines_on, until


def pid_of(collector: Running, half: str) -> int:
    """The half that runs now, or the next one."""
    until(lambda: half in collector.halves(), PATIENCE)
    return collector.halves()[half]


def kill(collector: Running, half: str) -> None:
    """SIGKILL; returns when another one runs in its place."""
    pid = pid_of(collector, half)
    os.kill(pid, signal.SIGKILL)
    until(lambda: collector.halves().get(half, pid) != pid, PATIENCE)


@contextmanager
def stopped(collector: Running, *halves: str) -> Iterator[None]:
    """They stand still during the block."""
    processes = [psutil.Process(pid_of(collector, half)) for half in halves]
    try:
        for process in processes:
            process.suspend()
        yield
    finally:
        for process in processes:
            process.resume()


def strike(road: Road, src: int, half: str, player: Running, dice: random.Random) -> None:
    """Kill a half, and return when it works again; or let it stand still for a while."""
    collector = road.collector(src)
    if dice.random() < 0.5:
        life = segments(road.tape(src))[-1].life
        kill(collector, half)
        if half == "taper":
            [other] = {*road.sources} - {src}
            tape, holds, since = road.tape(src), road.tape(other), road.since(other)
            until(
                lambda: player.process.poll() is not None or covered(tape, life, holds, since), PATIENCE, 0.1
            )
        return
    with stopped(collector, half):
        time.sleep(dice.uniform(0.5, 1.5))


def covered(tape: Path, life: int, other: Path, since: Segment = FIRST) -> bool:
    """Whether the lives after that one hear the bus again, and the other tape, from that segment on, holds
    all that was sent before.

    What is sent while neither is subscribed, and what a killed one had not yet taken off its connection, is
    lost: so the other may be struck only once it has what this one first heard again.
    """
    heard = lines_on(tape, life)
    return bool(heard) and heard[0] in lines_on(other, since=since)
