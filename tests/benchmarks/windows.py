"""One symbol's trades, as windows of ours and as arctic's own writer takes them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tapedeck.columns import Array, Columns
from tapedeck.log.plan import Claim
from tapedeck.slices import NS, Slice
from tapedeck.store.window import Built, between, build_windows

VENDOR = "windows"
SYMBOL = "BTCUSDT"
ROWS = 1000
"""Messages of a window."""
WINDOW = 600 * NS
MS, SECOND = 1_000_000, NS
START = 1_700_000_400 * NS
"""A window begins here."""


def trades(windows: int, each: int = ROWS) -> Columns:
    """So many windows of `each` trades, with all that the log knows of them."""
    random = np.random.default_rng(2)
    n = windows * each
    start = np.repeat(START + np.arange(windows) * WINDOW, each)
    recv = start + np.sort(random.integers(0, WINDOW - SECOND, (windows, each)), axis=1).ravel()
    recv = np.maximum.accumulate(recv - np.arange(n)) + np.arange(n)
    seq = 5_000_000_000 + np.arange(n)
    arrays: dict[str, Array] = {
        "symbol": np.zeros(n, np.int32),
        "ts_event": (recv - random.integers(1, 20, n) * MS) // MS * MS,
        "ts_recv": recv,
        "seq": seq,
        "prev": seq - 1,
        "src": np.ones(n, np.int64),
        "price": 61_800 + np.cumsum(random.integers(-5, 6, n)) / 10,
        "size": random.integers(1, 20_000, n) / 1000,
        "side": random.choice((-1, 1), n),
        "topic": np.ones(n, np.int32),
        "offset": 10_000_000 + np.cumsum(random.integers(1, 40, n)),
    }
    return Columns("trade", (SYMBOL,), arrays)


def ours(rows: Columns, windows: int, symbol: str = SYMBOL) -> list[Built]:
    """The windows as the window function builds them, of that symbol."""
    rows = Columns(rows.kind, (symbol,), rows.arrays, rows.levels)
    claims = (Claim(topic_id="A" * 22, partition=0, start=10_000_000, next=90_000_000),)
    spans = [Slice(START + i * WINDOW, START + (i + 1) * WINDOW) for i in range(windows)]
    parts = [between(rows, span) for span in spans]
    return [
        build_windows(span, part, None, 0, partition=0, claims=claims)[symbol]
        for span, part in zip(spans, parts, strict=True)
    ]


def theirs(rows: Columns) -> pd.DataFrame:
    """The same rows, every value of ours a column: what arctic's writer must store to say as much."""
    recv, event = rows["ts_recv"], rows["ts_event"]
    columns = {name: rows[name] for name in ("price", "size", "side")}
    columns |= {"recv_ns": recv % MS, "event_ms": event // MS, "event_ns": event % MS}
    columns |= {name: rows[name].astype(np.int64) for name in ("seq", "prev", "src", "topic", "offset")}
    index = pd.DatetimeIndex((recv // MS * MS).view("datetime64[ns]"), tz="UTC")
    return pd.DataFrame(columns, index=index)
