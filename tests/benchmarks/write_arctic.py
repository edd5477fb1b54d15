"""Windows to documents in MongoDB, acknowledged by its journals."""

from __future__ import annotations

from tapedeck.store import database
from tapedeck.store import library as libraries
from tapedeck.store.documents import replace
from tests.benchmarks import stock, windows
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result

WINDOWS = 100


@benchmark("write_arctic")
def measure(bench: Bench) -> Result:
    """Windows of 1,000 rows where none stands yet, against arctic's own write of the same rows.

    Both wait for the same journal; `encode` is the making of the windows alone.
    """
    settings = bench.settings
    rows = windows.trades(WINDOWS)
    built, frame = windows.ours(rows, WINDOWS), windows.theirs(rows)
    home = libraries.ensure(settings, windows.VENDOR)["trade"]
    with stock.library(settings, "stock.trade") as library:
        library._chunk_size = windows.ROWS

        def ours() -> float:
            home.collection.delete_many({})
            return rate(len(rows), lambda: replace(home, built, "bench"))

        def theirs() -> float:
            library._collection.delete_many({})
            return rate(len(rows), lambda: library.write(windows.SYMBOL, frame))

        value, baseline = alternate(ours, theirs)
    for name in ("arctic_stock", f"arctic_{windows.VENDOR}"):
        database.client(settings).drop_database(name)
    return Result(
        value=value, unit="rows/s", baseline_name="arctic's write", baseline=baseline, must=Must(10.0)
    )
