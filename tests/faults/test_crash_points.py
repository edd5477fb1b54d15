"""SIGKILL for a writer, mongod or the broker when a writer comes to a named point of its work, and at random:
each message in Arctic once, as rebuilt, and no reader saw anything else.

The writers are `tapedeck write` with two processes, which starts again whichever dies.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tapedeck import endpoints
from tapedeck.embedded import lock, supervisor
from tapedeck.settings import Settings
from tests.faults import SEEDS
from tests.faulty import POINTS, Orders, found
from tests.flow import PATIENCE, Process, await_that, is_right, quick, watched

WRITER, SERVERS = "writer", ("mongod", "kafka")
HUNDRED = 100
BEGIN = "partitions are begun with"
"""Who has partitions comes there again only once another dies."""


@dataclass(frozen=True, order=True)
class Blow:
    """Who dies as a writer comes to that point; the writer is that writer."""

    point: str
    victim: str


def blows(seed: int) -> list[Blow]:
    """Two points at which a writer dies, and in every other seed one at which a server does.

    In a hundred seeds a writer dies at each point ten times, and either server at each point once or twice.
    """
    names = [list(POINTS)[i * 7 % len(POINTS)] for i in range(len(POINTS))]
    planned = [Blow(names[i % len(names)], WRITER) for i in (2 * seed, 2 * seed + 1)]
    turn, odd = divmod(seed, 2)
    if not odd:
        planned.append(Blow(names[turn % len(names)], SERVERS[turn // len(names) % 2]))
    return planned


STRUCK: Counter[Blow] = Counter()
AT_RANDOM: Counter[str] = Counter()
BEGUN: list[int] = []
"""What this run's seeds have struck, and which they are."""


@pytest.mark.parametrize("point", POINTS)
def test_each_point_is_one_of_the_writers(point: str) -> None:
    assert callable(found(POINTS[point])[2])


@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_dies_at_a_named_point_nothing_is_lost_or_doubled(
    embedded: Settings, settings: Settings, tmp_path: Path, seed: int
) -> None:
    dice, settings, orders = random.Random(seed), quick(settings), Orders(tmp_path / "orders")
    planned = blows(seed)
    dice.shuffle(planned)
    BEGUN.append(seed)
    with watched(settings, seed) as flow, Process(settings, processes=2, orders=orders) as writer:
        for number, blow in enumerate(planned):
            pid = None if blow.victim == WRITER else server(embedded, blow.victim)
            begins = blow.point == BEGIN
            orders.give(blow.point, 1 if begins else dice.randint(1, 3), pid)
            if begins and number:
                kill_one(writer, dice)
            await_that(lambda: orders.done, lambda blow=blow: f"{blow}: {writer.said}")  # type: ignore[misc]
            STRUCK[blow] += 1
            if pid is not None:
                start_again(embedded, blow.victim, pid)
        time.sleep(dice.uniform(0, 1))
        victim = dice.choice([WRITER, WRITER, *SERVERS])
        AT_RANDOM[victim] += 1
        if victim == WRITER:
            kill_one(writer, dice)
        else:
            pid = server(embedded, victim)
            os.kill(pid, signal.SIGKILL)
            start_again(embedded, victim, pid)
        flow.end()
        is_right(settings, flow, writer)
        ordered = sum(blow.victim == WRITER for blow in planned)
        assert writer.said.count("killed by signal 9") >= ordered, writer.said


def test_a_hundred_seeds_strike_each_point_ten_times(capsys: pytest.CaptureFixture[str]) -> None:
    """And those that have just run struck where they were to; a campaign prints the counts."""
    planned = Counter(blow for seed in range(HUNDRED) for blow in blows(seed))
    assert all(planned[Blow(point, WRITER)] >= 10 for point in POINTS)
    assert all(planned[Blow(point, server)] >= 1 for point in POINTS for server in SERVERS)
    assert Counter(blow for seed in BEGUN for blow in blows(seed)) == STRUCK
    if len(BEGUN) > 2:
        with capsys.disabled():
            print("\n".join(["", *table()]))


def table() -> Iterator[str]:
    """What was struck, point by point."""
    yield f"{len(BEGUN)} seeds".ljust(51) + " ".join(f"{victim:>7}" for victim in (WRITER, *SERVERS))
    for point in (*POINTS, "at random"):
        counts = [
            AT_RANDOM[victim] if point == "at random" else STRUCK[Blow(point, victim)]
            for victim in (WRITER, *SERVERS)
        ]
        yield " ".join([f"{point:50}", *(f"{count:7}" for count in counts)])


def server(embedded: Settings, name: str) -> int:
    """The pid of the session's broker or mongod."""
    record = endpoints.read_server(embedded, name)
    assert record is not None
    return record.pid


def start_again(embedded: Settings, name: str, dead: int) -> None:
    """As their supervisor does, but at once: it takes its time with a server that dies again and again."""
    await_that(lambda: not is_alive(dead), lambda: f"{name} lives")
    with lock.held(embedded.state, lambda _: None, PATIENCE):
        supervisor.mend(embedded.state, supervisor._Pauses())


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_one(writer: Process, dice: random.Random) -> None:
    """SIGKILL for one of its processes."""

    def alive() -> list[psutil.Process]:
        return [one for one in writer.crew if is_alive(one.pid)]

    await_that(lambda: bool(alive()), lambda: writer.said)
    dice.choice(alive()).kill()
