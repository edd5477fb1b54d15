"""Reading the log by time into columns, one process."""

from __future__ import annotations

from tapedeck.log.decode import decode_records
from tapedeck.log.read import read
from tapedeck.log.resolve import resolve
from tapedeck.log.timeline import timeline
from tests.benchmarks import kcat
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result


@benchmark("read_columns", needs=("kcat",))
def measure(bench: Bench) -> Result:
    """Decoded and checked, against kcat reading the same slice and decoding nothing."""
    log, settings = bench.trades, bench.settings

    def ours() -> None:
        plan = resolve(settings, log.vendor, log.slice)
        found = 0
        for records in read(settings, plan.ranges):
            decoded = decode_records(records, plan.partitions)
            found += sum(len(columns) for columns in decoded.messages.values())
        assert found == log.messages

    value, baseline = alternate(
        lambda: rate(log.messages, ours),
        lambda: rate(log.messages, lambda: kcat.read(settings, log.pin.name, log.slice)),
    )
    return Result(value=value, unit="messages/s", baseline_name="kcat -C", baseline=baseline, must=Must(0.4))


@benchmark("read_batches", needs=("kcat",))
def measure_batches(bench: Bench) -> Result:
    """By the door that a person uses, `Reading.batches()`, judged and in one order, against kcat reading the
    same slice."""
    log, settings = bench.trades, bench.settings

    def ours() -> None:
        batches = timeline(log.vendor, settings).between(log.slice.start, log.slice.end).batches()
        assert sum(len(columns) for batch in batches for columns in batch.values()) == log.messages

    value, baseline = alternate(
        lambda: rate(log.messages, ours),
        lambda: rate(log.messages, lambda: kcat.read(settings, log.pin.name, log.slice)),
    )
    return Result(value=value, unit="messages/s", baseline_name="kcat -C", baseline=baseline, must=Must(0.4))
