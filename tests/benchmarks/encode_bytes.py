"""How large documents are."""

from __future__ import annotations

import bson

from tapedeck.store.documents import documents
from tests.benchmarks import windows
from tests.benchmarks.bench import Bench
from tests.benchmarks.registry import benchmark
from tests.benchmarks.result import Must, Result

WINDOWS = 100


@benchmark("encode_bytes")
def measure(bench: Bench) -> Result:
    """BSON bytes a row of whole documents, against those of arctic's own writer with the same columns."""
    from arctic.tickstore.tickstore import TickStore

    rows = windows.trades(WINDOWS)
    ours = sum(len(bson.encode(documents(one, "bench")[0])) for one in windows.ours(rows, WINDOWS))
    frame = windows.theirs(rows)
    theirs = sum(
        len(bson.encode(TickStore._pandas_to_bucket(frame[i : i + windows.ROWS], windows.SYMBOL, None)[0]))
        for i in range(0, len(frame), windows.ROWS)
    )
    return Result(
        value=ours / len(rows), unit="bytes/row", baseline_name="arctic's writer",
        baseline=theirs / len(rows), must=Must(1.15, at_most=True),
    )  # fmt: skip
