"""A storm of writers that join, leave, die and stand still; a broker killed under them: each message once."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import ExitStack

import pytest

from tapedeck import endpoints
from tapedeck.settings import Settings
from tests.faults import ONCE
from tests.flow import Process, await_that, is_right, quick, stored, watched

EVENTS = 6


@pytest.mark.parametrize("seed", ONCE)
def test_whoever_joins_leaves_dies_or_stands_still(settings: Settings, seed: int) -> None:
    dice, settings = random.Random(seed), quick(settings)
    with watched(settings, seed) as flow, ExitStack() as ended:
        crew = [ended.enter_context(Process(settings)) for _ in range(2)]
        stopped: list[Process] = []
        for _ in range(EVENTS):
            before = stored(settings)
            await_that(lambda before=before: stored(settings) > before, lambda: crew[0].said)  # type: ignore[misc]
            what = dice.choice(["join", "leave", "die", "stop", "wake"])
            if what == "wake" and stopped:
                stopped[-1].process.send_signal(signal.SIGCONT)
                crew.append(stopped.pop())
            elif what in ("leave", "die", "stop") and len(crew) > 1:
                one = crew.pop(dice.randrange(len(crew)))
                if what == "leave":
                    assert one.end() == 0, one.said
                elif what == "die":
                    one.process.kill()
                else:
                    one.process.send_signal(signal.SIGSTOP)
                    stopped.append(one)
            else:
                crew.append(ended.enter_context(Process(settings)))
        for one in stopped:
            one.process.send_signal(signal.SIGCONT)
        *others, last = [*stopped, *crew]
        for one in others:
            assert one.end() == 0, one.said
        flow.end()
        is_right(settings, flow, last)


@pytest.mark.parametrize("seed", ONCE)
def test_a_broker_that_is_killed_is_waited_for(embedded: Settings, settings: Settings, seed: int) -> None:
    dice, settings = random.Random(seed), quick(settings)
    with watched(settings, seed) as flow, Process(settings) as writer:
        before = stored(settings)
        await_that(lambda: stored(settings) > before + 40, lambda: writer.said)
        time.sleep(dice.uniform(0, 0.5))
        record = endpoints.read_server(embedded, "kafka")
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)  # its supervisor starts it again
        before = stored(settings)
        await_that(lambda: stored(settings) > before + 40, lambda: writer.said)
        flow.end()
        is_right(settings, flow, writer)
