"""`store check` against stock arctic's read of the same documents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tapedeck.slices import Slice
from tapedeck.store import database
from tapedeck.store import library as libraries
from tapedeck.store.check import check
from tapedeck.store.documents import replace
from tests.benchmarks import stock
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result
from tests.benchmarks.windows import START, VENDOR, WINDOW, ours, trades

WINDOWS, SYMBOLS = 10, 30


@benchmark("store_check")
def measure(bench: Bench) -> Result:
    """Windows of 1,000 rows of 30 symbols, decoded, digested and held against their tallies."""
    settings, rows = bench.settings, trades(WINDOWS)
    names = [f"SYM{i:04d}USDT" for i in range(SYMBOLS)]
    one = libraries.ensure(settings, VENDOR)["trade"]
    for name in names:
        replace(one, ours(rows, WINDOWS, name), "bench")
    count, of = len(rows) * SYMBOLS, Slice(START, START + WINDOWS * WINDOW)

    def door() -> None:
        found = check(settings, VENDOR, of, ("trade",))
        assert (found.messages, found.faults) == (count, ())

    with stock.library(settings, f"{VENDOR}.trade") as library:
        from arctic.date import DateRange

        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        whole = DateRange(*(epoch + timedelta(microseconds=ns // 1000) for ns in (of.start, of.end)))

        def theirs() -> None:
            assert sum(len(library.read(name, date_range=whole)) for name in names) == count

        value, baseline = alternate(lambda: rate(count, door), lambda: rate(count, theirs))
    database.client(settings).drop_database(f"arctic_{VENDOR}")
    return Result(value=value, unit="rows/s", baseline_name="stock read", baseline=baseline, must=Must(0.5))
