"""Arctic to a frame, through `tapedeck.read` and through stock arctic, of the same documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import tapedeck
from tapedeck.log import topics
from tapedeck.store import database
from tapedeck.store import library as libraries
from tapedeck.store.documents import replace
from tests.benchmarks import stock
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result
from tests.benchmarks.windows import ROWS, START, SYMBOL, VENDOR, WINDOW, ours, trades

NAME = f"{VENDOR}.trade"


@benchmark("read_arctic")
def measure(bench: Bench) -> Result:
    """Windows of 1,000 rows."""
    return _measure(bench, windows=300, each=ROWS)


@benchmark("read_arctic_quiet")
def measure_quiet(bench: Bench) -> Result:
    """Windows of 10 rows, as of a symbol that hardly trades."""
    return _measure(bench, windows=2000, each=10)


def _measure(bench: Bench, windows: int, each: int) -> Result:
    """The whole door, its look at the log's tail included, which here is empty."""
    settings = bench.settings
    topics.ensure(settings, VENDOR)
    rows = trades(windows, each)
    replace(libraries.ensure(settings, VENDOR)["trade"], ours(rows, windows), "bench")
    start, end = START, START + windows * WINDOW

    def door() -> None:
        assert len(tapedeck.read(NAME, SYMBOL, start, end, settings=settings)) == len(rows)

    with stock.library(settings, NAME) as library:
        from arctic.date import DateRange

        whole = DateRange(_date(start), _date(end))

        def theirs() -> None:
            assert len(library.read(SYMBOL, date_range=whole)) == len(rows)

        value, baseline = alternate(lambda: rate(len(rows), door), lambda: rate(len(rows), theirs))
    database.client(settings).drop_database(f"arctic_{VENDOR}")
    return Result(value=value, unit="rows/s", baseline_name="stock read", baseline=baseline, must=Must(1.0))


def _date(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ns // 1_000_000)
