"""The gap check of a slice against reading the same slice and judging its messages."""

from __future__ import annotations

from tapedeck.checks.gap_check import gap_check
from tapedeck.log.reading import Reading
from tapedeck.log.resolve import resolve
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result


@benchmark("gap_check")
def measure(bench: Bench) -> Result:
    """Chains, heartbeats, silence, clocks and order of all that was read; findings kept."""
    log, settings = bench.trades, bench.settings

    def ours() -> None:
        report = gap_check(settings, log.vendor, log.slice)
        assert report.counts["messages"] == log.messages

    def reading() -> None:
        found = 0
        for part in Reading(settings, resolve(settings, log.vendor, log.slice)).parts():
            found += sum(len(judged.kept) for judged in part.judged.values())
        assert found == log.messages

    value, baseline = alternate(lambda: rate(log.messages, ours), lambda: rate(log.messages, reading))
    return Result(
        value=value, unit="messages/s", baseline_name="read and judge", baseline=baseline, must=Must(1.0)
    )
