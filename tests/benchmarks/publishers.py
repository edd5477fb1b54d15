"""Two publishers to a tape, a core each, against one on one core: what sharing the partitions buys."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection

from msgspec import structs

from tapedeck.errors import Unavailable
from tapedeck.log import topics
from tapedeck.settings import Settings, Vendor
from tapedeck.tape import position
from tapedeck.tape.ending import Ending
from tapedeck.tape.publish import publish
from tests import tapes
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate
from tests.benchmarks.result import Must, Result

DIFFERENT, TIMES, SRC = 200_000, 10, 901
PATIENCE = 600.0


@benchmark("publishers")
def measure(bench: Bench) -> Result:
    """Each process is held to one core, the broker has both: from the word to begin until all of two million
    messages are acknowledged, each publisher's start (half a second of an idempotent producer) included."""
    topics.ensure(bench.settings, tapes.VENDOR)
    tape, sent = tapes.Tape(bench.settings, SRC, size=2**40), tapes.payloads(DIFFERENT)
    for _ in range(TIMES):
        tape.take(*sent)
    tape.writer.close()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise Unavailable("there is one core only: two publishers can't have one each")
    value, baseline = alternate(lambda: _rate(bench, cores), lambda: _rate(bench, cores[:1]))
    return Result(
        value=value, unit="messages/s", baseline_name="one on one core", baseline=baseline, must=Must(1.3)
    )


def _rate(bench: Bench, cores: list[int]) -> float:
    vendor = Vendor(publishers=len(cores))
    settings = structs.replace(bench.settings, vendors={**bench.settings.vendors, tapes.VENDOR: vendor})
    folder = settings.tape_dir(tapes.VENDOR, SRC)
    for path in folder.glob("position*.json"):
        path.unlink()
    context, ends = get_context("spawn"), list[Connection]()
    with ExitStack() as stack:
        for part, core in enumerate(cores):
            ours, its = context.Pipe()
            process = context.Process(target=_publish, args=(its, settings, part, core), daemon=True)
            process.start()
            stack.callback(process.join, 10)
            stack.callback(process.terminate)
            ends.append(ours)
        for end in ends:
            end.recv()
        began = time.perf_counter()
        for end in ends:
            end.send("begin")
        for end in ends:
            end.recv()
        took = time.perf_counter() - began
    found = position.load(folder)
    sent = sum(lane.sent for lane in found.lanes) if found else 0
    if sent != DIFFERENT * TIMES:
        raise Unavailable(f"{sent:,} of {DIFFERENT * TIMES:,} messages were published: run it again")
    return sent / took


def _publish(parent: Connection, settings: Settings, part: int, core: int) -> None:
    os.sched_setaffinity(0, {core})
    ending = Ending(patience=PATIENCE)
    ending.ask()
    parent.send("ready")
    parent.recv()
    publish(settings, tapes.VENDOR, SRC, ending, print, part=part)
    parent.send("done")
