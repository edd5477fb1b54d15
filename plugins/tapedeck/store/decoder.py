"""Documents back into the messages that `encoder` was given, bit for bit (DESIGN §4).

A symbol's documents are laid out together before anything is reckoned, so that small windows cost little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lz4.block
import msgspec
import numpy as np

from tapedeck.columns import Array, Columns, empty
from tapedeck.errors import Mismatch
from tapedeck.store.encoder import FIELD_PREFIX, MS, PLAIN, checksum, shows_all

_OWN = 256
"""Bytes that provenance may take at most, for each row and for all of them."""
EXACT = ("event_ms", "event_ns", "recv_ns", "seq")


def decode(kind: str, document: Mapping[str, Any], places: bool = True) -> Columns:
    """`decode_all` of one document."""
    return decode_all(kind, [document], places)


def decode_all(kind: str, documents: Sequence[Mapping[str, Any]], places: bool = True) -> Columns:
    """The messages of one symbol's documents, one document after another, exactly.

    Without `topic` and `offset` where no `places` are wanted. Raises Mismatch where a byte has changed.
    """
    for document in documents:
        if checksum(document) != document["crc"]:
            raise _damaged(kind, document, "its bytes don't have the checksum that it was written with")
        if not shows_all(document):
            raise _damaged(kind, document, "its masks hide rows from stock arctic")
    symbols = (documents[0]["sy"],) if documents else ()
    full = [document for document in documents if document["c"]]
    if not full:
        return Columns(kind, symbols, dict(empty(kind).arrays), empty(kind).levels)
    owns = [
        msgspec.msgpack.decode(_unpacked(kind, document, document["own"], _OWN * document["c"] + _OWN))
        for document in full
    ]
    chained, counted, prevs, srcs, topics, offsets, per_message = zip(*owns, strict=True)
    counts = np.array(counted)
    rows = None if kind != "book" else _unpack(per_message, counts)
    sizes = counts
    if rows is not None:
        ends = np.cumsum(counts)
        sizes = np.add.reduceat(rows, ends - counts)
    cells = {
        name: _joined(kind, full, sizes, [document["cs"][name]["d"] for document in full],
                      full[0]["cs"][name]["t"])
        for name in (*PLAIN[kind], *EXACT)
    }  # fmt: skip
    ms = _running(_joined(kind, full, sizes, [document["i"] for document in full], "int64"), sizes)
    common = {
        "ts_event": cells["event_ms"] * MS + cells["event_ns"],
        "ts_recv": ms * MS + cells["recv_ns"],
        "seq": cells["seq"],
    }
    first = np.zeros(0, np.int64)
    if rows is not None:
        first = np.cumsum(rows) - rows
        common = {name: column[first] for name, column in common.items()}
    arrays: dict[str, Array] = {
        "symbol": np.zeros(len(common["seq"]), np.int32),
        **common,
        "prev": _unchain(_unpack(prevs, counts), common["seq"], np.array(chained), counts),
        "src": _unpack(srcs, counts),
    }
    if places:
        arrays |= {"topic": _unpack(topics, counts).astype(np.int32), "offset": _unpack(offsets, counts)}
    levels = None
    if rows is not None:
        side = cells["side"]
        arrays["snapshot"] = cells["snapshot"][first]
        arrays["bids"] = np.add.reduceat((side > 0).astype(np.int64), first)
        arrays["asks"] = np.add.reduceat((side < 0).astype(np.int64), first)
        there = side != 0
        levels = np.column_stack((cells["price"][there], cells["size"][there]))
    elif kind == "fields":
        arrays["fields"] = _objects([update for document in full for update in _fields(document)])
    else:
        arrays.update({name: cells[name] for name in PLAIN[kind]})
    if kind == "status":
        arrays["text"] = _objects([text for document in full for text in document["texts"]])
    return Columns(kind, symbols, arrays, levels)


def _damaged(kind: str, document: Mapping[str, Any], why: str) -> Mismatch:
    return Mismatch(
        f"the {kind} document {document['_id']!r} is damaged: {why}; `tapedeck reconcile --repair` of its "
        "time builds its window anew"
    )


def _unpacked(kind: str, document: Mapping[str, Any], block: bytes, most: int) -> bytes:
    """What a block holds, which says first how much memory it wants: no more than it can rightly need."""
    if int.from_bytes(block[:4], "little") > most:
        raise _damaged(kind, document, "a block of it wants more memory than its rows can need")
    return lz4.block.decompress(block)  # type: ignore[no-any-return]


def _joined(
    kind: str, documents: Sequence[Mapping[str, Any]], sizes: Array, blocks: Sequence[bytes], dtype: str
) -> Array:
    """A column of all documents, each of which must have so many rows of it."""
    cells = [
        _unpacked(kind, document, block, 8 * size)
        for document, block, size in zip(documents, blocks, sizes.tolist(), strict=True)
    ]
    for document, cell, size in zip(documents, cells, sizes.tolist(), strict=True):
        if len(cell) != 8 * size:
            raise _damaged(kind, document, "a column is not as long as the others")
    return np.frombuffer(bytearray().join(cells), dtype)  # of a bytearray, so that it may be written to


def _unpack(packed: Sequence[Sequence[Any]], counts: Array) -> Array:
    """What `encoder` packed of each document."""
    if all(one[0] == packed[0][0] and len(one) == 2 and not one[1] for one in packed):
        return np.full(int(counts.sum()), packed[0][0], np.int64)
    steps = np.empty(int(counts.sum()), np.int64)
    at = 0
    for one, count in zip(packed, counts.tolist(), strict=True):
        steps[at] = one[0]
        steps[at + 1 : at + count] = one[1] if len(one) == 2 else np.frombuffer(one[2], one[1])
        at += count
    return _running(steps, counts)


def _running(steps: Array, counts: Array) -> Array:
    """Running sums within each document; changes `steps`."""
    column: Array = np.cumsum(steps, out=steps)
    if len(counts) > 1:
        begins = np.cumsum(counts)[:-1]
        column -= np.repeat(np.append(0, column[begins - 1]), counts)
    return column


def _unchain(prev: Array, seq: Array, chained: Array, counts: Array) -> Array:
    """A prev that chains was kept as its difference to the seq before."""
    starts = np.cumsum(counts) - counts
    before = np.empty_like(seq)
    before[1:] = seq[:-1]
    before[starts] = seq[starts]
    if chained.all():
        prev += before
    elif chained.any():
        prev += np.where(np.repeat(chained, counts), before, 0)
    return prev


def _fields(document: Mapping[str, Any]) -> list[dict[str, float]]:
    """The updates of a `fields` document, one a row."""
    updates: list[dict[str, float]] = [{} for _ in range(document["c"])]
    for name, cell in document["cs"].items():
        if name.startswith(FIELD_PREFIX):
            column = np.frombuffer(_unpacked("fields", document, cell["d"], 8 * document["c"]), np.float64)
            for row in np.flatnonzero(~np.isnan(column)):
                updates[row][name[len(FIELD_PREFIX) :]] = float(column[row])
    return updates


def _objects(values: list[Any]) -> Array:
    column = np.empty(len(values), object)
    column[:] = values
    return column
