"""The last minute of a symbol that was recorded for a year."""

from __future__ import annotations

import time
from datetime import timedelta

import tapedeck
from tapedeck.log import topics
from tapedeck.slices import NS
from tapedeck.store import database
from tapedeck.store import library as libraries
from tapedeck.store.database import Document
from tapedeck.store.documents import document_id, documents
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import repeat
from tests.benchmarks.result import Must, Result
from tests.benchmarks.windows import START, SYMBOL, VENDOR, WINDOW, ours, trades

YEAR = 365 * 144
"""Windows of ten minutes."""
LIMIT_MS = 50.0
READS = 10


@benchmark("last_minute")
def measure(bench: Bench) -> Result:
    """Through `tapedeck.read`, its look at the log's tail included."""
    settings = bench.settings
    topics.ensure(settings, VENDOR)
    home = libraries.ensure(settings, VENDOR)["trade"].collection
    (last,) = documents(ours(trades(1), 1)[0], "bench")
    for first in range(1, YEAR, 5000):
        ages = range(first, min(first + 5000, YEAR))
        home.insert_many([_older(last, age) for age in ages], ordered=False)
    home.insert_one(last)
    end = START + WINDOW

    def read() -> float:
        began = time.perf_counter()
        for _ in range(READS):
            assert len(tapedeck.read(f"{VENDOR}.trade", SYMBOL, end - 60 * NS, end, settings=settings))
        return (time.perf_counter() - began) * 1000 / READS

    value = repeat(read)
    database.client(settings).drop_database(f"arctic_{VENDOR}")
    return Result(
        value=value, unit="ms", baseline_name="the limit", baseline=LIMIT_MS, must=Must(1.0, at_most=True)
    )


def _older(document: Document, windows: int) -> Document:
    """The document as that of so many windows before. Its rows are the same: nobody reads them."""
    ms = windows * WINDOW // 1_000_000
    back = timedelta(milliseconds=ms)
    moved = {name: document[name] - ms for name in ("start", "end")}
    moved |= {name: document[name] - back for name in ("s", "e")}
    return document | moved | {"_id": document_id(moved["start"] * 1_000_000, SYMBOL)}
