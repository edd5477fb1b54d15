"""How much memory a read takes, whatever the slice: its peak for ten times as much against that for one."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from tapedeck import settings as settings_module
from tapedeck.cli.parquet import write_parquet
from tapedeck.log.timeline import timeline
from tapedeck.slices import Slice
from tests.benchmarks.bench import Bench
from tests.benchmarks.made_log import MadeLog
from tests.benchmarks.registry import benchmark
from tests.benchmarks.result import Must, Result
from tests.published import environment

MUST = Must(1.2, at_most=True)


@benchmark("memory_columns")
def measure_columns(bench: Bench) -> Result:
    """Into columns: ten million messages against one million."""
    return _result(bench, bench.deep, "columns", 1_000_000, bench.deep.messages)


@benchmark("memory_parquet")
def measure_parquet(bench: Bench) -> Result:
    """Into a Parquet file: four million messages against one million."""
    return _result(bench, bench.deep, "parquet", 1_000_000, 4_000_000)


def _result(bench: Bench, log: MadeLog, how: str, few: int, many: int) -> Result:
    return Result(
        value=_peak(bench, log, how, many), unit="MB", baseline_name=f"{few:,} messages",
        baseline=_peak(bench, log, how, few), must=MUST,
    )  # fmt: skip


def _peak(bench: Bench, log: MadeLog, how: str, count: int) -> float:
    """The peak of a process of its own that reads the log's first messages, Python and all."""
    of, held = log.first(min(count, log.messages - 1))
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.read_memory", how, log.vendor, str(of.start), str(of.end)],
        env={**environment(bench.settings), "PYTHONPATH": os.pathsep.join(sys.path)}, check=True, text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    found, peak = done.stdout.split()
    assert int(found) == held
    return float(peak)


def _main(how: str, vendor: str, of: Slice) -> None:
    batches = timeline(vendor, settings_module.load()).between(of.start, of.end).batches()
    if how == "parquet":
        with open(os.devnull, "wb") as nowhere:
            found = write_parquet(batches, nowhere)
    else:
        found = sum(len(columns) for batch in batches for columns in batch.values())
    print(found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], Slice(int(sys.argv[3]), int(sys.argv[4])))
