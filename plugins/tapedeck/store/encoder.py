"""Messages of one symbol as an Arctic TickStoreV3 document's fields, and back bit for bit (DESIGN §4).

Stock arctic reads `i` (ms: the first, then differences) and `cs` (columns of float64 or int64 with
all-ones row masks), every block lz4-compressed. What only tapedeck reads rides beside them:

`own`    prev, src, topic, offset, one value a message, packed (`_pack`), and a book's rows a message
`texts`  a status's texts, one a row
`crc`    CRC-32 of all of these, so that a flipped byte is noticed at reading speed
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import lz4.block
import msgspec
import numpy as np

from tapedeck.columns import Array, Columns, empty
from tapedeck.errors import Mismatch

MS = 1_000_000
FIELD_PREFIX = "f_"
PLAIN: dict[str, tuple[str, ...]] = {
    "trade": ("price", "size", "side"),
    "quote": ("bid", "ask", "bid_size", "ask_size"),
    "book": ("side", "level", "price", "size", "snapshot"),
    "status": ("code",),
    "fields": (),
}
"""Columns of each kind's documents beside recv_ns, event_ms, event_ns and seq."""

_NARROW = (("<i1", 2**7), ("<i2", 2**15), ("<i4", 2**31), ("<i8", 2**63))


def encode(columns: Columns) -> dict[str, Any]:
    """The fields `c`, `i`, `cs`, `own`, `texts`, `crc` of messages of one symbol, in their order.

    Rows are messages; of a book, levels: bids, then asks, and one row of side 0 for no level at all.
    """
    per_message = rows_per_message(columns)
    values = dict(row_values(columns))
    times = {"ts_recv": columns["ts_recv"], "ts_event": columns["ts_event"], "seq": columns["seq"]}
    if per_message is not None:
        times = {name: np.repeat(column, per_message) for name, column in times.items()}
    ms = times["ts_recv"] // MS
    event_ms = times["ts_event"] // MS
    values["recv_ns"] = times["ts_recv"] - ms * MS
    values["event_ms"] = event_ms
    values["event_ns"] = times["ts_event"] - event_ms * MS
    values["seq"] = times["seq"]
    index = ms.copy()
    index[1:] -= ms[:-1]
    mask = _ones(len(ms))
    stored: dict[str, Any] = {
        "c": len(ms),
        "i": _compress(index),
        "cs": {
            name: {"d": _compress(column), "t": "float64" if column.dtype.kind == "f" else "int64", "m": mask}
            for name, column in values.items()
        },
        "own": lz4.block.compress(_provenance(columns, per_message)),
    }
    if columns.kind == "status":
        stored["texts"] = [str(text) for text in columns["text"]]
    stored["crc"] = _crc(stored)
    return stored


def decode(kind: str, document: Mapping[str, Any], places: bool = True) -> Columns:
    """The messages that `encode` was given, exactly; without `topic` and `offset` where no `places` are
    wanted. Raises Mismatch where a byte has changed."""
    symbol = document["sy"]
    if _crc(document) != document["crc"]:
        raise Mismatch(
            f"the {kind} document {document['_id']!r} is damaged: its bytes don't have the checksum that it "
            "was written with; rebuild its window with `tapedeck backfill`"
        )
    if not document["c"]:
        return Columns(kind, (symbol,), dict(empty(kind).arrays), empty(kind).levels)
    cells = {name: _expand(cell["d"], cell["t"]) for name, cell in document["cs"].items()}
    prev_chained, *packed = msgspec.msgpack.decode(lz4.block.decompress(document["own"]))
    count, prev, src, topic, offset, per_message = packed
    rows = _unpack(per_message, count) if per_message is not None else None
    ms = np.cumsum(_expand(document["i"], "int64"))
    common = {
        "ts_event": cells["event_ms"] * MS + cells["event_ns"],
        "ts_recv": ms * MS + cells["recv_ns"],
        "seq": cells["seq"],
    }
    if rows is not None:
        first = np.cumsum(rows) - rows
        common = {name: column[first] for name, column in common.items()}
    arrays: dict[str, Array] = {
        "symbol": np.zeros(count, np.int32),
        **common,
        "prev": _unchain(_unpack(prev, count), common["seq"]) if prev_chained else _unpack(prev, count),
        "src": _unpack(src, count),
    }
    if places:
        arrays |= {"topic": _unpack(topic, count).astype(np.int32), "offset": _unpack(offset, count)}
    levels = None
    if rows is not None:
        side, first = cells["side"], np.cumsum(rows) - rows
        arrays["snapshot"] = cells["snapshot"][first]
        arrays["bids"] = np.add.reduceat((side > 0).astype(np.int64), first)
        arrays["asks"] = np.add.reduceat((side < 0).astype(np.int64), first)
        there = side != 0
        levels = np.column_stack((cells["price"][there], cells["size"][there]))
    elif kind == "fields":
        arrays["fields"] = _gather_fields(cells, count)
    else:
        arrays.update({name: cells[name] for name in PLAIN[kind]})
    if kind == "status":
        arrays["text"] = _objects(document["texts"])
    return Columns(kind, (symbol,), arrays, levels)


def row_values(columns: Columns) -> dict[str, Array]:
    """The kind's own columns as they are stored, one value a row."""
    per_message = rows_per_message(columns)
    if per_message is not None:
        return _level_rows(columns, per_message)
    if columns.kind == "fields":
        return _spread_fields(columns["fields"])
    return {name: columns[name] for name in PLAIN[columns.kind]}


def rows_per_message(columns: Columns) -> Array | None:
    """How many rows each message of a book takes; None for kinds of one row a message."""
    if columns.kind != "book":
        return None
    rows: Array = np.maximum(columns.level_counts(), 1)
    return rows


def _level_rows(columns: Columns, rows: Array) -> dict[str, Array]:
    total = int(rows.sum())
    owner = np.repeat(np.arange(len(rows)), rows)
    place = np.arange(total) - np.repeat(np.cumsum(rows) - rows, rows)
    bids, counts = columns["bids"][owner], columns.level_counts()[owner]
    side = np.where(place < bids, 1, -1)
    side[counts == 0] = 0
    price, size = np.full(total, np.nan), np.full(total, np.nan)
    if columns.levels is not None:
        price[counts > 0], size[counts > 0] = columns.levels[:, 0], columns.levels[:, 1]
    return {
        "side": side,
        "level": np.where(side < 0, place - bids, place),
        "price": price,
        "size": size,
        "snapshot": columns["snapshot"][owner],
    }


def _spread_fields(updates: Array) -> dict[str, Array]:
    """One column for each name that occurs, in the order of the names; NaN where it is absent."""
    spread: dict[str, Array] = {}
    for row, update in enumerate(updates):
        for name, number in update.items():
            if name not in spread:
                spread[name] = np.full(len(updates), np.nan)
            spread[name][row] = number
    return {FIELD_PREFIX + name: spread[name] for name in sorted(spread)}


def _gather_fields(cells: Mapping[str, Array], count: int) -> Array:
    updates: list[dict[str, float]] = [{} for _ in range(count)]
    for name, column in cells.items():
        if name.startswith(FIELD_PREFIX):
            for row in np.flatnonzero(~np.isnan(column)):
                updates[row][name[len(FIELD_PREFIX) :]] = float(column[row])
    return _objects(updates)


def _objects(values: list[Any]) -> Array:
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _provenance(columns: Columns, per_message: Array | None) -> bytes:
    """What only tapedeck reads. A prev that chains is kept as its difference to the seq before."""
    prev, seq = columns["prev"], columns["seq"]
    chained = bool(prev.any())
    if chained:
        before = np.concatenate((seq[:1], seq[:-1]))
        prev = prev - before
    return msgspec.msgpack.encode(
        [
            chained,
            len(columns),
            _pack(prev),
            _pack(columns["src"]),
            _pack(columns["topic"].astype(np.int64)),
            _pack(columns["offset"]),
            None if per_message is None else _pack(per_message),
        ]
    )


def _unchain(difference: Array, seq: Array) -> Array:
    prev: Array = difference + np.concatenate((seq[:1], seq[:-1]))
    return prev


def _pack(column: Array) -> list[Any]:
    """[first, step] of an even march, else [first, type, differences in the narrowest integers]."""
    if not len(column):
        return [0, 0]
    first, steps = int(column[0]), column[1:] - column[:-1]
    if not len(steps):
        return [first, 0]
    low, high = int(steps.min()), int(steps.max())
    if low == high:
        return [first, low]
    width = next(t for t, bound in _NARROW if -bound <= low and high < bound)
    return [first, width, steps.astype(width).tobytes()]


def _unpack(packed: list[Any], count: int) -> Array:
    if len(packed) == 2:
        first, step = packed
        return np.full(count, first, np.int64) if not step else first + step * np.arange(count)
    column = np.empty(count, np.int64)
    column[0] = packed[0]
    column[1:] = np.frombuffer(packed[2], packed[1])
    return np.cumsum(column, out=column)


def _compress(column: Array) -> bytes:
    block: bytes = lz4.block.compress(np.ascontiguousarray(column))
    return block


def _expand(block: bytes, dtype: str) -> Array:
    return np.frombuffer(lz4.block.decompress(block), dtype)


@lru_cache(maxsize=4096)
def _ones(rows: int) -> bytes:
    block: bytes = lz4.block.compress(np.packbits(np.ones(rows, np.uint8)))
    return block


def _crc(stored: Mapping[str, Any]) -> int:
    crc = zlib.crc32(stored["own"], zlib.crc32(stored["i"]))
    for cell in stored["cs"].values():
        crc = zlib.crc32(cell["d"], crc)
    for text in stored.get("texts", ()):
        crc = zlib.crc32(text.encode(), crc)
    return crc
