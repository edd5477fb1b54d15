"""A slice of the log into another topic in time: how late messages are, and whether that grows.

`PACED_SECONDS=600 make bench ONLY=paced_1` is the long form; each run takes so long, and no longer by default
than shows a clock that drifts by a thousandth.
"""

from __future__ import annotations

import os
import time
import uuid

from tapedeck.jobs import replay
from tapedeck.jobs.origin import Origin, person
from tapedeck.slices import NS, Slice
from tests.benchmarks import highstorm
from tests.benchmarks.bench import Bench
from tests.benchmarks.made_log import MadeLog, make_log
from tests.benchmarks.registry import benchmark
from tests.benchmarks.result import Must, Result

SECONDS = float(os.environ.get("PACED_SECONDS", "20"))
MOST = 3_000_000
"""Messages of the log; a long run has fewer a second."""
P99_MS, DRIFT_MS = 5.0, 1.0
_log: list[MadeLog] = []
_made: dict[float, dict[str, float]] = {}


@benchmark("paced_1")
def measure_1(bench: Bench) -> Result:
    """Real time: the 99th percentile of lateness, in ms, beside what is allowed."""
    return _p99(bench, 1)


@benchmark("paced_10")
def measure_10(bench: Bench) -> Result:
    """Ten times real time."""
    return _p99(bench, 10)


@benchmark("paced_drift")
def measure_drift(bench: Bench) -> Result:
    """By how much the median lateness at the end of the run at × 10 differs from that at its beginning."""
    drift = abs(_paced(bench, 10)["drift"])
    return Result(
        value=drift, unit="ms", baseline_name="allowed", baseline=DRIFT_MS, must=Must(1.0, at_most=True)
    )


@benchmark("paced_100k", needs=("highstorm",))
def measure_100k(bench: Bench) -> Result:
    """A hundred thousand messages a second: the same percentile, beside highstorm's."""
    log = bench.trades
    of, count = log.first(int(100_000 * min(SECONDS, 15)))
    speed = 100_000 / (count / ((of.end - of.start) / NS))
    theirs = highstorm.replay(
        bench.settings, bench.folder, log.pin.name, log.pin.partitions, of, round(speed, 3)
    )  # fmt: skip
    late = _replayed(bench, log, of, f"{speed:.3f}")
    bench.say(
        f"100 k/s, {count:,} messages: p50 {late['p50']} ms, p99 {late['p99']} ms, max {late['max']} ms"
    )
    return Result(
        value=late["p99"], unit="ms", baseline_name="highstorm", baseline=highstorm.p99_ms(theirs),
        must=Must(1.0, at_most=True),
    )  # fmt: skip


def _p99(bench: Bench, speed: int) -> Result:
    late = _paced(bench, speed)
    bench.say(
        f"x {speed}, {late['messages']:,} messages in {SECONDS:g} s: p50 {late['p50']} ms, "
        f"p95 {late['p95']} ms, p99 {late['p99']} ms, max {late['max']} ms, drift {late['drift']} ms"
    )
    return Result(
        value=late["p99"], unit="ms", baseline_name="allowed", baseline=P99_MS, must=Must(1.0, at_most=True)
    )


def _paced(bench: Bench, speed: int) -> dict[str, float]:
    """The lateness of one replay at this speed."""
    if speed not in _made:
        per_second = min(5_000.0, MOST / SECONDS / 10)
        if not _log:
            count = int(per_second * SECONDS * 10 * 1.05)
            _log.append(make_log(bench.settings, "paced", count, per_second=per_second))
        (log,) = _log
        of = Slice(log.slice.start, log.slice.start + int(SECONDS * speed * NS))
        _made[speed] = _replayed(bench, log, of, str(speed))
    return _made[speed]


def _replayed(bench: Bench, log: MadeLog, of: Slice, speed: str) -> dict[str, float]:
    """The lateness of a replay of this slice into a new topic."""
    receipt = replay.replay(
        bench.settings, log.vendor, of, f"kafka:paced.{uuid.uuid4().hex}", speed=speed,
        origin=Origin(who=person(), started=time.time_ns()),
    )  # fmt: skip
    assert receipt.counts["written"] == receipt.counts["messages"] > 0
    return receipt.lateness
