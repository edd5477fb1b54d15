"""Seeking in a log of ten million messages: what a hundredth of it costs, and how soon its first message is
there."""

from __future__ import annotations

import time

import numpy as np

from tapedeck.log.read import read
from tapedeck.log.resolve import resolve
from tapedeck.slices import NS, Slice
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate
from tests.benchmarks.result import Must, Result

SHARE = 100
SEEKS = 500
LIMIT_MS = 20.0


def _seconds(bench: Bench, of: Slice) -> float:
    """How long a slice takes, plan included, to its last record."""
    began = time.perf_counter()
    plan = resolve(bench.settings, bench.deep.vendor, of)
    assert sum(len(records) for records in read(bench.settings, plan.ranges)) == plan.records
    return time.perf_counter() - began


@benchmark("read_hundredth")
def measure_share(bench: Bench) -> Result:
    """One hundredth of a log, from its middle, against all of it: seeking, not scanning."""
    whole = bench.deep.slice
    middle, length = (whole.start + whole.end) // 2, (whole.end - whole.start) // SHARE
    value, baseline = alternate(
        lambda: _seconds(bench, Slice(middle, middle + length)), lambda: _seconds(bench, whole)
    )
    return Result(
        value=value, unit="s", baseline_name="all of it", baseline=baseline, must=Must(0.02, at_most=True)
    )


@benchmark("read_first")
def measure_first(bench: Bench) -> Result:
    """p99 of the time to a slice's first message, at random places, over connections that are open."""
    log, dice = bench.deep, np.random.default_rng(3)
    took = []
    for at in dice.integers(log.slice.start, log.slice.end - 10 * NS, SEEKS).tolist():
        began = time.perf_counter()
        plan = resolve(bench.settings, log.vendor, Slice(at, at + NS))
        for records in read(bench.settings, plan.ranges):
            assert len(records)
            break
        took.append((time.perf_counter() - began) * 1000)
    return Result(
        value=float(np.percentile(took[10:], 99)), unit="ms", baseline_name="the limit", baseline=LIMIT_MS,
        must=Must(1.0, at_most=True),
    )  # fmt: skip
