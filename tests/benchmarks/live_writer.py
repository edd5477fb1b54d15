"""Live writers that catch up with what waits in Kafka, while somebody reads."""

from __future__ import annotations

import time
from statistics import median

from msgspec import structs

import tapedeck
from tapedeck.slices import NS
from tapedeck.store import database, tallies
from tapedeck.store import library as libraries
from tests.benchmarks.bench import Bench
from tests.benchmarks.made_log import MadeLog
from tests.benchmarks.registry import benchmark
from tests.benchmarks.result import Must, Result
from tests.benchmarks.writers import writers

PEAK = 125_000
PATIENCE = 300.0
KINDS = ("trade", "quote", "book")


@benchmark("live_writer")
def measure(bench: Bench) -> Result:
    """A market's log, by two processes of `tapedeck write`."""
    return _measure(bench, bench.market)


@benchmark("live_writer_quiet")
def measure_quiet(bench: Bench) -> Result:
    """The same of a thousand symbols that say little: what an open window and a document cost."""
    return _measure(bench, bench.quiet)


def _measure(bench: Bench, log: MadeLog) -> Result:
    """From the writers' start until all is in acknowledged windows; the last minute of a symbol is read again
    and again meanwhile, and what that took is said."""
    settings = structs.replace(bench.settings, state_dir=str(bench.folder / f"writers-{log.vendor}"))
    database.client(settings).drop_database(f"arctic_{log.vendor}")
    made = libraries.ensure(settings, log.vendor)
    database.collection(settings, tallies.COLLECTION).delete_many({"vendor": log.vendor})
    wide = log.slice.widen(600 * NS)
    symbol, took, end = "SYM0001USDT", list[float](), int(log.stamps[-1])
    began = time.monotonic()
    with writers(settings, log.vendor) as writer:
        while True:
            sums = tallies.read(made.values(), wide, exact=False)
            held = sum(one.tallies[0].messages for one in sums)
            if held == log.messages:
                break
            assert held < log.messages
            assert writer.is_running()
            assert time.monotonic() - began < PATIENCE
            asked = time.monotonic()
            tapedeck.read(f"{log.vendor}.quote", symbol, end - 60 * NS, end, settings=settings)
            took.append(time.monotonic() - asked)
            time.sleep(0.5)
        seconds = time.monotonic() - began
    homes = [made[kind].collection for kind in KINDS]
    assert sum(d["kept"]["n"] for home in homes for d in home.find({}, {"kept.n": 1})) == log.messages
    bench.say(f"a minute of {symbol} was read {len(took)} times meanwhile, {median(took) * 1000:.0f} ms each")
    return Result(
        value=log.messages / seconds, unit="messages/s", baseline_name="a day's peak", baseline=PEAK,
        must=Must(1.0),
    )  # fmt: skip
