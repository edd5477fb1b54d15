"""Messages of one symbol as an Arctic TickStoreV3 document's fields (DESIGN §4); `decoder` is the way back.

Stock arctic reads `i` (ms: the first, then differences) and `cs` (columns of float64 or int64 with
all-ones row masks), every block lz4-compressed. What only tapedeck reads rides beside them:

`own`    prev, src, topic, offset, one value a message, packed (`_pack`), and a book's rows a message
`texts`  a status's texts, one a row
`crc`    CRC-32 of all of these but the masks, so that a flipped byte is noticed at reading speed
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import lz4.block
import msgspec
import numpy as np

from tapedeck.columns import Array, Columns, concat

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
    """`encode_all` of one window."""
    return encode_all([columns])[0]


def encode_all(parts: Sequence[Columns]) -> list[dict[str, Any]]:
    """The fields `c`, `i`, `cs`, `own`, `texts`, `crc` of each part: messages of one symbol in their order.

    Rows are messages; of a book, levels: bids, then asks, and one row of side 0 for no level at all. All
    parts are of one kind; they are laid out together, so that small windows cost little.
    """
    kind = parts[0].kind
    whole, counts = concat(kind, parts), np.array([len(part) for part in parts])
    full = counts[counts > 0]
    ends = np.cumsum(full)
    starts = ends - full
    per_message = rows_per_message(whole)
    times = {"ts_recv": whole["ts_recv"], "ts_event": whole["ts_event"], "seq": whole["seq"]}
    row_starts, row_ends = starts, ends
    if per_message is not None:
        times = {name: np.repeat(column, per_message) for name, column in times.items()}
        row_ends = np.cumsum(per_message)[ends - 1]
        row_starts = np.append(0, row_ends[:-1])[: len(row_ends)]
    ms = times["ts_recv"] // MS
    event_ms = times["ts_event"] // MS
    index = ms.copy()
    index[1:] -= ms[:-1]
    index[row_starts] = ms[row_starts]
    exact = {
        "recv_ns": times["ts_recv"] - ms * MS, "event_ms": event_ms,
        "event_ns": times["ts_event"] - event_ms * MS, "seq": times["seq"],
    }  # fmt: skip
    shared = {name: (_bytes(column), _type(column)) for name, column in _shared_values(whole).items()}
    exactly = {name: (_bytes(column), "int64") for name, column in exact.items()}
    stamps, owns = _bytes(index), _provenance(whole, starts, ends, per_message)
    texts = [str(text) for text in whole["text"]] if kind == "status" else []
    spans = zip(starts.tolist(), ends.tolist(), row_starts.tolist(), row_ends.tolist(), owns, strict=True)
    nothing = [False, 0, *[[0, 0]] * 4, None if per_message is None else [0, 0]]
    compress, found = lz4.block.compress, []
    for part in parts:
        first, last, begin, end, own = next(spans) if len(part) else (0, 0, 0, 0, nothing)
        mask, at = _ones(end - begin), slice(8 * begin, 8 * end)
        values = {name: {"d": compress(block[at]), "t": t, "m": mask} for name, (block, t) in shared.items()}
        if kind == "fields":
            for name, column in _spread_fields(part["fields"]).items():
                values[name] = {"d": compress(_bytes(column)), "t": _type(column), "m": mask}
        for name, (block, t) in exactly.items():
            values[name] = {"d": compress(block[at]), "t": t, "m": mask}
        stored: dict[str, Any] = {
            "c": end - begin, "i": compress(stamps[at]), "cs": values,
            "own": compress(msgspec.msgpack.encode(own)),
        }  # fmt: skip
        if kind == "status":
            stored["texts"] = texts[first:last]
        stored["crc"] = checksum(stored)
        found.append(stored)
    return found


def _provenance(whole: Columns, starts: Array, ends: Array, per_message: Array | None) -> list[list[Any]]:
    """What only tapedeck reads, run by run; a prev that chains as its difference to the seq before."""
    if not len(starts):
        return []
    prev, seq = whole["prev"], whole["seq"]
    chained = np.logical_or.reduceat(prev != 0, starts)
    before = np.empty_like(seq)
    before[1:] = seq[:-1]
    before[starts] = seq[starts]
    prev = np.where(np.repeat(chained, ends - starts), prev - before, prev)
    columns = [prev, whole["src"], whole["topic"].astype(np.int64), whole["offset"]]
    packed = [_pack(column, starts, ends) for column in columns]
    rows = [None] * len(starts) if per_message is None else _pack(per_message, starts, ends)
    counts = (ends - starts).tolist()
    return [list(own) for own in zip(chained.tolist(), counts, *packed, rows, strict=True)]


def row_values(columns: Columns) -> dict[str, Array]:
    """The kind's own columns as they are stored, one value a row."""
    if columns.kind == "fields":
        return _spread_fields(columns["fields"])
    return _shared_values(columns)


def _shared_values(columns: Columns) -> dict[str, Array]:
    """Those that every document of the kind has."""
    per_message = rows_per_message(columns)
    if per_message is not None:
        return _level_rows(columns, per_message)
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


def _pack(column: Array, starts: Array, ends: Array) -> list[list[Any]]:
    """Of each run [first, step] of an even march, else [first, type, steps in the narrowest integers]."""
    firsts = column[starts].tolist()
    steps = np.zeros(len(column), np.int64)
    steps[1:] = column[1:] - column[:-1]
    steps[starts] = 0
    longer = starts[ends - starts > 1]
    steps[longer] = steps[longer + 1]  # a run has one step less than messages: its first is counted twice
    low, high = np.minimum.reduceat(steps, starts), np.maximum.reduceat(steps, starts)
    packed: list[list[Any]] = []
    narrow: dict[str, memoryview] = {}
    bounds = zip(firsts, low.tolist(), high.tolist(), starts.tolist(), ends.tolist(), strict=True)
    for first, least, most, start, end in bounds:
        if least == most:
            packed.append([first, least])
            continue
        width = next(t for t, bound in _NARROW if -bound <= least and most < bound)
        if width not in narrow:
            narrow[width] = _bytes(steps.astype(width))
        size = int(width[-1])
        packed.append([first, width, narrow[width][size * (start + 1) : size * end]])
    return packed


def _type(column: Array) -> str:
    return "float64" if column.dtype.kind == "f" else "int64"


def _bytes(column: Array) -> memoryview:
    """Its bytes, to be cut where documents end."""
    return np.ascontiguousarray(column).data.cast("B")


@lru_cache(maxsize=4096)
def _ones(rows: int) -> bytes:
    block: bytes = lz4.block.compress(np.packbits(np.ones(rows, np.uint8)))
    return block


def shows_all(stored: Mapping[str, Any]) -> bool:
    """Whether stock arctic sees every row: each mask has a one for each of `c`, the index's length."""
    if 8 * stored["c"] != int.from_bytes(stored["i"][:4], "little"):
        return False  # and no mask is made of a number that may be anything
    ones = _ones(stored["c"])
    return all(cell["m"] == ones or _is_as(cell["m"], ones) for cell in stored["cs"].values())


def _is_as(mask: bytes, ones: bytes) -> bool:
    """Whether both are the same bits, though another lz4 may have packed them."""
    if mask[:4] != ones[:4]:
        return False
    try:
        same: bool = lz4.block.decompress(mask) == lz4.block.decompress(ones)
    except (lz4.block.LZ4BlockError, ValueError):
        return False
    return same


def checksum(stored: Mapping[str, Any]) -> int:
    """CRC-32 of what tapedeck decodes: all but the masks, of which `shows_all` tells."""
    crc = zlib.crc32(stored["own"], zlib.crc32(stored["i"]))
    for cell in stored["cs"].values():
        crc = zlib.crc32(cell["d"], crc)
    for text in stored.get("texts", ()):
        crc = zlib.crc32(text.encode(), crc)
    return crc
