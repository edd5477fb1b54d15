"""What a live writer takes of memory with ten thousand symbols, most of them quiet."""

from __future__ import annotations

import threading
import time

import psutil
from msgspec import structs

from tapedeck.settings import Writer
from tapedeck.slices import Slice
from tapedeck.store import database, tallies
from tapedeck.store import library as libraries
from tests.benchmarks.bench import Bench
from tests.benchmarks.made_log import make_log
from tests.benchmarks.registry import benchmark
from tests.benchmarks.result import Must, Result
from tests.benchmarks.writers import writers

SYMBOLS, MESSAGES, PER_SECOND = 10_000, 1_000_000, 2_000
"""Eight minutes of them: less than a window, so nothing may close before its end."""
BOUND = 48 * 2**20
"""Of `writer.memory_bytes`: less than the rows of these windows take."""
OVERHEAD_MB = 300
"""What the process takes beside the rows: Python, NumPy, clients, a batch being decoded or built."""
PATIENCE = 300.0


@benchmark("writer_memory")
def measure(bench: Bench) -> Result:
    """The most that one writer takes until all is written, beside its setting and what a process takes."""
    settings = structs.replace(
        bench.settings, state_dir=str(bench.folder / "many"), writer=Writer(memory_bytes=BOUND)
    )
    log = make_log(settings, "windows", MESSAGES, symbols=SYMBOLS, per_second=PER_SECOND, even=False)
    made = libraries.ensure(settings, log.vendor)
    most, ended = [0], threading.Event()
    with writers(settings, log.vendor, 1) as writer:

        def watch() -> None:
            while not ended.wait(0.05):
                most[0] = max(most[0], _resident(writer))

        thread = threading.Thread(target=watch)
        thread.start()
        began = time.monotonic()
        wide = log.slice.widen(600 * 10**9)
        try:
            while (held := _held(made, wide)) < log.messages:
                assert time.monotonic() - began < PATIENCE, f"{held:,} of {log.messages:,} are written"
                time.sleep(0.5)
        finally:
            ended.set()
            thread.join()
    bench.say(f"{SYMBOLS:,} symbols, {BOUND >> 20} MB of rows at most: the writer took {most[0] >> 20} MB")
    database.client(settings).drop_database(f"arctic_{log.vendor}")
    return Result(
        value=most[0] / 2**20, unit="MB", baseline_name="the setting and 300 MB",
        baseline=(BOUND >> 20) + OVERHEAD_MB, must=Must(1.0, at_most=True),
    )  # fmt: skip


def _held(made: dict[str, libraries.Library], wide: Slice) -> int:
    return sum(one.tallies[0].messages for one in tallies.read(made.values(), wide, exact=False))


def _resident(process: psutil.Process) -> int:
    family = [process, *process.children(recursive=True)]
    return max(one.memory_info().rss for one in family if one.is_running())
