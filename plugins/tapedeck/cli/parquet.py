"""Messages as one Parquet file, written stretch by stretch, so that memory does not grow with the slice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tapedeck.columns import Array, Columns
from tapedeck.log.marks import Mark

ROWS = 65_536
"""Rows of a row group."""
_TIME = pa.timestamp("ns", tz="UTC")
_LEVELS = pa.list_(pa.struct([("price", pa.float64()), ("size", pa.float64())]))
SCHEMA = pa.schema(
    [
        ("ts_recv", _TIME), ("ts_event", _TIME), ("kind", pa.string()), ("symbol", pa.string()),
        ("src", pa.int64()), ("seq", pa.int64()), ("prev", pa.int64()),
        ("price", pa.float64()), ("size", pa.float64()), ("side", pa.int64()),
        ("bid", pa.float64()), ("ask", pa.float64()), ("bid_size", pa.float64()), ("ask_size", pa.float64()),
        ("snapshot", pa.int64()), ("bids", _LEVELS), ("asks", _LEVELS),
        ("code", pa.int64()), ("text", pa.string()), ("fields", pa.map_(pa.string(), pa.float64())),
    ]
)  # fmt: skip
"""A message a row, in order; columns that its kind does not have are null, and so is an unknown ts_event."""


class _Counted:
    """A stream that knows how much was written: a pipe can't tell."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out, self._at, self.closed = out, 0, False

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        self._out.flush()

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def write_parquet(batches: Iterable[dict[str, Columns]], out: IO[bytes], everything: bool = False) -> int:
    """Write `Reading.batches()` and give how many messages that was."""
    schema = SCHEMA.append(pa.field("mark", pa.string())) if everything else SCHEMA
    count = 0
    file = pq.ParquetWriter(pa.PythonFile(_Counted(out), mode="w"), schema, compression="zstd")
    try:
        for batch in batches:
            if not batch:
                continue
            order = _order(batch.values())
            table = pa.concat_tables([_table(columns, schema) for columns in batch.values()])
            for first in range(0, len(order), ROWS):
                file.write_table(table.take(pa.array(order[first : first + ROWS])))
            count += len(order)
    finally:
        file.close()
    return count


def _order(parts: Iterable[Columns]) -> Array:
    listed = list(parts)
    names = ("offset", "topic", "ts_recv")
    order: Array = np.lexsort([np.concatenate([part[name] for part in listed]) for name in names])
    return order


def _table(columns: Columns, schema: Any) -> Any:
    made: dict[str, Any] = {
        "kind": pa.repeat(pa.scalar(columns.kind), len(columns)),
        "symbol": pa.array(columns.symbols, pa.string()).take(pa.array(columns["symbol"])),
        "ts_recv": pa.array(columns["ts_recv"]).cast(_TIME),
        "ts_event": pa.array(columns["ts_event"], mask=columns["ts_event"] == 0).cast(_TIME),
    }
    if "mark" in columns:
        made["mark"] = pa.array([Mark(mark).name.lower() for mark in columns["mark"].tolist()], pa.string())
    if columns.levels is not None:
        made["bids"], made["asks"] = _levels(columns)
    if columns.kind == "fields":
        made["fields"] = pa.array(
            [list(one.items()) for one in columns["fields"]], schema.field("fields").type
        )
    arrays = []
    for field in schema:
        if field.name in made:
            arrays.append(made[field.name])
        elif field.name in columns:
            arrays.append(pa.array(columns[field.name], field.type))
        else:
            arrays.append(pa.nulls(len(columns), field.type))
    return pa.table(arrays, schema=schema)


def _levels(columns: Columns) -> tuple[Any, Any]:
    """Each message's bids and asks: its levels are its bids, then its asks."""
    bids, asks = columns["bids"], columns["asks"]
    counts = np.stack([bids, asks], axis=1).reshape(-1)
    of_bids = np.repeat(np.tile([True, False], len(columns)), counts)
    levels = columns.levels if columns.levels is not None else np.zeros((0, 2))
    return _lists(bids, levels[of_bids]), _lists(asks, levels[~of_bids])


def _lists(counts: Array, levels: Array) -> Any:
    offsets = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    each = pa.StructArray.from_arrays(
        [pa.array(np.ascontiguousarray(levels[:, i])) for i in (0, 1)], ["price", "size"]
    )
    return pa.ListArray.from_arrays(pa.array(offsets), each)
