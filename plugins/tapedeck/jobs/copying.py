"""Publishing what a topic's partitions lack of a slice, acknowledged and counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from tapedeck import digest
from tapedeck.columns import Array
from tapedeck.jobs import topic
from tapedeck.jobs.kept import Kept
from tapedeck.jobs.order import Copied
from tapedeck.jobs.pacing import Pace
from tapedeck.jobs.standing import Standing, behind
from tapedeck.jobs.topic import Topic
from tapedeck.log import produce
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings

BATCH = 10_000
"""After so many records the lease is looked at again."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A stretch's records that are missing, each (lane, value, key, CreateTime in ms), and when they came
    (`ts_recv`, UTC ns, ascending). `behind`: so many will stand behind later ones."""

    stretch: Kept
    ts_recv: Array
    records: list[tuple[int, bytes, bytes, int]]
    behind: int


class Copying:
    """Publishes what partitions lack, and counts. The topic is made with the first message."""

    def __init__(
        self, settings: Settings, there: Topic, before: Mapping[int, Standing],
        check_lease: Callable[[], None], *, restamp: bool = False,
    ) -> None:  # fmt: skip
        """`before`: what stands in each partition that is written. In time records are sent one by one in the
        order of all; else in batches, of one partition. `restamp`: their CreateTime is now."""
        self.settings, self.topic = settings, there
        self.before, self.check_lease, self.restamp = before, check_lease, restamp
        self.messages = self.written = self.behind = 0
        self.duplicates = self.voided = self.undecodable = 0
        self.digests: list[int] = []
        self.outbox: produce.Outbox | None = None
        self._lanes = {partition: lane for lane, partition in enumerate(before)}
        self._lane_of: dict[bytes, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing may be on its way to Kafka any more when the lease is given up."""
        if self.outbox is not None:
            self.outbox.close()

    def copy(self, stretch: Kept) -> None:
        """Publish what is missing of a stretch, as fast as possible."""
        self._count(stretch)
        (standing,) = self.before.values()
        missing = standing.missing(stretch)
        self.behind += behind(standing, stretch.ts_recv[missing]) if len(missing) else 0
        self._send(stretch, missing)

    def ready(self, stretch: Kept) -> Ready:
        """What of a stretch is missing, laid out to be sent in time: for a thread of its own, since whoever
        sends in time must not wait for it."""
        keys, values = list(stretch.keys), list(stretch.values)
        lanes = np.array([self._lane(key) for key in keys], np.int32)
        rows, late = [np.zeros(0, np.int64)], 0
        for partition, lane in self._lanes.items():
            here = np.flatnonzero(lanes == lane)
            standing = self.before[partition]
            if len(standing):
                here = here[standing.missing(stretch.take(here))]
                late += behind(standing, stretch.ts_recv[here]) if len(here) else 0
            rows.append(here)
        missing = np.sort(np.concatenate(rows))
        times = stretch.timestamps_ms[missing].tolist()
        records = [
            (lane, values[row], keys[row], time_ms)
            for row, lane, time_ms in zip(missing.tolist(), lanes[missing].tolist(), times, strict=True)
        ]
        return Ready(stretch, stretch.ts_recv[missing], records, late)

    def copy_in_time(self, ready: Ready, pace: Pace) -> None:
        """Publish what `ready` gave, each record when it is due."""
        self._count(ready.stretch)
        self.behind += ready.behind
        if not ready.records:
            return
        outbox, records = self._open(), ready.records

        def hand_over(first: int, last: int) -> None:
            self.check_lease()
            now = time.time_ns() // 1_000_000
            for lane, value, key, time_ms in records[first:last]:
                outbox.send(lane, value, key, now if self.restamp else time_ms)
            outbox.poll(0)

        pace.send(ready.ts_recv, hand_over)
        self.written += len(records)

    def _count(self, stretch: Kept) -> None:
        self.messages += len(stretch)
        self.duplicates += stretch.duplicates
        self.voided += stretch.voided
        self.undecodable += stretch.undecodable
        self.digests.append(stretch.digest)

    def _open(self) -> produce.Outbox:
        self.check_lease()
        if self.outbox is None:
            self.topic = topic.ensure(self.settings, self.topic)
            lanes = [produce.Target(self.topic.topic, partition) for partition in self.before]
            self.outbox = produce.Outbox(self.settings, lanes, self.check_lease)
        return self.outbox

    def _send(self, stretch: Kept, missing: Array) -> None:
        if not len(missing):
            return
        outbox = self._open()
        for at in range(0, len(missing), BATCH):
            self.check_lease()
            rows = missing[at : at + BATCH]
            times = stretch.timestamps_ms[rows]
            if self.restamp:
                times = np.full(len(rows), time.time_ns() // 1_000_000, np.int64)
            outbox.send_all(0, stretch.values.take(rows), stretch.keys.take(rows), times)
            outbox.poll(0)
        self.written += len(missing)

    def _lane(self, key: bytes) -> int:
        lane = self._lane_of.get(key)
        if lane is None:
            lane = self._lanes[partition_of(key.decode(), self.topic.partitions)]
            self._lane_of[key] = lane
        return lane

    def finish(self, partition: int, pace: Pace | None = None) -> Copied:
        """Wait until Kafka has acknowledged all."""
        if self.outbox is not None:
            self.outbox.drain()
        before = digest.add(*(standing.digest for standing in self.before.values()))
        return Copied(
            partition=partition, messages=self.messages, already=self.messages - self.written,
            written=self.written, behind=self.behind, duplicates=self.duplicates, voided=self.voided,
            undecodable=self.undecodable, before=digest.to_hex(before),
            after=digest.to_hex(digest.add(*self.digests)),
            lateness=pace.lateness() if pace else None,
        )  # fmt: skip
