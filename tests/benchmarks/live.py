"""The whole collector as processes, fed at a pace: nothing lost, how late, and against cryptofeed's way."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import zmq
from aiokafka import AIOKafkaProducer
from confluent_kafka import TopicPartition
from msgspec import structs

from tapedeck import vendors
from tapedeck.errors import Unavailable
from tapedeck.log import client, topics
from tapedeck.log.plan import Range
from tapedeck.log.read import read
from tapedeck.message import KIND_OF, encode
from tapedeck.settings import Settings, Vendor
from tests import servers, tapes
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.result import Must, Result

DAYS_PEAK, PEAK_SECONDS = 125_000, int(os.environ.get("BENCH_PEAK_SECONDS", "60"))
PACE_SECONDS = 15
DIFFERENT = 100_000
"""So many payloads are sent again and again."""
PATIENCE = 900.0
AWAITED = 5_000


@contextmanager
def paced(address: str, symbols: Sequence[str] = tapes.SYMBOLS) -> Iterator[Connection]:
    """A process that sends (rate, seconds) when it is asked to, and answers how many that were."""
    context = get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_send, args=(its, address, symbols), daemon=True)
    process.start()
    try:
        yield ours
    finally:
        process.terminate()
        process.join(10)


def _send(asked: Connection, address: str, symbols: Sequence[str]) -> None:
    payloads = tapes.payloads(DIFFERENT, symbols=symbols)
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.bind(address)
        asked.send("ready")
        while True:
            rate, seconds = asked.recv()
            began, sent, total = time.perf_counter(), 0, int(rate * seconds)
            while sent < total:
                due = min(total, int((time.perf_counter() - began) * rate))
                while sent < due:
                    socket.send(payloads[sent % DIFFERENT])
                    sent += 1
                time.sleep(0.0005)
            asked.send((sent, time.perf_counter() - began))


class Collector:
    """A collector of the bench's own, alone on its vendor's topic."""

    def __init__(self, bench: Bench, prefix: str, **more: Any) -> None:
        """`more`: of the vendor's table."""
        port = servers.free_port()
        kafka = structs.replace(bench.settings.kafka, prefix=prefix)
        more = {"symbols": list(tapes.SYMBOLS), **more}
        bus = Vendor(bus=f"zmq:tcp://127.0.0.1:{port}", **more)
        state = bench.folder / prefix.strip(".")
        state.mkdir(parents=True, exist_ok=True)
        self.settings: Settings = structs.replace(
            bench.settings, kafka=kafka, state_dir=str(state / "state"), vendors={tapes.VENDOR: bus}
        )
        self.bus = bus.bus.removeprefix("zmq:")

    def record(self) -> dict[str, object]:
        path = Path(self.settings.state_dir) / "live" / f"collector-{tapes.VENDOR}-1.json"
        try:
            return dict(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            return {}

    def until(self, what: str, least: float) -> dict[str, object]:
        """The record once `what` has reached `least`."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.record()
            if float(str(found.get(what) or 0)) >= least:
                return found
            time.sleep(0.1)
        raise Unavailable(f"the collector's {what} did not reach {least}: {self.record()}")

    def published(self) -> int:
        """How many trades, quotes and book changes the log holds."""
        pin, count = topics.verify(self.settings, tapes.VENDOR).live[0], 0
        for p, (low, high) in enumerate(_marks(self.settings)):
            wanted = Range(
                topic=pin.name, topic_id=pin.id, number=pin.number, partition=p,
                start=low, stop=high, start_reason="exact", stop_reason="watermark",
            )  # fmt: skip
            for part in read(self.settings, [wanted]):
                count += sum(value[2:3] in (b"t", b"q", b"b") for value in part.values)
        return count


def _marks(settings: Settings) -> list[tuple[int, int]]:
    """By partition, the offsets that the live topic holds."""
    pin = topics.verify(settings, tapes.VENDOR).live[0]
    with client.consumer(settings) as consumer:
        return [
            consumer.get_watermark_offsets(TopicPartition(pin.name, p), 10) for p in range(pin.partitions)
        ]


def _high(settings: Settings) -> int:
    """Records that the live topic holds."""
    return sum(high - low for low, high in _marks(settings))


@benchmark("collector")
def peak(bench: Bench) -> Result:
    """A day's peak for a minute: all of it on the tape, then in the log, counted by what the halves said."""
    made = Collector(bench, "peak.")
    with paced(made.bus) as sender, tapes.Running(made.settings, "collect", tapes.VENDOR) as collector:
        sender.recv()
        connected(made, sender)
        cpu = {name: psutil.Process(pid).cpu_times() for name, pid in collector.halves().items()}
        before = int(str(made.record()["messages"]))
        sender.send((DAYS_PEAK, PEAK_SECONDS))
        sent, took = sender.recv()
        made.until("messages", before + sent)
        taped_all = time.monotonic()
        taped = int(str(made.record()["messages"])) - before
        used = psutil.Process(collector.halves()["taper"]).cpu_times()
        spent = used.user + used.system - cpu["taper"].user - cpu["taper"].system
        rss = {n: psutil.Process(pid).memory_info().rss >> 20 for n, pid in collector.halves().items()}
        caught_up = _until_caught_up(made)
        status = collector.end()
    size = sum(path.stat().st_size for path in made.settings.tape_dir(tapes.VENDOR, 1).glob("*.tape*"))
    published = made.published() - before
    bench.say(f"sent {sent:,} in {took:.1f} s, taped {taped:,}, published {published:,}, status {status}")
    bench.say(
        f"caught up {caught_up - taped_all:.1f} s later; the taper took {spent / sent * 1e6:.1f} µs and "
        f"{size / sent:.0f} bytes of compressed tape a message; memory in MB {rss}"
    )
    if taped != sent or published != sent:
        raise Unavailable(f"of {sent:,} messages {taped:,} are on the tape and {published:,} in the log")
    return Result(
        value=sent / took,
        unit="messages/s",
        baseline_name="a day's peak",
        baseline=DAYS_PEAK,
        must=Must(0.99),
    )


def connected(made: Collector, sender: Connection) -> None:
    """Once the taper hears the bus and Kafka takes what the publisher sends."""
    deadline = time.monotonic() + PATIENCE
    while int(str(made.record().get("messages") or 0)) == 0 or made.record().get("held"):
        if time.monotonic() > deadline:
            raise Unavailable(f"the collector does not hear its bus: {made.record()}")
        sender.send((10, 0.1))
        sender.recv()
        time.sleep(0.3)
    time.sleep(3)


def _until_caught_up(made: Collector) -> float:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        lag = made.record().get("lag")
        if lag is not None and float(str(lag)) < 2.5:
            return time.monotonic()
        time.sleep(0.2)
    raise Unavailable(f"the collector does not catch up: {made.record()}")


def _latency(bench: Bench, rate: int) -> Result:
    """p99 from receipt to acknowledgement, of the collector's own histogram, at a steady rate."""
    made = Collector(bench, f"late{rate}.")
    with paced(made.bus) as sender, tapes.Running(made.settings, "collect", tapes.VENDOR) as collector:
        sender.recv()
        connected(made, sender)
        address = str(made.record()["health"])
        before = _histogram(address)
        sender.send((rate, PACE_SECONDS))
        sender.recv()
        time.sleep(3)
        after = _histogram(address)
        collector.end()
    counts = [(bound, after[bound] - before.get(bound, 0)) for bound in sorted(after)]
    p50, p99 = (_quantile(counts, q) for q in (0.5, 0.99))
    bench.say(f"{rate:,} messages/s: bus to acknowledgement p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    return Result(
        value=p99, unit="s p99", baseline_name="one second", baseline=1.0, must=Must(1.0, at_most=True)
    )


@benchmark("latency_1k")
def latency_1k(bench: Bench) -> Result:
    """At 1,000 messages a second."""
    return _latency(bench, 1_000)


@benchmark("latency_10k")
def latency_10k(bench: Bench) -> Result:
    """At 10,000 messages a second."""
    return _latency(bench, 10_000)


@benchmark("latency_50k")
def latency_50k(bench: Bench) -> Result:
    """At 50,000 messages a second."""
    return _latency(bench, 50_000)


def _histogram(address: str) -> dict[float, float]:
    """Upper bound (s) → how many at most so late."""
    with urlopen(f"{address}/metrics", timeout=30) as answer:  # noqa: S310 - our own
        lines = answer.read().decode().splitlines()
    found = {}
    for line in lines:
        if line.startswith("tapedeck_publisher_latency_seconds_bucket"):
            series, _, value = line.rpartition(" ")
            found[float(series.partition('le="')[2].partition('"')[0])] = float(value)
    return found


def _quantile(counts: list[tuple[float, float]], q: float) -> float:
    """The quantile within its bucket, evenly spread there, as Prometheus reckons it."""
    wanted, lower, below = q * counts[-1][1], 0.0, 0.0
    for bound, count in counts:
        if count >= wanted and count > below:
            return (
                lower
                if bound == float("inf")
                else lower + (bound - lower) * (wanted - below) / (count - below)
            )
        lower, below = bound, count
    return lower


@benchmark("awaited")
def awaited(bench: Bench) -> Result:
    """The same messages through a collector, against cryptofeed's way: normalise, then await each send."""
    made = Collector(bench, "awaited.")
    count = 200_000
    with paced(made.bus) as sender, tapes.Running(made.settings, "collect", tapes.VENDOR) as collector:
        sender.recv()
        connected(made, sender)
        before = _high(made.settings)
        began = time.perf_counter()
        sender.send((10_000_000, count / 10_000_000))
        sent, _ = sender.recv()
        while _high(made.settings) - before < sent:
            if time.perf_counter() - began > PATIENCE:
                raise Unavailable("the collector did not publish what was sent")
            time.sleep(0.02)
        value = sent / (time.perf_counter() - began)
        collector.end()
    baseline = asyncio.run(_await_each(made.settings))
    return Result(
        value=value,
        unit="messages/s",
        baseline_name="aiokafka, each send awaited",
        baseline=baseline,
        must=Must(1),
    )


async def _await_each(settings: Settings) -> float:
    normalise = vendors.get(tapes.VENDOR).normalise
    sent = tapes.payloads(AWAITED)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap, acks="all")
    await producer.start()
    try:
        began = time.perf_counter()
        for payload in sent:
            for said in normalise(payload, time.time_ns(), 1):
                assert type(said) in KIND_OF
                await producer.send_and_wait(
                    settings.live_topic(tapes.VENDOR), encode(said), key=said.symbol.encode(),  # type: ignore[union-attr,arg-type]
                )  # fmt: skip
        return len(sent) / (time.perf_counter() - began)
    finally:
        await producer.stop()
