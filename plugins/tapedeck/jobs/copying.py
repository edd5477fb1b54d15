"""Publishing what a topic's partitions lack of a slice, acknowledged and counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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


class Copying:
    """Publishes what partitions lack, and counts. The topic is made with the first message."""

    def __init__(
        self, settings: Settings, there: Topic, before: Mapping[int, Standing],
        check_lease: Callable[[], None], *, restamp: bool = False, pace: Pace | None = None,
    ) -> None:  # fmt: skip
        """`before`: what stands in each partition that is written. With several, or a `pace`, records are
        sent one by one in the order of all; else in batches. `restamp`: their CreateTime is now."""
        self.settings, self.topic = settings, there
        self.before, self.check_lease, self.restamp = before, check_lease, restamp
        self.pace = pace
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
        """Publish what is missing of a stretch."""
        self.messages += len(stretch)
        self.duplicates += stretch.duplicates
        self.voided += stretch.voided
        self.undecodable += stretch.undecodable
        self.digests.append(stretch.digest)
        if self.pace is None:
            (standing,) = self.before.values()
            missing = standing.missing(stretch)
            self.behind += behind(standing, stretch.ts_recv[missing]) if len(missing) else 0
            self._send(stretch, missing)
        else:
            self._send_paced(stretch, self.pace)

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

    def _send_paced(self, stretch: Kept, pace: Pace) -> None:
        keys = list(stretch.keys)
        lanes = np.array([self._lane(key) for key in keys], np.int32)
        rows = [np.zeros(0, np.int64)]
        for partition, lane in self._lanes.items():
            here = np.flatnonzero(lanes == lane)
            standing = self.before[partition]
            if len(standing):
                here = here[standing.missing(stretch.take(here))]
                self.behind += behind(standing, stretch.ts_recv[here]) if len(here) else 0
            rows.append(here)
        missing = np.sort(np.concatenate(rows))
        if not len(missing):
            return
        outbox, values = self._open(), list(stretch.values)
        order, times = missing.tolist(), stretch.timestamps_ms.tolist()

        def hand_over(first: int, last: int) -> None:
            self.check_lease()
            now = time.time_ns() // 1_000_000
            for row in order[first:last]:
                outbox.send(lanes[row], values[row], keys[row], now if self.restamp else times[row])
            outbox.poll(0)

        pace.send(stretch.ts_recv[missing], hand_over)
        self.written += len(missing)

    def _lane(self, key: bytes) -> int:
        lane = self._lane_of.get(key)
        if lane is None:
            lane = self._lanes[partition_of(key.decode(), self.topic.partitions)]
            self._lane_of[key] = lane
        return lane

    def finish(self, partition: int) -> Copied:
        """Wait until Kafka has acknowledged all."""
        if self.outbox is not None:
            self.outbox.drain()
        before = digest.add(*(standing.digest for standing in self.before.values()))
        return Copied(
            partition=partition, messages=self.messages, already=self.messages - self.written,
            written=self.written, behind=self.behind, duplicates=self.duplicates, voided=self.voided,
            undecodable=self.undecodable, before=digest.to_hex(before),
            after=digest.to_hex(digest.add(*self.digests)),
            lateness=self.pace.lateness() if self.pace else None,
        )  # fmt: skip
