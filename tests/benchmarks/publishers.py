"""Two publishers to a tape, a core each, against one on one core: what sharing the partitions buys."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection

import psutil
from msgspec import structs

from tapedeck import endpoints, vendors
from tapedeck.buses import captured
from tapedeck.errors import Unavailable
from tapedeck.log import topics
from tapedeck.settings import Settings, Vendor
from tapedeck.tape import position
from tapedeck.tape.ending import Ending
from tapedeck.tape.publish import publish
from tapedeck.vendors import Chatter, Refusal
from tests import tapes
from tests.benchmarks.bench import Bench
from tests.benchmarks.publisher import RECORDED
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate
from tests.benchmarks.result import Must, Result

DIFFERENT, TIMES = 200_000, 10
BOOKS, BOOK_TIMES = 50_000, 8
PATIENCE = 600.0


@benchmark("publishers")
def synthetic(bench: Bench) -> Result:
    """The synthetic market, which a compiled loop reads.

    Each process is held to one core, the broker has both: from the word to begin until all is acknowledged,
    each publisher's start (half a second of an idempotent producer) included.
    """
    return _compare(bench, tapes.VENDOR, tapes.payloads(DIFFERENT), TIMES, 901)


@benchmark("publishers_recorded", files=RECORDED)
def recorded(bench: Bench) -> Result:
    """The same of recorded futures: whole books of hundreds of levels among the ticks."""
    normalise = vendors.get(tapes.VENDOR).normalise
    found = [payload for path in RECORDED for _, payload in captured.read(path)]
    good = [p for p in found if not isinstance(normalise(p, 1, 1)[0], Refusal | Chatter)]
    return _compare(bench, tapes.VENDOR, good, 4, 902)


@benchmark("publishers_python")
def in_python(bench: Bench) -> Result:
    """The same of a vendor that Python reads, a message at a time: what sharing a tape is there for."""
    made = [_update(i) for i in range(BOOKS)]
    return _compare(bench, "coinbase", made, BOOK_TIMES, 903)


def _update(i: int) -> bytes:
    """A change of one of a hundred books, as Coinbase writes it."""
    changes = [
        ["buy", f"{30_000 + (i * 7 + k) % 997}.{k}1", f"0.{i % 8999 + 1000}"] for k in range(i % 3 + 1)
    ]
    said = {
        "type": "l2update", "product_id": f"C{i % 100}-USD", "changes": changes,
        "time": f"2026-08-25T03:35:{i % 60:02d}.{i % 999_983:06d}Z",
    }  # fmt: skip
    return json.dumps(said, separators=(",", ":")).encode()


def _compare(bench: Bench, vendor: str, payloads: Sequence[bytes], times: int, src: int) -> Result:
    settings = structs.replace(bench.settings, vendors={**bench.settings.vendors, vendor: Vendor()})
    topics.ensure(settings, vendor)
    tape = tapes.Tape(settings, src, size=2**40, name=vendor)
    for _ in range(times):
        tape.take(*payloads)
    tape.writer.close()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise Unavailable("there is one core only: two publishers can't have one each")
    job = _Job(bench, settings, vendor, src, len(payloads) * times)
    value, baseline = alternate(lambda: job.rate(cores), lambda: job.rate(cores[:1]))
    return Result(
        value=value, unit="messages/s", baseline_name="one on one core", baseline=baseline, must=Must(1.3)
    )


class _Job:
    """A tape that is published again and again."""

    def __init__(self, bench: Bench, settings: Settings, vendor: str, src: int, count: int) -> None:
        self._bench, self._settings, self._vendor = bench, settings, vendor
        self._src, self._count = src, count
        self._folder = settings.tape_dir(vendor, src)
        broker = endpoints.read_server(settings, "kafka")
        self._broker = psutil.Process(broker.pid) if broker else None

    def rate(self, cores: list[int]) -> float:
        """Messages a second by a publisher on each core; tells what CPU they and the broker took."""
        shared = {**self._settings.vendors, self._vendor: Vendor(publishers=len(cores))}
        settings = structs.replace(self._settings, vendors=shared)
        for path in self._folder.glob("position*.json"):
            path.unlink()
        context, ends = get_context("spawn"), list[Connection]()
        with ExitStack() as stack:
            for part, core in enumerate(cores):
                ours, its = context.Pipe()
                process = context.Process(
                    target=_publish, args=(its, settings, self._vendor, self._src, part, core), daemon=True
                )
                process.start()
                stack.callback(process.join, 10)
                stack.callback(process.terminate)
                ends.append(ours)
            for end in ends:
                end.recv()
            before, began = self._cpu(), time.perf_counter()
            for end in ends:
                end.send("begin")
            spent = sum(end.recv() for end in ends)
            took, broker = time.perf_counter() - began, self._cpu() - before
        found = position.load(self._folder)
        sent = sum(lane.sent for lane in found.lanes) if found else 0
        if sent != self._count:
            raise Unavailable(f"{sent:,} of {self._count:,} messages were published: run it again")
        self._bench.say(
            f"{len(cores)} on {len(cores)} core(s): {sent / took:,.0f} messages/s; CPU a message: publishers "
            f"{spent / sent * 1e6:.2f} µs, broker {broker / sent * 1e6:.2f} µs"
        )
        return sent / took

    def _cpu(self) -> float:
        """Seconds of CPU that the broker has taken."""
        times = self._broker.cpu_times() if self._broker else None
        return times.user + times.system if times else 0.0


def _publish(parent: Connection, settings: Settings, vendor: str, src: int, part: int, core: int) -> None:
    os.sched_setaffinity(0, {core})
    ending = Ending(patience=PATIENCE)
    ending.ask()
    parent.send("ready")
    parent.recv()
    began = time.process_time()
    publish(settings, vendor, src, ending, print, part=part)
    parent.send(time.process_time() - began)
