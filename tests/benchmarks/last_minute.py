"""The last minute of a symbol, only in the log yet, with a day and with a year of windows behind it."""

from __future__ import annotations

import time
from datetime import timedelta

from msgspec import structs

import tapedeck
from tapedeck.slices import NS
from tapedeck.store import database
from tapedeck.store import library as libraries
from tapedeck.store.database import Document
from tapedeck.store.documents import document_id, documents
from tests.benchmarks.bench import Bench
from tests.benchmarks.made_log import make_log
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import repeat
from tests.benchmarks.result import Must, Result
from tests.benchmarks.windows import START, VENDOR, WINDOW, ours, trades

DAY, YEAR = 144, 365 * 144
"""Windows of ten minutes."""
PARTITIONS = 16
"""As tapedeck makes topics by default."""
TAIL = 1_500_000
"""Two minutes of a market at a billion messages a day."""
LIMIT_MS = 50.0
READS = 10


@benchmark("last_minute_day")
def measure_day(bench: Bench) -> Result:
    """Through `tapedeck.read`, of a log that no writer has written yet."""
    return _measure(bench, "day.", DAY)


@benchmark("last_minute")
def measure(bench: Bench) -> Result:
    """The same with a year behind it."""
    return _measure(bench, "year.", YEAR)


def _measure(bench: Bench, prefix: str, windows: int) -> Result:
    kafka = structs.replace(bench.settings.kafka, partitions=PARTITIONS, prefix=prefix)
    settings = structs.replace(bench.settings, kafka=kafka)
    log = make_log(settings, VENDOR, TAIL, even=False)
    symbol, end = "SYM0001USDT", int(log.stamps[-1]) + 1
    home = libraries.ensure(settings, VENDOR)["trade"].collection
    (sample,) = documents(ours(trades(1), 1)[0], "bench")
    last = log.slice.start // WINDOW
    for first in range(0, windows, 5000):
        ages = range(first, min(first + 5000, windows))
        home.insert_many([_moved(sample, symbol, (last - 1 - age) * WINDOW) for age in ages], ordered=False)

    def read() -> float:
        began = time.perf_counter()
        for _ in range(READS):
            frame = tapedeck.read(f"{VENDOR}.trade", symbol, end - 60 * NS, end, settings=settings)
            assert len(frame)
        return (time.perf_counter() - began) * 1000 / READS

    read()
    value = repeat(read)
    database.client(settings).drop_database(f"arctic_{VENDOR}")
    return Result(
        value=value, unit="ms", baseline_name="the limit", baseline=LIMIT_MS, must=Must(1.0, at_most=True)
    )


def _moved(document: Document, symbol: str, start: int) -> Document:
    """The document as that of another window. Its rows are the same: nobody reads them."""
    back = timedelta(milliseconds=(START - start) // 1_000_000)
    moved = {"start": start // 1_000_000, "end": (start + WINDOW) // 1_000_000, "sy": symbol}
    moved |= {name: document[name] - back for name in ("s", "e")}
    return document | moved | {"_id": document_id(start, symbol)}
