"""The messages of a plan that stand, with their records' keys and values byte for byte."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import structs

from tapedeck import digest, native
from tapedeck.columns import Array, Columns
from tapedeck.log.plan import Plan
from tapedeck.log.read import Records
from tapedeck.log.reading import judged_part, stretches
from tapedeck.log.resolve import resolve
from tapedeck.packed import Packed, join
from tapedeck.partitions import homes, partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice


@dataclass(frozen=True, slots=True)
class Share:
    """One partition of a topic of `count` partitions: the symbols that live there."""

    partition: int
    count: int

    def sources(self, partitions: int) -> list[int]:
        """The partitions of a topic of so many partitions that can hold symbols of this share.

        A hash that leaves p by one count and t by another has both the same remainder by their
        greatest common divisor.
        """
        common = math.gcd(partitions, self.count)
        return [p for p in range(partitions) if p % common == self.partition % common]

    def answers_for(self, source: int, partitions: int) -> bool:
        """Whether this share, of all that read that source partition, counts what has no symbol."""
        return source % math.gcd(partitions, self.count) == self.partition

    def of(self, columns: Columns) -> Columns:
        """The messages whose symbols live here."""
        here = np.array([partition_of(s, self.count) == self.partition for s in columns.symbols], np.bool_)
        return columns if here.all() else columns.take(here[columns["symbol"]])


@dataclass(frozen=True, slots=True)
class Kept:
    """A stretch's messages that stand, in order (ts_recv, topic, offset), and what was left out.

    `ts_recv` (UTC ns) and `timestamps_ms` (CreateTime, UTC) are int64 of shape (n,).
    """

    slice: Slice
    ts_recv: Array
    timestamps_ms: Array
    keys: Packed
    values: Packed
    digest: int
    duplicates: int
    voided: int
    undecodable: int

    columns: tuple[Columns, ...] = ()
    """The messages themselves, unordered."""

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Array) -> Kept:
        """Only these messages, without columns; what was left out stays with the whole."""
        return Kept(
            slice=self.slice, ts_recv=self.ts_recv[rows], timestamps_ms=self.timestamps_ms[rows],
            keys=self.keys.take(rows), values=self.values.take(rows), digest=0, duplicates=0, voided=0,
            undecodable=0,
        )  # fmt: skip

    def names(self, timed: bool = True) -> Array:
        """What tells each record from all others (see `names`), with its CreateTime where `timed`."""
        times = self.timestamps_ms if timed else np.zeros_like(self.timestamps_ms)
        return names(self.keys, times, self.values)


def names(keys: Packed, timestamps_ms: Array, values: Packed) -> Array:
    """128 bits of each record's key, CreateTime and value: uint64 of shape (n, 2). Kept nowhere."""
    found = np.empty((len(values), 2), np.uint64)
    at, times = native.at, np.ascontiguousarray(timestamps_ms)
    null = None if keys.null is None else np.ascontiguousarray(keys.null)
    native.names(
        len(values), at(keys.data), at(keys.bounds), 0 if null is None else at(null), at(times),
        at(values.data), at(values.bounds), at(found),
    )  # fmt: skip
    return found


def kept(
    settings: Settings, plan: Plan, share: Share, symbols: frozenset[str], kinds: Sequence[str],
    seen: Callable[[Records], object] = lambda records: None,
) -> Iterator[Kept]:  # fmt: skip
    """Stretch after stretch of the plan's slice, the messages of a share that stand.

    Only of `symbols` (all where empty) and `kinds`. `seen` is shown every batch of records as it is read.
    Raises what `log.read.read` raises.
    """
    part = structs.replace(
        plan,
        ranges=tuple(r for r in plan.ranges if r.partition in share.sources(plan.count_of(r))),
        claims=tuple(c for c in plan.claims if c.partition in share.sources(c.count or plan.partitions)),
    )
    if not part.records:
        return
    for stretch in stretches(part):
        here = part if stretch == plan.slice else resolve(settings, plan.vendor, stretch, within=part)
        yield _stretch(settings, here, share, stretch, symbols, kinds, seen)


def _stretch(
    settings: Settings, plan: Plan, share: Share, of: Slice,
    symbols: frozenset[str], kinds: Sequence[str], seen: Callable[[Records], object],
) -> Kept:  # fmt: skip
    raw: list[Records] = []

    def see(records: Records) -> None:
        raw.append(records)
        seen(records)

    found: list[Columns] = []
    counts = {r.topic_id: plan.count_of(r) for r in plan.ranges}
    numbered = {r.number: plan.count_of(r) for r in plan.ranges}
    duplicates = voided = undecodable = 0
    for group in plan.groups:
        part = judged_part(settings, plan, group, of, symbols, kinds, seen=see)
        for judged in part.judged.values():
            found.append(share.of(judged.kept))
            duplicates += len(share.of(judged.duplicates))
            voided += len(share.of(judged.voided))
        undecodable += sum(share.answers_for(u.partition, counts[u.topic_id]) for u in part.undecodable)
    ts_recv = _joined([columns["ts_recv"] for columns in found])
    topic = _joined([columns["topic"].astype(np.int64) for columns in found])
    offset = _joined([columns["offset"] for columns in found])
    partition = _joined([_partitions(columns, numbered) for columns in found])
    order = np.lexsort((offset, topic, ts_recv))
    keys, values, times = _Raw(raw).take(topic[order], partition[order], offset[order])
    return Kept(
        slice=of, ts_recv=ts_recv[order], timestamps_ms=times, keys=keys, values=values,
        digest=digest.add(*(digest.digest(columns) for columns in found)),
        duplicates=duplicates, voided=voided, undecodable=undecodable, columns=tuple(found),
    )  # fmt: skip


def _partitions(columns: Columns, counts: dict[int, int]) -> Array:
    """From which partition each message was read; `counts`: by topic number, how many it has."""
    found = np.zeros(len(columns), np.int64)
    for number in np.unique(columns["topic"]).tolist():
        here = columns["topic"] == number
        found[here] = homes(columns.symbols, columns["symbol"][here], counts[number])
    return found


def _joined(arrays: list[Array]) -> Array:
    whole: Array = np.concatenate([np.zeros(0, np.int64), *arrays])
    return whole


class _Raw:
    """Records by (topic number, partition, offset)."""

    def __init__(self, records: Sequence[Records]) -> None:
        self._of: dict[tuple[int, int], list[Records]] = {}
        for batch in records:
            self._of.setdefault((batch.range.number, batch.range.partition), []).append(batch)

    def take(self, topic: Array, partition: Array, offset: Array) -> tuple[Packed, Packed, Array]:
        """Keys, values and CreateTimes (ms) of records that are all there."""
        every = [batch for batches in self._of.values() for batch in batches]
        places = np.zeros(len(offset), np.int64)
        before = 0
        for (number, p), batches in self._of.items():
            rows = np.flatnonzero((topic == number) & (partition == p))
            offsets = np.concatenate([batch.offsets for batch in batches])
            order = np.argsort(offsets, kind="stable")
            places[rows] = before + order[np.searchsorted(offsets[order], offset[rows])]
            before += len(offsets)
        times = np.concatenate([np.zeros(0, np.int64), *(batch.timestamps_ms for batch in every)])
        keys, values = join([batch.keys for batch in every]), join([batch.values for batch in every])
        return keys.take(places), values.take(places), times[places]
