"""A day from the log into Arctic: read, decode, judge, build, encode, store."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tapedeck.log.plan import Plan
from tapedeck.log.resolve import resolve
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database
from tapedeck.store import library as libraries
from tapedeck.store.rebuild import rebuild_partition
from tests.benchmarks.bench import Bench
from tests.benchmarks.made_log import MadeLog
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import rate, repeat
from tests.benchmarks.result import Must, Result
from tests.benchmarks.workers import workers

BILLION_AN_HOUR = 1e9 / 3600


@benchmark("rebuild")
def measure(bench: Bench) -> Result:
    """Trades alone, two processes, broker and mongod beside them."""
    return _measure(bench, bench.trades)


@benchmark("rebuild_market")
def measure_market(bench: Bench) -> Result:
    """The same for a market's mix of trades, quotes and book changes."""
    return _measure(bench, bench.market)


@benchmark("rebuild_quiet")
def measure_quiet(bench: Bench) -> Result:
    """The same for a thousand symbols of ten messages a minute: what a document costs."""
    return _measure(bench, bench.quiet)


@benchmark("rebuild_unchanged")
def measure_unchanged(bench: Bench) -> Result:
    """A night over a day that stands, beside writing it."""
    settings, log = bench.settings, bench.trades
    with workers() as pool:
        baseline = repeat(lambda: _once(settings, log, pool))
        value = repeat(lambda: rate(log.messages, lambda: _work(settings, log, pool)))
    return Result(
        value=value, unit="messages/s", baseline_name="writing it", baseline=baseline, must=Must(3.0)
    )


def _measure(bench: Bench, log: MadeLog) -> Result:
    with workers() as pool:
        value = repeat(lambda: _once(bench.settings, log, pool))
    for kind in ("trade", "quote", "book"):
        _tell_size(bench, log, kind)
    return Result(
        value=value, unit="messages/s", baseline_name="a billion an hour", baseline=BILLION_AN_HOUR,
        must=Must(1.0),
    )  # fmt: skip


def _tell_size(bench: Bench, log: MadeLog, kind: str) -> None:
    """How large a window is, as stock arctic would read it and on the disk, compressed by MongoDB."""
    home = libraries.ensure(bench.settings, log.vendor)[kind].collection
    sizes = {"windows": {"$sum": 1}, "rows": {"$sum": "$c"}, "bytes": {"$sum": {"$bsonSize": "$$ROOT"}}}
    for found in home.aggregate([{"$group": {"_id": None, **sizes}}]):
        windows, rows, size = found["windows"], found["rows"], found["bytes"]
        disk = home.database.command("collStats", home.name)["storageSize"]
        bench.say(
            f"{log.vendor}.{kind}: {windows:,} windows, {rows / windows:,.0f} rows and {size / windows:,.0f} "
            f"bytes each, {size / rows:.1f} bytes a row, {disk / rows:.1f} on the disk"
        )


def _once(settings: Settings, log: MadeLog, pool: ProcessPoolExecutor) -> float:
    database.client(settings).drop_database(f"arctic_{log.vendor}")

    return rate(log.messages, lambda: _work(settings, log, pool))


def _work(settings: Settings, log: MadeLog, pool: ProcessPoolExecutor) -> None:
    plan = resolve(settings, log.vendor, log.slice)
    part = partial(_part, settings, log.vendor, log.slice, plan)
    assert sum(pool.map(part, range(log.pin.partitions))) == log.messages


def _part(settings: Settings, vendor: str, of: Slice, plan: Plan, partition: int) -> int:
    return rebuild_partition(settings, vendor, of, partition, within=plan).messages
