"""Reading the log by time, record by record, one process."""

from __future__ import annotations

from tapedeck.log.read import read
from tapedeck.log.resolve import resolve
from tapedeck.log.timeline import timeline
from tests.benchmarks import kcat
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result


@benchmark("read_raw", needs=("kcat",))
def measure(bench: Bench) -> Result:
    """From a slice to its last record, plan included, against kcat reading the same slice."""
    log, settings = bench.trades, bench.settings

    def ours() -> None:
        plan = resolve(settings, log.vendor, log.slice)
        assert sum(len(records) for records in read(settings, plan.ranges)) >= log.messages

    value, baseline = alternate(
        lambda: rate(log.messages, ours),
        lambda: rate(log.messages, lambda: kcat.read(settings, log.pin.name, log.slice)),
    )
    return Result(value=value, unit="messages/s", baseline_name="kcat -C", baseline=baseline, must=Must(0.8))


@benchmark("read_records", needs=("kcat",))
def measure_records(bench: Bench) -> Result:
    """By the door that a replay uses, `Reading.records()`, which judges what it hands out, against kcat
    reading the same slice."""
    log, settings = bench.trades, bench.settings

    def ours() -> None:
        reading = timeline(log.vendor, settings).between(log.slice.start, log.slice.end)
        assert sum(map(len, reading.records())) == log.messages

    value, baseline = alternate(
        lambda: rate(log.messages, ours),
        lambda: rate(log.messages, lambda: kcat.read(settings, log.pin.name, log.slice)),
    )
    return Result(value=value, unit="messages/s", baseline_name="kcat -C", baseline=baseline, must=Must(0.8))
