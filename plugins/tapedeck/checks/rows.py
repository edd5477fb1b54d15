"""Level 3: rows against rows, keyed by (topic, partition, offset): what the log has and Arctic has not, or
otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from tapedeck import digest
from tapedeck.columns import Array, Columns
from tapedeck.partitions import partition_of
from tapedeck.rows import messages_of
from tapedeck.slices import format_time

SHOWN = 5
"""So many rows of each sort are shown with their values."""


class Row(Struct, frozen=True, kw_only=True):
    """One message that differs: what the log and what Arctic say of it; only the fields that differ where
    both have it. `topic` is its number in md.meta, `partition` -1 where md.meta names that topic no more."""

    sort: str
    """`missing` in Arctic, `extra` in Arctic, or `different`."""
    topic: int = -1
    partition: int = -1
    offset: int = -1
    symbol: str = ""
    seq: int = 0
    ts_recv: str
    log: dict[str, Any] | None
    arctic: dict[str, Any] | None

    def told(self, first: str, second: str) -> str:
        """As a person reads it where two sides of these names were compared, in place of log and Arctic."""
        place = f"{self.symbol}{f' seq {self.seq}' if self.seq else ''} at {self.ts_recv}"
        if self.sort == "different":
            changed = ", ".join(
                f"{name} {value} in {first}, {(self.arctic or {}).get(name)} in {second}"
                for name, value in (self.log or {}).items()
            )
            return f"different {place}: {changed}"
        said = " ".join(f"{name}={value}" for name, value in (self.log or self.arctic or {}).items())
        return f"only in {first if self.sort == 'missing' else second} {place}: {said}"

    @property
    def line(self) -> str:
        """As a person reads it."""
        place = f"topic {self.topic} partition {self.partition} offset {self.offset:,} at {self.ts_recv}"
        if self.sort == "different":
            changed = ", ".join(f"{n} {v} in the log, {(self.arctic or {}).get(n)} in Arctic"
                                for n, v in (self.log or {}).items())  # fmt: skip
            return f"different         {place}: {changed}"
        fields = self.log or self.arctic or {}
        said = " ".join(f"{name}={value}" for name, value in fields.items())
        return f"{self.sort} in Arctic {'' if self.sort == 'missing' else '  '}{place}: {said}"


class Diff(Struct, frozen=True, kw_only=True):
    """How many messages of a window differ, and the first of each sort."""

    missing: int = 0
    extra: int = 0
    different: int = 0
    rows: list[Row] = []

    @property
    def messages(self) -> int:
        """All that differ."""
        return self.missing + self.extra + self.different


def diff(log: Columns, arctic: Columns, symbol: str, counts: Mapping[int, int]) -> Diff:
    """Hold a window's messages as the log has them against those that Arctic holds, both of one symbol.

    `counts`: by topic number, how many partitions it has. A message that Arctic holds twice is once extra.
    """
    ours, theirs = _keys(log), _keys(arctic)
    order = np.argsort(theirs, kind="stable")
    again = np.zeros(len(theirs), np.bool_)
    again[order[1:][theirs[order][1:] == theirs[order][:-1]]] = True
    missing = np.flatnonzero(~np.isin(ours, theirs))
    extra = np.flatnonzero(again | ~np.isin(theirs, ours))
    once = np.flatnonzero(~again)
    _, left, right = np.intersect1d(ours, theirs[once], assume_unique=True, return_indices=True)
    right = once[right]
    changed = _differ(log.take(left), arctic.take(right))
    rows = [
        *_rows("missing", log, missing, symbol, counts),
        *_rows("extra", arctic, extra, symbol, counts),
        *_changed(log, left[changed], arctic, right[changed], symbol, counts),
    ]
    return Diff(missing=len(missing), extra=len(extra), different=int(changed.sum()), rows=rows)


def _keys(columns: Columns) -> Array:
    return (columns["topic"].astype(np.int64) << np.int64(48)) + columns["offset"].astype(np.int64)


def _differ(log: Columns, arctic: Columns) -> Array:
    if not len(log):
        return np.zeros(0, np.bool_)
    (a, b), (c, d) = digest.hashes(log), digest.hashes(arctic)
    differ: Array = (a != c) | (b != d)
    return differ


def _rows(sort: str, columns: Columns, which: Array, symbol: str, counts: Mapping[int, int]) -> Iterator[Row]:
    few = columns.take(which[:SHOWN])
    for i, said in enumerate(values(few)):
        log, arctic = (said, None) if sort == "missing" else (None, said)
        yield _row(sort, few, i, symbol, counts, log, arctic)


def _changed(
    log: Columns, left: Array, arctic: Columns, right: Array, symbol: str, counts: Mapping[int, int]
) -> Iterator[Row]:
    mine, theirs = log.take(left[:SHOWN]), arctic.take(right[:SHOWN])
    for i, (a, b) in enumerate(zip(values(mine), values(theirs), strict=True)):
        names = [name for name in a if a[name] != b.get(name)]
        yield _row("different", mine, i, symbol, counts, {n: a[n] for n in names}, {n: b[n] for n in names})


def _row(
    sort: str, columns: Columns, i: int, symbol: str, counts: Mapping[int, int],
    log: dict[str, Any] | None, arctic: dict[str, Any] | None,
) -> Row:  # fmt: skip
    topic = int(columns["topic"][i])
    home = partition_of(symbol, counts[topic]) if topic in counts else -1
    return Row(
        sort=sort, topic=topic, partition=home, offset=int(columns["offset"][i]),
        ts_recv=format_time(int(columns["ts_recv"][i])), log=log, arctic=arctic,
    )  # fmt: skip


def values(columns: Columns) -> Iterator[dict[str, Any]]:
    """Each message's fields by name, as JSON has them, without its symbol."""
    for message in messages_of(columns):
        yield {
            name: msgspec.json.decode(msgspec.json.encode(getattr(message, name)))
            for name in message.__struct_fields__
            if name != "symbol"
        }
