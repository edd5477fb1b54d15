"""Live writers that catch up with what waits in Kafka, while somebody reads."""

from __future__ import annotations

import subprocess
import time
from statistics import median

from msgspec import structs

import tapedeck
from tapedeck.slices import NS
from tapedeck.store import database
from tapedeck.store import library as libraries
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.result import Must, Result
from tests.published import environment
from tests.servers import PROGRAM

PEAK = 125_000
PROCESSES = 2
PATIENCE = 300.0


@benchmark("live_writer")
def measure(bench: Bench) -> Result:
    """`tapedeck write` of two processes, from their start until all trades are in acknowledged windows; the
    last minute of a symbol is read again and again meanwhile, and what that took is said."""
    log = bench.trades
    settings = structs.replace(bench.settings, state_dir=str(bench.folder / "writers"))
    database.client(settings).drop_database(f"arctic_{log.vendor}")
    home = libraries.ensure(settings, log.vendor)["trade"].collection
    symbol, took = "SYM0001USDT", list[float]()
    began = time.monotonic()
    writer = subprocess.Popen(
        [str(PROGRAM), "write", log.vendor, "--processes", str(PROCESSES)], env=environment(settings)
    )
    try:
        while sum(d["kept"]["n"] for d in home.find({}, {"kept.n": 1})) < log.messages:
            assert writer.poll() is None
            assert time.monotonic() - began < PATIENCE
            asked = time.monotonic()
            tapedeck.read(
                f"{log.vendor}.trade", symbol, log.slice.start, log.slice.start + 60 * NS, settings=settings
            )
            took.append(time.monotonic() - asked)
            time.sleep(0.2)
        seconds = time.monotonic() - began
    finally:
        writer.terminate()
        writer.wait(60)
    bench.say(f"a minute of {symbol} was read {len(took)} times meanwhile, {median(took) * 1000:.0f} ms each")
    return Result(
        value=log.messages / seconds, unit="messages/s", baseline_name="a day's peak", baseline=PEAK,
        must=Must(1.0),
    )  # fmt: skip
