"""What a replay's target already holds of a slice, so that nothing is published into it twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Consumer

from tapedeck import digest
from tapedeck.columns import Array, Columns
from tapedeck.errors import BadInput
from tapedeck.jobs.kept import Kept, names
from tapedeck.jobs.topic import Topic
from tapedeck.log import client
from tapedeck.log.decode import decode_records
from tapedeck.log.plan import Range
from tapedeck.log.read import Records, read_range
from tapedeck.settings import Settings
from tapedeck.slices import Slice

MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Standing:
    """The messages of a slice that a target's partition holds below offset `next`.

    `ts_recv` (UTC ns) and `offsets` are int64 of shape (n,); `named` is uint64 of shape (n, 2), the
    records' names (see `kept.names`); `digest` is that of the messages.
    """

    topic: str
    partition: int
    next: int
    ts_recv: Array
    offsets: Array
    named: Array
    digest: int
    restamped: bool = False
    """The records bear the time of their replay, so their names leave CreateTime out."""

    def __len__(self) -> int:
        return len(self.ts_recv)

    def missing(self, kept: Kept) -> Array:
        """Positions of those messages of a stretch that the partition lacks, in order.

        Raises BadInput where it holds a message of the stretch twice, or one that is not among `kept`.
        """
        here = (self.ts_recv >= kept.slice.start) & (self.ts_recv < kept.slice.end)
        if not here.any():
            return np.arange(len(kept))
        held, wanted = self.named[here], kept.names(timed=not self.restamped)
        ordered = held[np.lexsort(held.T)]
        if (ordered[1:] == ordered[:-1]).all(axis=1).any():
            raise self._foreign("a message twice", int(self.offsets[here][0]), kept.slice)
        strange = ~_among(held, wanted)
        if strange.any():
            raise self._foreign(
                "messages that this replay would not write", int(self.offsets[here][strange][0]), kept.slice
            )
        absent: Array = np.flatnonzero(~_among(wanted, held))
        return absent

    def strange(self, of: Slice) -> BadInput:
        """The refusal where not all that stands is among what would be replayed."""
        return self._foreign("messages that this replay would not write", int(self.offsets[0]), of)

    def _foreign(self, what: str, offset: int, of: Slice) -> BadInput:
        return foreign(self.topic, self.partition, what, offset, of)


def foreign(topic: str, partition: int, what: str, offset: int, of: Slice) -> BadInput:
    """The refusal of a target that holds something else in the slice."""
    return BadInput(
        f"the topic {topic} already holds {what} in {of} (partition {partition}, from offset {offset} on): "
        "they are another vendor's, or the log has changed since they were replayed; replay to another topic"
    )


def survey(
    settings: Settings, target: Topic, partition: int, of: Slice, symbols: frozenset[str],
    kinds: Sequence[str], since: int | None = None, *, restamped: bool = False,
) -> Standing:  # fmt: skip
    """Read what a target's partition holds of a slice's messages, from offset `since` on if it is given.

    `restamped`: whatever their CreateTimes; then BadInput is raised for all that is not of the slice.

    `target` must have been looked at just now: that it is still the same topic is not asked again.
    Messages of other symbols and kinds are left alone. Raises BadInput for a record in the slice that
    is no message: a replay writes none such, so the topic is someone else's.
    """
    if not target.id:
        return _standing(target, partition, 0, [], [], [], restamped)
    found: list[Columns] = []
    offsets: list[Array] = []
    named: list[Array] = []
    with client.consumer(settings) as consumer:
        start, stop = _bounds(settings, consumer, target, partition, None if restamped else of)
        start = start if since is None else since
        r = Range(
            topic=target.topic, topic_id=target.id, number=0, partition=partition, start=min(start, stop),
            stop=stop, start_reason="exact", stop_reason="watermark",
        )  # fmt: skip
        for records in read_range(settings, r):
            for columns in _messages(target, records, None if restamped else of):
                wanted = columns.kind in kinds
                part = _chosen(columns, of, symbols) if wanted else columns.take(np.zeros(0, np.int64))
                if restamped and len(part) < len(columns):
                    strange = np.setdiff1d(columns["offset"], part["offset"])
                    raise foreign(
                        target.topic, partition, "messages that this replay would not write",
                        int(strange[0]), of,
                    )  # fmt: skip
                if len(part):
                    at = part["offset"] - records.offsets[0]
                    times = records.timestamps_ms[at]
                    found.append(part)
                    offsets.append(part["offset"])
                    named.append(
                        names(
                            records.keys.take(at), np.zeros_like(times) if restamped else times,
                            records.values.take(at),
                        )
                    )  # fmt: skip
    return _standing(target, partition, stop, found, offsets, named, restamped)


def _standing(
    target: Topic, partition: int, after: int, found: list[Columns], offsets: list[Array],
    named: list[Array], restamped: bool,
) -> Standing:  # fmt: skip
    nothing = np.zeros(0, np.int64)
    return Standing(
        topic=target.topic, partition=partition, next=after,
        ts_recv=np.concatenate([nothing, *(columns["ts_recv"] for columns in found)]),
        offsets=np.concatenate([nothing, *offsets]),
        named=np.concatenate([np.zeros((0, 2), np.uint64), *named]),
        digest=digest.add(*(digest.digest(columns) for columns in found)), restamped=restamped,
    )  # fmt: skip


def _bounds(
    settings: Settings, consumer: Consumer, target: Topic, partition: int, of: Slice | None
) -> tuple[int, int]:
    """Offsets that hold all records of the slice, or all: it may have been replayed at any time, so to the
    end."""
    low, high = client.watermarks(settings, consumer, target.topic, partition)  # first: see log.resolve
    if of is None:
        return low, high
    start = client.offsets_at(settings, consumer, target.topic, {partition: of.start // MS})[partition]
    return (high if start < 0 else min(start, high)), high


def _messages(target: Topic, records: Records, of: Slice | None) -> list[Columns]:
    """The messages among the records. Raises BadInput for what is none, of the slice or anywhere."""
    decoded = decode_records(records, target.partitions, timed=of is not None)
    whole = of or Slice(0, 2**63 - 1)
    first, last = whole.start // MS, (whole.end - 1) // MS
    strange = [bad.offset for bad in decoded.undecodable if first <= bad.timestamp_ms <= last]
    for control in (decoded.heartbeats, decoded.voids):
        if control is not None and len(inside := _chosen(control, whole, frozenset())):
            strange.append(int(inside["offset"].min()))
    if strange:
        r = records.range
        raise foreign(r.topic, r.partition, "records that are no messages", min(strange), whole)
    return list(decoded.messages.values())


def _chosen(columns: Columns, of: Slice, symbols: frozenset[str]) -> Columns:
    inside = (columns["ts_recv"] >= of.start) & (columns["ts_recv"] < of.end)
    if symbols:
        wanted = np.array([symbol in symbols for symbol in columns.symbols], np.bool_)
        inside &= wanted[columns["symbol"]]
    return columns if inside.all() else columns.take(inside)


def _among(names: Array, those: Array) -> Array:
    """Which names are among those: bool of shape (n,)."""
    both = np.concatenate([those, names])
    order = np.lexsort((np.arange(len(both)), both[:, 0], both[:, 1]))  # of equal ones, those come first
    new = np.ones(len(both), np.bool_)
    new[1:] = (both[order[1:]] != both[order[:-1]]).any(axis=1)
    first = np.maximum.accumulate(np.where(new, np.arange(len(both)), 0))
    found = np.empty(len(both), np.bool_)
    found[order] = order[first] < len(those)
    return found[len(those) :]


def behind(standing: Standing, ts_recv: Array) -> int:
    """How many of these messages would come to stand behind later ones of the slice."""
    return int((ts_recv < standing.ts_recv.max()).sum()) if len(standing) else 0
