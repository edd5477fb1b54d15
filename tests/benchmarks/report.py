"""A day's page: reading every tick of it once, then making it from what was found."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from msgspec import structs

from tapedeck.reports import doors
from tapedeck.reports.day import days_of
from tapedeck.settings import Settings
from tapedeck.store.rebuild import rebuild
from tests.benchmarks.bench import Bench
from tests.benchmarks.made_log import MadeLog
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import rate, repeat
from tests.benchmarks.result import Must, Result
from tests.benchmarks.workers import workers

HALF_A_MILLION = 500_000
TEN_SECONDS = 10.0


@benchmark("report_read")
def measure_read(bench: Bench) -> Result:
    """Log against Arctic and every stored tick judged, in two processes, beside the servers."""
    settings, log, day = _stored(bench, bench.market)
    with workers() as pool:
        read = partial(_read, settings, log, day, pool)
        value = repeat(lambda: rate(log.messages, read))
    return Result(
        value=value, unit="messages/s", baseline_name="half a million", baseline=HALF_A_MILLION,
        must=Must(1.0),
    )  # fmt: skip


@benchmark("report_page")
def measure_page(bench: Bench) -> Result:
    """The page of a thousand symbols when they have been read: its ticks do not matter any more."""
    settings, log, day = _stored(bench, bench.quiet)
    with workers() as pool:
        _read(settings, log, day, pool)
    doors.read_day(log.vendor, day, None, settings=settings)

    def page() -> float:
        began = time.perf_counter()
        made = doors.report(log.vendor, day, quick=True, settings=settings)
        assert len(made.symbols) == 1000
        return time.perf_counter() - began

    return Result(
        value=repeat(page), unit="s", baseline_name="the limit", baseline=TEN_SECONDS,
        must=Must(1.0, at_most=True),
    )  # fmt: skip


def _stored(bench: Bench, log: MadeLog) -> tuple[Settings, MadeLog, str]:
    settings = structs.replace(bench.settings, state_dir=str(bench.folder / f"reports-{log.vendor}"))
    rebuild(settings, log.vendor, log.slice)
    [day] = {day.isoformat() for day in days_of(log.slice)}
    return settings, log, day


def _read(settings: Settings, log: MadeLog, day: str, pool: ProcessPoolExecutor) -> None:
    part = partial(_part, settings, log.vendor, day)
    assert sum(pool.map(part, range(log.pin.partitions))) == log.messages


def _part(settings: Settings, vendor: str, day: str, partition: int) -> int:
    return doors.read_day(vendor, day, partition, settings=settings)
