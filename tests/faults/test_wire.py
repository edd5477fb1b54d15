"""A publisher whose acknowledgements are lost on the wire, again and again: what is taped is in the log."""

from __future__ import annotations

import random
import signal
import time

import pytest
from msgspec import structs

from tapedeck.log import client, meta, topics
from tapedeck.settings import Settings
from tests.faults import FEW
from tests.faults.test_crash_points_of_halves import Half, recording
from tests.proxy import Proxy
from tests.tapes import VENDOR, check_log, publish_all, until

PATIENCE = 120.0
LOSSES, TRIES, LOOKS = 3, 20, 50


@pytest.mark.parametrize("seed", FEW)
def test_acknowledgements_lost_on_the_wire_lose_and_disorder_nothing(settings: Settings, seed: int) -> None:
    """The broker has what it was sent and nobody hears of it; then the wire is cut, or the sender dies."""
    dice = random.Random(seed)
    with Proxy.kafka(settings.kafka.bootstrap) as proxy:
        kafka = structs.replace(settings.kafka, bootstrap=proxy.address)
        through = structs.replace(settings, kafka=kafka)
        with recording(settings):
            half = Half(through, "publisher", VENDOR)
            try:
                until(lambda: _records(settings) > 0, PATIENCE)
                for _ in range(LOSSES):
                    _lose(settings, proxy)
                    if dice.random() < 0.5:
                        half.process.kill()
                        assert half.process.wait(60) == -signal.SIGKILL
                        proxy.cut()
                        half = Half(through, "publisher", VENDOR)
                    else:
                        proxy.cut()
            finally:
                half.__exit__()
    publish_all(settings)
    assert check_log(settings)[0] > 0


def _lose(settings: Settings, proxy: Proxy) -> None:
    """Lose replies until the broker has stored what nobody hears of.

    A publisher that asks about its topic just as they begin to be lost sends nothing more: then they are let
    through, and it is tried again.
    """
    for _ in range(TRIES):
        before = _records(settings)
        until(lambda: _records(settings) > before, PATIENCE, 0.1)  # noqa: B023
        had, lost = _records(settings), proxy.lost
        proxy.lose_replies()
        for _ in range(LOOKS):
            if _records(settings) > had and proxy.lost > lost:
                return
            time.sleep(0.1)
        proxy.cut()
    raise AssertionError("the broker stored nothing that nobody heard of")


def _records(settings: Settings) -> int:
    """How many records the live topic has; 0 while there is none."""
    if all(pin.vendor != VENDOR for pin in meta.read(settings).pins.values()):
        return 0
    pin = topics.verify(settings, VENDOR).live[0]
    bounds = client.bounds(settings, [(pin.name, p) for p in range(pin.partitions)])
    return sum(high for _, high in bounds.values())
