"""Kafka values to columns, a batch at a time; poison is told apart record by record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from tapedeck.columns import COMMON, FLOATS, OWN, Array, Columns, concat, from_messages
from tapedeck.message import KIND_OF, Message, breach, decode
from tapedeck.packed import Packed
from tapedeck.unpack import LEFT, Unpacked, unpack

POISON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)
"""What `message.decode` raises on bytes (or the None of a tombstone) that are no message."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch of values as columns by kind, each with a column `record`: positions in the batch.

    `undecodable` names what is no message or breaks the contract of DESIGN §3: (position, reason).
    """

    columns: dict[str, Columns]
    undecodable: list[tuple[int, str]]


def decode_batch(values: Packed) -> Decoded:
    """Decode a batch of record values. Every position is in exactly one of the results."""
    found = unpack(values)
    parts: dict[str, list[Columns]] = {}
    for code, kind in enumerate(("trade", "quote", "book")):
        if len(rows := np.flatnonzero(found.kind == code)):
            parts[kind] = [_columns(kind, found, rows)]
    undecodable: list[tuple[int, str]] = []
    for kind, part in _typed(values, np.flatnonzero(found.kind == LEFT).tolist(), undecodable):
        parts.setdefault(kind, []).append(part)
    columns = {}
    for kind, of_kind in parts.items():
        whole = concat(kind, of_kind)
        if len(of_kind) > 1:
            whole = whole.take(np.argsort(whole["record"], kind="stable"))
        columns[kind] = whole
    return Decoded(columns, sorted(undecodable))


def _columns(kind: str, found: Unpacked, rows: Array) -> Columns:
    """The rows of one kind that the compiled reader found."""
    all_of_it = len(rows) == len(found.kind)

    def chosen(column: Array) -> Array:
        return column if all_of_it else column[rows]

    arrays = {"symbol": chosen(found.symbol)}
    arrays |= {name: chosen(found.common[i]) for i, name in enumerate(COMMON)}
    numbers = [name for name in OWN[kind] if name in FLOATS]
    arrays |= {name: chosen(found.numbers[i]) for i, name in enumerate(numbers)}
    others = [name for name in OWN[kind] if name not in FLOATS]
    arrays |= {name: chosen(found.extra[i]) for i, name in enumerate(others)}
    levels = found.levels if kind == "book" else None
    return Columns(kind, found.symbols, {**arrays, "record": rows}, levels)


def _typed(
    values: Packed, positions: list[int], undecodable: list[tuple[int, str]]
) -> Iterator[tuple[str, Columns]]:
    """What msgspec makes of the records at these positions, by kind; what is none is entered."""
    by_type: dict[type, list[tuple[int, Message]]] = {}
    for position in positions:
        try:
            message = decode(values[position])
        except POISON as e:
            undecodable.append((position, f"no message: {e}"[:200]))
            continue
        reason = breach(message)
        if reason is not None:
            undecodable.append((position, reason))
        else:
            by_type.setdefault(type(message), []).append((position, message))
    for kind_type, found in by_type.items():
        kind = KIND_OF[kind_type]
        records = np.array([position for position, _ in found], np.int64)
        yield kind, from_messages(kind, [message for _, message in found]).with_arrays(record=records)
