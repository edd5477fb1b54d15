"""A collector's halves killed by SIGKILL at each named point of their work: what was taped is in the log."""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, pairwise

import pytest
import zmq
from msgspec import structs

from tapedeck.settings import Settings
from tapedeck.settings import Tape as TapeSettings
from tapedeck.tape.follow import Follower
from tests.faults import FEW
from tests.faulty_half import PUBLISHER, TAPER
from tests.tapes import VENDOR, Running, Tape, check_log, payloads, publish_all

PATIENCE = 120.0
KILLS = 2
"""In each seed: a hundred of them meet every point a dozen times."""


class Half(Running):
    """A half of a collector that dies at a point."""

    command = (sys.executable, "-m", "tests.faulty_half")


def points(of: dict[str, tuple[str, str, str]], seed: int) -> list[str]:
    names = list(of)
    return [names[(KILLS * seed + i) % len(names)] for i in range(KILLS)]


@contextmanager
def recording(settings: Settings) -> Iterator[None]:
    """A tape that goes on during the block, a heartbeat every now and then, and is ended with it."""
    tape, ended, said = Tape(settings, size=40_000), threading.Event(), payloads(20_000)
    tape.own("connect", why="")

    def work() -> None:
        at = 0
        while not ended.wait(0.02):
            tape.take(*(said[i % len(said)] for i in range(at, at + 20)))
            tape.own("heartbeat", connected=True)
            at += 20

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        tape.end()


@pytest.mark.parametrize("seed", FEW)
def test_a_publisher_killed_at_a_named_point_loses_disorders_and_renames_nothing(
    settings: Settings, seed: int
) -> None:
    dice = random.Random(seed)
    with recording(settings):
        for point in points(PUBLISHER, seed):
            turn = dice.randint(1, 4) if "lines" in point or "acknowledgements" in point else 1
            with Half(settings, "publisher", VENDOR, "--die", point, "--turn", str(turn)) as half:
                assert half.process.wait(PATIENCE) == -signal.SIGKILL, f"{point}: {half.said}"
    publish_all(settings)
    assert check_log(settings)[0] > 0


@contextmanager
def sending(port: int, sent: list[bytes]) -> Iterator[None]:
    """A bus during the block, that sends these payloads over and over to whoever listens."""
    ended = threading.Event()

    def work() -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        bus = context.socket(zmq.PUB)
        bus.setsockopt(zmq.SNDHWM, 0)
        bus.setsockopt(zmq.LINGER, 0)
        bus.bind(f"tcp://127.0.0.1:{port}")
        for payload in cycle(sent):
            bus.send(payload)
            if ended.wait(0.001):
                break
        bus.close()
        context.term()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("seed", FEW)
def test_a_taper_killed_at_a_named_point_loses_nothing_that_it_had_taped(
    settings: Settings, seed: int
) -> None:
    dice, sent = random.Random(seed), payloads(5_000)
    settings = structs.replace(settings, tape=TapeSettings(segment_bytes=8_000))
    told: list[list[bytes]] = []
    with sending(int(settings.vendor(VENDOR).bus.rpartition(":")[2]), sent):
        for point in points(TAPER, seed):
            with Half(settings, "taper", VENDOR, "--die", point, "--turn", str(dice.randint(1, 4))) as half:
                assert half.process.wait(PATIENCE) == -signal.SIGKILL, f"{point}: {half.said}"
            told.append(_taped(settings))
    publish_all(settings)
    check_log(settings)
    place = {payload: i for i, payload in enumerate(sent)}
    for before, after in pairwise([[], *told]):
        assert after[: len(before)] == before, "what was on the tape stays there as it was"
        heard = [place[payload] for payload in after[len(before) :]]
        assert all((b - a) % len(sent) == 1 for a, b in pairwise(heard)), "a life's tape has no hole"


def _taped(settings: Settings) -> list[bytes]:
    """The bus's payloads on the tape, whole lines only, in order."""
    found: list[bytes] = []
    follower = Follower(settings.tape_dir(VENDOR, 1))
    while chunk := follower.read():
        found += [
            line.partition(b" ")[2] for line in chunk.data.split(b"\n")[:-1] if not line.startswith(b"!")
        ]
    follower.close()
    return found


def test_every_point_is_met_by_the_seeds_of_a_campaign() -> None:
    for of in (PUBLISHER, TAPER):
        assert {point for seed in range(8) for point in points(of, seed)} == set(of)
