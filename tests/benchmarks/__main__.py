"""`python -m tests.benchmarks [NAME]`: all benchmarks or one, on servers of their own.

Prints a table and writes `bench.json` in the state directory. Exit status 0 whether or not a number is
met, 2 for a name that is none, 3 where a server failed.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
import warnings

from tapedeck import endpoints
from tapedeck import settings as settings_module
from tapedeck.embedded import stack
from tapedeck.errors import TapedeckError
from tests import servers
from tests.benchmarks import (  # noqa: F401 - each registers its benchmark
    bus_to_arctic,
    encode,
    encode_bytes,
    gap_check,
    last_minute,
    level1,
    live,
    live_writer,
    paced,
    publisher,
    publishers,
    read_arctic,
    read_columns,
    read_memory,
    read_others,
    read_raw,
    read_seek,
    rebuild,
    replay,
    report,
    sizes,
    store_check,
    taper,
    write_arctic,
    writer_memory,
)  # fmt: skip
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import Benchmark, chosen
from tests.benchmarks.result import Result
from tests.benchmarks.table import keep, rows

BEGAN = time.monotonic()


def main(arguments: list[str]) -> int:
    """Run what the arguments name; gives the exit status."""
    logging.getLogger("arctic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "Passing a ArrayManager to DataFrame", DeprecationWarning)
    try:
        if len(arguments) > 1:
            return _refuse("name one benchmark, or none for all")
        name = arguments[0] if arguments else ""
        _run(chosen(name), merge=bool(name))
    except TapedeckError as e:
        print(f"tapedeck: {e}", file=sys.stderr)
        return e.exit_code
    return 0


def _run(benchmarks: list[Benchmark], merge: bool) -> None:
    path = settings_module.load().state / "bench.json"
    results: dict[str, Result] = {}
    _tell_load()
    with servers.state_dir() as state:
        embedded = servers.stack_settings(state)
        stack.up(embedded, ["kafka", "mongo"], _say)
        bench = Bench(endpoints.resolve(embedded), state / "work", _say)
        for one in benchmarks:
            missing = [program for program in one.needs if shutil.which(program) is None]
            if missing:
                _say(
                    f"{one.name}: skipped, since {', '.join(missing)} is not on this machine (apt install it)"
                )
                continue
            if absent := [path for path in one.files if not path.is_file()]:
                _say(f"{one.name}: skipped, since the recorded {absent[0].name} is not beside the repository")
                continue
            _say(one.name)
            results[one.name] = one.measure(bench)
            keep(path, results, merge)
    if results:
        print(rows(results))
        _say(f"written to {path}")


def _tell_load() -> None:
    """Beside other work rates are low and ratios waver: whoever reads the table must know."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = ": busy, so rates come out low and ratios waver" if load > 1 else ""
    _say(f"{cores} cores, load {load:.1f}{busy}")


def _say(sentence: str) -> None:
    print(f"[{time.monotonic() - BEGAN:5.0f} s] {sentence}", file=sys.stderr, flush=True)


def _refuse(sentence: str) -> int:
    print(f"tapedeck: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
