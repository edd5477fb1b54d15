"""Windows to documents."""

from __future__ import annotations

from tapedeck.store.documents import documents
from tests.benchmarks import windows
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.repeats import alternate, rate
from tests.benchmarks.result import Must, Result

WINDOWS = 200


@benchmark("encode")
def measure(bench: Bench) -> Result:
    """Rows of trades into documents of 1,000, provenance included, against arctic's own encoder."""
    from arctic.tickstore.tickstore import TickStore

    rows = windows.trades(WINDOWS)
    built, frame = windows.ours(rows, WINDOWS), windows.theirs(rows)
    frames = [frame[i : i + windows.ROWS] for i in range(0, len(frame), windows.ROWS)]
    count = len(rows)
    value, baseline = alternate(
        lambda: rate(count, lambda: [documents(one, "bench") for one in built]),
        lambda: rate(
            count, lambda: [TickStore._pandas_to_bucket(one, windows.SYMBOL, None) for one in frames]
        ),
    )
    return Result(
        value=value, unit="rows/s", baseline_name="arctic's encoder", baseline=baseline, must=Must(10.0)
    )
