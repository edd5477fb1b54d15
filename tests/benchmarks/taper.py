"""Bus to raw tape."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

import zmq

from tapedeck.buses.zeromq import ZeromqBus
from tapedeck.errors import Unavailable
from tapedeck.tape.segment import opened, segments, stamp_of
from tapedeck.tape.taper import tape
from tests import tapes
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate
from tests.benchmarks.result import Must, Result
from tests.benchmarks.sender import sending

COUNT = 300_000
FIRST_SRC = 2
PATIENCE = 60.0
QUIET_LOOKS = 10
"""So many looks, 0.1 s apart, at a tape that stands still are its end: a sender may be starved for some."""


@benchmark("taper")
def measure(bench: Bench) -> Result:
    """From the first message on the tape to the last, against a loop that receives and forgets.

    Each run has a tape of its own: on one tape it would compress beside it what the run before left.
    """
    numbers = count(FIRST_SRC)
    with sending(COUNT) as endpoint:
        value, baseline = alternate(
            lambda: _taped(bench, endpoint, next(numbers)), lambda: _received(endpoint)
        )
    return Result(
        value=value, unit="messages/s", baseline_name="bare receive loop", baseline=baseline, must=Must(0.8)
    )


def _received(endpoint: str) -> float:
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.connect(endpoint)
        receive = socket.recv
        receive()
        began = time.perf_counter()
        for _ in range(COUNT - 1):
            receive()
        return (COUNT - 1) / (time.perf_counter() - began)


def _taped(bench: Bench, endpoint: str, src: int) -> float:
    folder = bench.settings.tape_dir(tapes.VENDOR, src)
    bus = ZeromqBus(endpoint)
    try:
        taped = tape(bench.settings, tapes.VENDOR, src, bus, _Silence(folder), bench.say)
    finally:
        bus.close()
    if taped.messages != COUNT:
        raise Unavailable(
            f"the tape has {taped.messages:,} of {COUNT:,} messages that were sent: run it again"
        )
    first, last = _bounds(folder)
    return (COUNT - 1) * 1e9 / (last - first)


def _bounds(folder: Path) -> tuple[int, int]:
    """Receipt times of a tape's first and last message."""
    stamps = []
    for segment in segments(folder):
        with opened(folder, segment) as file:
            lines = file.read().split(b"\n")[:-1]
        messages = [line for line in lines if not line.startswith(b"!")]
        stamps += [stamp_of(messages[0]) or 0, stamp_of(messages[-1]) or 0]
    return min(stamps), max(stamps)


class _Silence:
    """True once the tape has grown and then stood still, heartbeats apart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._size = self._quiet = 0
        self._next = self._began = time.monotonic()

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + 0.1
        last = segments(self._folder)[-1]
        size = last.plain(self._folder).stat().st_size
        self._quiet = self._quiet + 1 if size - self._size < 1000 else 0
        self._size = size
        done = size > COUNT * 50 and self._quiet >= QUIET_LOOKS
        return done or now - self._began > PATIENCE
