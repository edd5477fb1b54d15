"""A broker killed, standing still, or away for ten minutes of a market: what is taped comes into the log."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from tapedeck.message import Status
from tapedeck.settings import Settings, Vendor
from tests import servers
from tests.faults import FEW, SEEDS
from tests.faults.broker import await_another, kill, own_broker, pid_of
from tests.proxy import Proxy
from tests.tapes import VENDOR, Running, check_log, publish_all, taped, until

MINUTES, SPEED = 10, 60 if len(SEEDS) > 2 else 150
PATIENCE = 240.0
SESSION = 2.0
"""The embedded broker's own time limit, in seconds."""
CLIENT = 31.0
"""Behind a request's of Kafka's clients (30 s)."""


@pytest.fixture(scope="module")
def broker() -> Iterator[tuple[Settings, Path]]:
    with own_broker() as found:
        yield found


def _of_ones_own(settings: Settings, tmp_path: Path, seed: int) -> Settings:
    kafka = structs.replace(settings.kafka, prefix=f"s{seed}-{tmp_path.name[-8:]}.")
    vendor = Vendor(bus=f"zmq:tcp://127.0.0.1:{servers.free_port()}", symbols=["BTCUSDT", "ETHUSDT"])
    return structs.replace(settings, state_dir=str(tmp_path / "state"), kafka=kafka, vendors={VENDOR: vendor})


def _play(settings: Settings, seed: int) -> Running:
    return Running(
        settings, "simulate", VENDOR, "--symbols", "6", "--rate", "20", "--duration", str(MINUTES * 60),
        "--speed", str(SPEED), "--seed", str(seed), "--json",
    )  # fmt: skip


def _hold(settings: Settings, market: Running) -> None:
    """All that the bus sent is on the tape, and all of the tape is in the log."""
    assert market.process.wait(PATIENCE) == 0, market.said
    sent = int(json.loads(market.said.splitlines()[-1])["totals"]["sent"])
    until(lambda: len([m for m in taped(settings) if not isinstance(m, Status)]) == sent, PATIENCE, 0.2)


@pytest.mark.parametrize("seed", FEW)
def test_a_broker_killed_and_stopped_loses_and_disorders_nothing(
    broker: tuple[Settings, Path], tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    settings, state = _of_ones_own(broker[0], tmp_path, seed), broker[1]
    longest = CLIENT if len(SEEDS) > 2 and seed % 5 == 0 else 2 * SESSION
    with Running(settings, "collect", VENDOR) as collector:
        until(lambda: len(collector.halves()) == 2, PATIENCE)
        with _play(settings, seed) as market:
            for blow in dice.sample(["kill", "stop"], 2):
                time.sleep(dice.uniform(0.5, 2.0))
                if blow == "kill":
                    await_another(settings, state, kill(state))
                    continue
                pid = pid_of(state)
                os.kill(pid, signal.SIGSTOP)
                try:
                    time.sleep(longest)
                finally:
                    os.kill(pid, signal.SIGCONT)
            _hold(settings, market)
        assert collector.end() == 0, collector.said
    publish_all(settings)
    check_log(settings)


@pytest.mark.parametrize("seed", FEW)
def test_ten_minutes_of_tape_wait_for_a_broker_that_is_away(
    settings: Settings, tmp_path: Path, seed: int
) -> None:
    with Proxy.kafka(settings.kafka.bootstrap) as proxy:
        kafka = structs.replace(settings.kafka, bootstrap=proxy.address)
        through = structs.replace(settings, kafka=kafka)
        with Running(through, "collect", VENDOR) as collector:
            until(lambda: len(collector.halves()) == 2, PATIENCE)
            if seed % 2:
                proxy.leave()  # before it has said a word
            with _play(through, seed) as market:
                until(lambda: len(taped(settings)) > 100, PATIENCE)
                proxy.leave()
                _hold(settings, market)
            proxy.come_back()
            assert collector.end() == 0, collector.said
    publish_all(settings)
    check_log(settings)
