"""The whole road as processes: bus, tape, Kafka, Arctic; and how soon a reader sees a message."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import numpy as np
import psutil
from msgspec import structs

import tapedeck
from tapedeck.errors import Unavailable
from tapedeck.settings import Settings
from tapedeck.simulate import market
from tapedeck.slices import NS
from tapedeck.store import database
from tapedeck.store import library as libraries
from tests import tapes
from tests.benchmarks.bench import Bench
from tests.benchmarks.live import DAYS_PEAK, PATIENCE, PEAK_SECONDS, Collector, connected, paced
from tests.benchmarks.registry import benchmark
from tests.benchmarks.result import Must, Result
from tests.benchmarks.writers import held_by, writers

SYMBOLS = 300
SUSTAINED, SECONDS = 60_000, 45
WINDOW = 60
"""Short windows (s), so that many close while the feed goes on."""
BEHIND = 5.0
"""So long (s) after the last message all of it must be read, where the road keeps up."""
WARM, LOOK = 35, 15
"""A reader reads the margin before its slice too, so it is watched only once the feed is older than that."""


class Road(Collector):
    """A collector with writers behind it."""

    def __init__(self, bench: Bench, name: str) -> None:
        window = dict.fromkeys(("trade", "quote", "book"), WINDOW)
        self.names = market.symbol_names((), SYMBOLS)
        super().__init__(bench, f"{name}.", window=window, symbols=self.names)
        mongo = structs.replace(self.settings.mongo, database=f"bench_{name}")
        self.settings: Settings = structs.replace(self.settings, mongo=mongo)
        database.client(self.settings).drop_database(f"arctic_{tapes.VENDOR}")

    @contextmanager
    def running(self) -> Iterator[tuple[Connection, tapes.Running, psutil.Process]]:
        """The sender, the collector and the writers, once what is sent arrives."""
        with (
            paced(self.bus, self.names) as sender,
            tapes.Running(self.settings, "collect", tapes.VENDOR) as collector,
            writers(self.settings, tapes.VENDOR) as writer,
        ):
            sender.recv()
            connected(self, sender)
            yield sender, collector, writer

    def unread(self) -> int:
        """Records in Kafka that the writers have not read, and one more where one has not yet said."""
        said = held_by(self.settings, tapes.VENDOR)
        return sum(int(str(one["lag"])) for one in said) + sum(bool(one["held"]) for one in said)

    def stored(self) -> int:
        """Messages in acknowledged documents."""
        made = libraries.ensure(self.settings, tapes.VENDOR)
        kinds = (made[kind].collection for kind in ("trade", "quote", "book"))
        return sum(d["kept"]["n"] for kind in kinds for d in kind.find({}, {"kept.n": 1}))

    def sent(self, sender: Connection, rate: int, seconds: int) -> tuple[int, float, float]:
        """Send so many a second; gives how many that were, in how long (s), and how long the last took (s)
        until the writers had read it."""
        before = int(str(self.record()["messages"]))
        sender.send((rate, seconds))
        sent, took = sender.recv()
        ended = time.monotonic()
        self.until("messages", before + sent)
        deadline = ended + PATIENCE
        while float(str(self.record().get("lag") or 9)) > 2.5 or self.unread():
            if time.monotonic() > deadline:
                raise Unavailable(f"the writers do not catch up: {self.record()}")
            time.sleep(0.1)
        return sent, took, time.monotonic() - ended

    def all_stored(self, sent: int, before: int, bench: Bench) -> None:
        """Once all that was sent is stored. Raises Unavailable where some of it is not, or twice."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.stored() - before) < sent:
            if time.monotonic() > deadline:
                raise Unavailable(f"of {sent:,} messages {found:,} are in Arctic")
            time.sleep(0.5)
        if found != sent:
            raise Unavailable(f"of {sent:,} messages {found:,} are in Arctic")
        bench.say(f"all {sent:,} messages are in Arctic, each once")


def _fed(bench: Bench, name: str, rate: int, seconds: int) -> tuple[int, float, float]:
    road = Road(bench, name)
    with road.running() as (sender, collector, writer):
        before = int(str(road.record()["messages"]))
        sent, took, behind = road.sent(sender, rate, seconds)
        memory = max(one.memory_info().rss >> 20 for one in writer.children(recursive=True))
        collector.end()
        road.all_stored(sent, before, bench)
    bench.say(
        f"{sent:,} sent in {took:.1f} s; the last was read {behind:.1f} s later; a writer took {memory} MB"
    )
    return sent, took, behind


@benchmark("bus_to_arctic")
def sustained(bench: Bench) -> Result:
    """A steady feed, all on this machine: it is read as fast as it is sent, and counted in Arctic."""
    sent, took, behind = _fed(bench, "steady", SUSTAINED, SECONDS)
    late = max(0.0, behind - BEHIND)
    return Result(
        value=sent / (took + late), unit="messages/s", baseline_name="sustained", baseline=SUSTAINED,
        must=Must(0.99),
    )  # fmt: skip


@benchmark("bus_to_arctic_peak")
def peak(bench: Bench) -> Result:
    """A minute of a day's peak: the tape takes it, the rest catches up; nothing is lost."""
    sent, took, _ = _fed(bench, "rush", DAYS_PEAK, PEAK_SECONDS)
    return Result(
        value=sent / took, unit="messages/s", baseline_name="a day's peak", baseline=DAYS_PEAK,
        must=Must(0.99),
    )  # fmt: skip


@benchmark("freshness_10k")
def freshness_10k(bench: Bench) -> Result:
    """At 10,000 messages a second."""
    return _freshness(bench, 10_000)


@benchmark("freshness_50k")
def freshness_50k(bench: Bench) -> Result:
    """At 50,000 messages a second."""
    return _freshness(bench, 50_000)


def _freshness(bench: Bench, rate: int) -> Result:
    """From receipt until a read gives it, p99 over a busy symbol's quotes, which are read again and again."""
    road = Road(bench, f"fresh{rate}")
    name, symbol = f"{tapes.VENDOR}.quote", road.names[0]
    late: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    took: list[float] = []
    with road.running() as (sender, _, _):
        sender.send((rate, WARM + LOOK))
        began = time.monotonic()
        newest = 0
        while (age := time.monotonic() - began) < WARM + LOOK - 1:
            asked, now = time.monotonic(), time.time_ns()
            start = max(now - 5 * NS, newest + 1)
            frame = tapedeck.read(name, symbol, start, now + NS, ["bid"], settings=road.settings)
            seen = frame.index.asi8
            if len(seen):
                newest = int(seen[-1])
                if age > WARM:
                    late.append(time.time_ns() - seen)
                    took.append(time.monotonic() - asked)
        sender.recv()
    lateness = np.concatenate(late) / NS
    p50, p99 = np.quantile(lateness, [0.5, 0.99]).tolist()
    bench.say(
        f"{rate:,} messages/s: bus to reader p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms over "
        f"{len(lateness):,} quotes; a read took {np.median(took) * 1000:.0f} ms"
    )
    return Result(
        value=p99, unit="s p99", baseline_name="one second", baseline=1.0, must=Must(1.0, at_most=True)
    )
