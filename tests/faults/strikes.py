"""Blows at one of two collectors, each struck only once the other holds what would be lost with it."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import psutil

from tapedeck.tape.segment import segments
from tests.tapes import Running, lines_on, until

PATIENCE = 60.0


def strike(
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
            until(lambda: player.process.poll() is not None or covered(tape, life, other), PATIENCE)
        return
    process = psutil.Process(pid)
    process.suspend()
    time.sleep(dice.uniform(0.5, 1.5))
    process.resume()


def covered(tape: Path, life: int, other: Path) -> bool:
    """Whether the lives after that one hear the bus again, and the other tape holds all that was sent before.

    What is sent while neither is subscribed, and what a killed one had not yet taken off its connection, is
    lost: so the other may be struck only once it has what this one first heard again.
    """
    heard = lines_on(tape, life)
    return bool(heard) and heard[0] in lines_on(other)
