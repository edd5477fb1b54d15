"""The ZeroMQ bus against a real publisher."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
import zmq

from tapedeck import buses, vendors
from tapedeck.buses import Bus, Change, captured
from tapedeck.buses.zeromq import ROOM, ZeromqBus
from tapedeck.clock import Clock, Stamps
from tapedeck.simulate.stage import Stage
from tests.unit.buses.hearing import PATIENCE_S, hear, hear_changes


class OwnClock(Clock):
    """One that compiled loops know nothing of."""

    def monotonic(self) -> int:
        return super().monotonic()


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


@pytest.mark.parametrize("clock", [Clock(), OwnClock()])
def test_what_is_taken_are_lines_of_the_tape_whatever_payloads_hold(
    stage: Stage, bus: Bus, clock: Clock
) -> None:
    """By the compiled loop and by Python's, which a clock of one's own needs."""
    wait_for_listener(stage)
    odd = [
        b"",
        b"!",
        b"!x",
        b"b64",
        b"b64:",
        b"b64:AAAA",
        b"\n",
        b"a\n",
        b"ab\n",
        b"abc\n",
        b" ",
        b"\x00\xff{",
    ]
    large = [b"x" * (3 * ROOM), bytes(range(256)) * (ROOM // 128)]
    sent = [*odd, *large, *(b'{"n":%d}' % n for n in range(30_000)), *odd]
    for payload in sent:
        stage.send(payload)
    stamps, taken, batches = Stamps(clock=clock), b"", list[int]()
    before = stamps.take()
    deadline = time.monotonic() + PATIENCE_S
    while sum(batches) < len(sent) and time.monotonic() < deadline:
        found = bus.take(stamps, 4096)
        batches.append(found.messages)
        taken += found.data
        if not found.messages:
            bus.changes()
            bus.wait(100)
    assert max(batches) <= 4096
    lines = taken.split(b"\n")
    assert lines.pop() == b""
    parsed = [captured.parse(line, "tape", 0) for line in lines]
    assert [payload for _, payload in parsed] == sent
    assert [captured.line_of(*one) for one in parsed] == [line + b"\n" for line in lines]
    assert parsed[0][0] > before
    assert all(b - a >= max(len(payload), 1) for (a, payload), (b, _) in pairwise(parsed))
    last, payload = parsed[-1]
    assert stamps.floor == last + max(len(payload), 1)


def test_what_nobody_takes_is_bounded_and_the_rest_is_dropped_in_stretches_that_sequences_name() -> None:
    """Of 300,000 so many wait as the queue and the sockets between hold; what comes is in order."""
    sent, queue = 300_000, 10_000
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sender = context.socket(zmq.XPUB)
    sender.setsockopt(zmq.SNDHWM, 1_000)
    port = sender.bind_to_random_port("tcp://127.0.0.1")
    bus = ZeromqBus(f"tcp://127.0.0.1:{port}", queue)
    try:
        assert sender.poll(60_000)
        assert sender.recv() == b"\x01"
        for n in range(sent):
            sender.send(b'{"t":%d,"x":"%b"}' % (n, b"x" * 200))
        sender.setsockopt(zmq.LINGER, 0)
        stamps, taken = Stamps(), b""
        while (found := bus.take(stamps, 4096)).messages or bus.wait(500):
            taken += found.data
            bus.changes()
    finally:
        sender.close(0)
        context.term()
        bus.close()
    came = [int(line.split(b'"t":')[1].split(b",")[0]) for line in taken.split(b"\n")[:-1]]
    assert queue <= len(came) < sent / 2
    assert came[0] == 0
    assert all(b > a for a, b in pairwise(came))
    dropped = sum(b - a - 1 for a, b in pairwise(came)) + sent - 1 - came[-1]
    assert len(came) + dropped == sent


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
