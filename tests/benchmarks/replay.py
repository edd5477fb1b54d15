"""A slice of the log into another topic."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from confluent_kafka import TopicPartition

from tapedeck.jobs import replay
from tapedeck.jobs.order import Copied, Order
from tapedeck.jobs.origin import Origin, person
from tapedeck.log import client, topics
from tapedeck.log.plan import Plan
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tests.benchmarks import highstorm, kcat
from tests.benchmarks.bench import Bench
from tests.benchmarks.made_log import MadeLog
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result
from tests.benchmarks.workers import workers

COUNT = 400_000


@benchmark("replay", needs=("kcat",))
def measure(bench: Bench) -> Result:
    """The job from plan to receipt in two processes, against one kcat feeding another."""
    log, settings = bench.trades, bench.settings
    of, count = log.first(COUNT)
    with workers() as pool:
        value, baseline = alternate(
            lambda: rate(count, lambda: _replay(settings, log, of, count, pool)),
            lambda: _piped(settings, log, of, count),
        )
    return Result(
        value=value, unit="messages/s", baseline_name="kcat | kcat", baseline=baseline, must=Must(1.0)
    )


@benchmark("replay_highstorm", needs=("highstorm",))
def measure_beside_highstorm(bench: Bench) -> Result:
    """The same job beside highstorm, by the rate that its own report names."""
    log, settings = bench.trades, bench.settings
    of, count = log.first(COUNT)

    def theirs() -> float:
        report = highstorm.replay(settings, bench.folder, log.pin.name, log.pin.partitions, of)
        return float(report["acknowledged_rate_per_second"])

    with workers() as pool:
        value, baseline = alternate(
            lambda: rate(count, lambda: _replay(settings, log, of, count, pool)), theirs
        )
    return Result(
        value=value, unit="messages/s", baseline_name="highstorm", baseline=baseline, must=Must(1.0)
    )


def _replay(settings: Settings, log: MadeLog, of: Slice, count: int, pool: ProcessPoolExecutor) -> None:
    origin = Origin(who=person(), started=time.time_ns())
    order, plan = replay.prepare(settings, log.vendor, of, f"kafka:replayed.{uuid.uuid4().hex}")
    assert replay.preview(settings, order, plan).already == 0
    copied = list(pool.map(partial(_copy, settings, order, plan), replay.parts(settings, order)))
    receipt = replay.finish(settings, order, plan, copied, origin)
    assert receipt.counts["written"] == count


def _copy(settings: Settings, order: Order, plan: Plan, partition: int) -> Copied:
    return replay.copy_part(settings, order, plan, partition, say=lambda _: None)


def _piped(settings: Settings, log: MadeLog, of: Slice, count: int) -> float:
    target = f"piped.{uuid.uuid4().hex}"
    topics.create(client.admin(settings), settings, target, log.pin.partitions, topics.FOREVER)
    topics.await_topic(client.admin(settings), settings, target)
    found = rate(count, lambda: kcat.copy(settings, log.pin.name, of, target))
    with client.consumer(settings) as consumer:
        ends = [
            consumer.get_watermark_offsets(TopicPartition(target, p), 10)[1]
            for p in range(log.pin.partitions)
        ]
    assert count <= sum(ends) <= count + 1000, f"kcat copied {sum(ends):,} of {count:,}"  # heartbeats too
    return found
