"""The ZeroMQ bus against a real publisher."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tapedeck import buses, vendors
from tapedeck.buses import Bus, Change
from tapedeck.simulate.stage import Stage
from tests.unit.buses.hearing import hear, hear_changes


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage("tcp://127.0.0.1:0")
    yield stage
    stage.close(0)


@pytest.fixture
def bus(stage: Stage) -> Iterator[Bus]:
    bus = buses.open(f"zmq:{stage.endpoint}", vendors.get("binance_usdm"), [])
    yield bus
    bus.close()
    bus.close()


def wait_for_listener(stage: Stage) -> None:
    assert stage.wait_for_listeners(1, 20, lambda: False)


def test_payloads_come_byte_for_byte_in_order_and_none_is_dropped(stage: Stage, bus: Bus) -> None:
    wait_for_listener(stage)
    sent = [b"", b"\n!b64:\x00\xff", *(b"%d" % n for n in range(50_000))]
    for payload in sent:
        stage.send(payload)
    assert hear(bus, len(sent)) == sent
    assert list(bus.drain()) == []
    assert bus.wait(1) is False


def test_a_drain_may_be_left_and_taken_up_again(stage: Stage, bus: Bus) -> None:
    wait_for_listener(stage)
    for n in range(10):
        stage.send(b"%d" % n)
    first = None
    while first is None:  # what is waited for may also be the news of the connection
        assert bus.wait(10_000)
        bus.changes()
        first = next(bus.drain(), None)
    assert [first, *hear(bus, 9)] == [b"%d" % n for n in range(10)]


def test_connecting_losing_and_connecting_again_are_told_in_order(stage: Stage, bus: Bus) -> None:
    assert hear_changes(bus, 1) == [Change(True, stage.endpoint)]
    wait_for_listener(stage)
    stage.close(0)
    assert hear_changes(bus, 1) == [Change(False, stage.endpoint)]
    again = Stage(stage.endpoint)
    try:
        assert hear_changes(bus, 1) == [Change(True, stage.endpoint)]
        assert again.wait_for_listeners(1, 20, lambda: False)
        again.send(b"after")
        assert hear(bus, 1) == [b"after"]
    finally:
        again.close(0)


def test_a_stage_counts_who_listens_and_notices_who_leaves(stage: Stage, bus: Bus) -> None:
    other = buses.open(f"zmq:{stage.endpoint}", vendors.get("binance_usdm"), [])
    assert stage.wait_for_listeners(2, 20, lambda: False)
    other.close()
    for _ in range(400):
        if stage.listeners(50) == 1:
            break
    assert stage.listeners() == 1
