"""Kafka values to columns, a batch at a time; poison is told apart record by record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from tapedeck.columns import FLOATS, OWN, Array, Columns, from_messages
from tapedeck.message import KIND_OF, Message, breach, decode

POISON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)
"""What `message.decode` raises on bytes (or the None of a tombstone) that are no message."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch of values as columns by kind, each with a column `record`: positions in the batch.

    `undecodable` names what is no message or breaks the contract of DESIGN §3: (position, reason).
    """

    columns: dict[str, Columns]
    undecodable: list[tuple[int, str]]


def decode_batch(values: Sequence[bytes]) -> Decoded:
    """Decode a batch of record values. Every position is in exactly one of the results."""
    messages, undecodable = _typed(values)
    by_type: dict[type, list[int]] = {}
    for position, message in enumerate(messages):
        if message is not None:
            by_type.setdefault(type(message), []).append(position)
    columns: dict[str, Columns] = {}
    for kind_type, positions in by_type.items():
        kind = KIND_OF[kind_type]
        chosen: list[Any] = (
            list(messages) if len(positions) == len(messages) else [messages[p] for p in positions]
        )
        part = from_messages(kind, chosen).with_arrays(record=np.array(positions, np.int64))
        sound = _sound(part)
        if not sound.all():
            for bad in np.flatnonzero(~sound):
                reason = breach(chosen[bad]) or "out of contract"
                undecodable.append((positions[bad], reason))
            part = part.take(sound)
        if len(part):
            columns[kind] = part
    return Decoded(columns, sorted(undecodable))


def _typed(values: Sequence[bytes]) -> tuple[list[Message | None], list[tuple[int, str]]]:
    try:
        return [decode(value) for value in values], []
    except POISON:
        messages: list[Message | None] = []
        undecodable = []
        for position, value in enumerate(values):
            try:
                messages.append(decode(value))
            except POISON as e:
                messages.append(None)
                undecodable.append((position, f"no message: {e}"[:200]))
        return messages, undecodable


def _sound(part: Columns) -> Array:
    """Which messages keep the contract that types can't say (the vectorised `message.breach`)."""
    named = np.array([1 <= len(s) <= 64 and s.isprintable() for s in part.symbols], np.bool_)
    sound: Array = named[part["symbol"]] & (part["ts_recv"] > 0) & (part["ts_event"] >= 0) & (part["src"] > 0)
    for name in OWN[part.kind]:
        if name in FLOATS:
            sound &= np.isfinite(part[name])
    if part.kind == "trade":
        sound &= np.abs(part["side"]) <= 1
    elif part.kind == "book" and part.levels is not None:
        sound &= (part["snapshot"] >> 1) == 0
        wrong = ~np.isfinite(part.levels).all(axis=1)
        if wrong.any():
            owner = np.repeat(np.arange(len(part)), part.level_counts())
            sound[owner[wrong]] = False
    elif part.kind == "fields":
        sound &= np.array([breach_free(values) for values in part["fields"]], np.bool_)
    return sound


def breach_free(values: dict[str, float]) -> bool:
    """Whether all numbers of a sparse field update are finite."""
    return all(np.isfinite(v) for v in values.values())
