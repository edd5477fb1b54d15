"""A writer killed by SIGKILL at each named point of its work: each message in Arctic once, as rebuilt."""

from __future__ import annotations

import random
import signal

import pytest
from msgspec import structs

from tapedeck.settings import Settings
from tests.faults import SEEDS
from tests.faulty import POINTS, found
from tests.flow import PATIENCE, Process, is_right, quick, watched

KILLS = 2
"""In each seed: a hundred of them meet every point a dozen times."""


@pytest.mark.parametrize("point", POINTS)
def test_each_point_is_one_of_the_writers(point: str) -> None:
    assert callable(found(POINTS[point])[2])


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_a_named_point_it_loses_and_doubles_nothing(settings: Settings, seed: int) -> None:
    dice, settings = random.Random(seed), quick(settings)
    names = list(POINTS)
    points = [names[(KILLS * seed + i) * 7 % len(names)] for i in range(KILLS)]

    def life(number: int) -> Settings:
        """In a group of its own, so that it need not wait until its predecessor is given up."""
        return structs.replace(settings, writer=structs.replace(settings.writer, group=f"life-{number}"))

    with watched(settings, seed) as flow:
        for number, point in enumerate(points):
            turn = dice.randint(1, 3) if point != "partitions are begun with" else 1
            with Process(life(number), "--die", point, "--turn", str(turn)) as writer:
                assert writer.process.wait(PATIENCE) == -signal.SIGKILL, f"{point}: {writer.said}"
        with Process(life(KILLS)) as writer:
            flow.end()
            is_right(settings, flow, writer)
