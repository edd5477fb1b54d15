"""Facts of the log: of a run of offsets, per minute of ts_recv, how many of what, with their digest. Pure.

Whoever reads the same offsets with the same code finds the same facts, and facts of runs that do not
overlap add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tapedeck import digest
from tapedeck.columns import Array
from tapedeck.log.decode import Decoded
from tapedeck.log.read import Records
from tapedeck.message import KINDS

WHATS = (*KINDS, "control", "undecodable")
CONTROL, UNDECODABLE = WHATS.index("control"), WHATS.index("undecodable")
MINUTE_MS = 60_000
ROW = np.dtype(
    [("minute", "<i8"), ("what", "<i8"), ("messages", "<i8"), ("high", "<u8"), ("low", "<u8")]
)  # fmt: skip
"""One fact: the minute since the epoch, what (a place in WHATS), how many records, both halves of the
digest of messages (0 of what is none)."""

Runs = tuple[tuple[int, int], ...]
"""Offsets [start, next), in order, neither overlapping nor touching."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Consecutive records from offset `start` on, as arrays of one entry each: the minute of CreateTime,
    which is that of ts_recv, a place in WHATS, and both halves of a message's hash."""

    start: int
    minute: Array
    what: Array
    high: Array
    low: Array

    @property
    def next(self) -> int:
        """The offset after the last."""
        return self.start + len(self.minute)

    def part(self, start: int, end: int) -> Seen:
        """Those with offsets [start, end)."""
        first, last = start - self.start, end - self.start
        return Seen(
            start, self.minute[first:last], self.what[first:last], self.high[first:last], self.low[first:last]
        )


def seen(records: Records, decoded: Decoded) -> Seen:
    """What a decoded batch is, record by record."""
    count, start = len(records), records.range.start if not len(records) else int(records.offsets[0])
    what = np.full(count, CONTROL, np.int8)
    high, low = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    for kind, columns in decoded.messages.items():
        places = columns["offset"] - start
        what[places] = KINDS.index(kind)
        high[places], low[places] = digest.hashes(columns)
    for bad in decoded.undecodable:
        what[bad.offset - start] = UNDECODABLE
    return Seen(start, records.timestamps_ms // MINUTE_MS, what, high, low)


def joined(parts: Sequence[Seen]) -> list[Seen]:
    """The same records with those that follow each other as one."""
    groups: list[list[Seen]] = []
    for part in parts:
        if groups and groups[-1][-1].next == part.start:
            groups[-1].append(part)
        else:
            groups.append([part])
    return [
        Seen(group[0].start, *(np.concatenate([getattr(one, name) for one in group])
                               for name in ("minute", "what", "high", "low")))
        for group in groups
    ]  # fmt: skip


def facts(of: Seen) -> Array:
    """The facts of these records, in order of minute and what."""
    return _added(of.minute, of.what, np.ones(len(of.minute), np.int64), of.high, of.low)


def added(rows: Array) -> Array:
    """Facts with those of one minute and what summed, in that order."""
    return _added(*(rows[name] for name in ("minute", "what", "messages", "high", "low")))


def _added(minute: Array, what: Array, messages: Array, high: Array, low: Array) -> Array:
    if not len(minute):
        return np.zeros(0, ROW)
    least = int(minute.min())
    key = (minute - least) * len(WHATS) + what
    narrow = key.astype(np.uint16) if int(key.max()) < 65_536 else key  # radix sort
    order = np.argsort(narrow, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    out = np.zeros(len(starts), ROW)
    out["minute"], out["what"] = least + key[starts] // len(WHATS), key[starts] % len(WHATS)
    out["messages"] = np.add.reduceat(messages[order], starts)
    out["high"], out["low"] = _sums(high[order], low[order], starts)
    return out


def _sums(high: Array, low: Array, starts: Array) -> tuple[Array, Array]:
    """The sums mod 2**128 of each run that begins at `starts`, in halves."""
    low32, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    below = np.add.reduceat(low & low32, starts)
    above = np.add.reduceat(low >> half, starts) + (below >> half)
    carry = above >> half
    return np.add.reduceat(high, starts) + carry, (above << half) | (below & low32)


def total(rows: Array) -> tuple[int, int]:
    """How many messages, and their digest."""
    if not len(rows):
        return 0, 0
    high, low = _sums(rows["high"], rows["low"], np.zeros(1, np.int64))
    return int(rows["messages"].sum()), (int(high[0]) << 64) + int(low[0])


def missing(start: int, end: int, runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of the offsets [start, end) is in none of the runs."""
    gaps, at = [], start
    for first, last in sorted(runs):
        if first > at:
            gaps.append((at, min(first, end)))
        at = max(at, last)
        if at >= end:
            break
    else:
        gaps.append((at, end))
    return [(a, b) for a, b in gaps if a < b]


def union(runs: Iterable[tuple[int, int]]) -> Runs:
    """All that is in some run."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)
