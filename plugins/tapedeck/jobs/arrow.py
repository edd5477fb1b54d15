"""Messages as Arrow tables: a message a row, times exact to the nanosecond."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from tapedeck.columns import Array, Columns
from tapedeck.log.marks import Mark

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


def order_of(parts: Iterable[Columns]) -> Array:
    """Where the rows of these, one after another, stand in order (ts_recv, topic, offset)."""
    listed = list(parts)
    names = ("offset", "topic", "ts_recv")
    order: Array = np.lexsort([np.concatenate([part[name] for part in listed]) for name in names])
    return order


def table_of(columns: Columns, schema: Any) -> Any:
    """These messages as a table; the schema may leave out columns."""
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
