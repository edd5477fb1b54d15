"""What of one source is in the backfill topic already, and the extents that say where (DESIGN §5)."""

from __future__ import annotations

import uuid
from collections import defaultdict

import numpy as np
from confluent_kafka import Consumer
from msgspec import structs

from tapedeck.codec import decode_batch
from tapedeck.columns import Array
from tapedeck.log import client, meta
from tapedeck.log.meta import Extent, TopicPin
from tapedeck.log.plan import Range
from tapedeck.log.read import read_range
from tapedeck.message import KINDS, WHOLE_FEED
from tapedeck.settings import Settings


class Names:
    """Receipt times that came through before. One source never gives two messages one time, and a file's
    times rise, so each is looked up once, in order."""

    def __init__(self, times: Array) -> None:
        self._times: memoryview[int] = times.data
        self._at = 0

    @classmethod
    def none(cls) -> Names:
        """Nothing came through before."""
        return cls(np.zeros(0, np.int64))

    def has(self, ts_recv: int) -> bool:
        """Whether this time, above the last one asked for, is there."""
        times, at = self._times, self._at
        while at < len(times) and times[at] < ts_recv:
            at += 1
        self._at = at
        return at < len(times) and times[at] == ts_recv


class History:
    """The extents of one source in the backfill topic, and the making of a new one."""

    def __init__(self, settings: Settings, consumer: Consumer, pin: TopicPin, vendor: str, src: int) -> None:
        self._settings, self._consumer, self._pin = settings, consumer, pin
        self._vendor, self._src = vendor, src
        self._answers: defaultdict[tuple[int, int], set[int]] = defaultdict(set)

    def has_answered(self, first: int, last: int) -> bool:
        """Whether, by what `names` read, every partition holds this answer (see `Sender.answer`)."""
        return len(self._answers[first, last]) == self._pin.partitions

    def names(self) -> Names:
        """What came through before. Extents that a killed load left open are closed."""
        times, stars = [np.zeros(0, np.int64)], defaultdict[int, set[int]](set)
        for extent in meta.read(self._settings).extents:
            if (extent.topic_id, extent.src) == (self._pin.id, self._src):
                times.append(self._read(extent, stars))
        # A "*" message is there when all its copies are: one partition may have several, of killed loads.
        whole = [at for at, partitions in stars.items() if len(partitions) == self._pin.partitions]
        return Names(np.unique(np.concatenate([*times, np.array(whole, np.int64)])))

    def begin(self) -> Extent:
        """Open an extent at the topic's end, before the first record of it."""
        ends = {p: high for p, (_, high) in self._watermarks().items()}
        extent = Extent(
            id=uuid.uuid4().hex, vendor=self._vendor, topic_id=self._pin.id, src=self._src, start=ends
        )
        meta.put(self._settings, extent)
        return extent

    def end(self, extent: Extent, first: int, last: int) -> None:
        """Close an extent at the topic's end."""
        ends = {p: high for p, (_, high) in self._watermarks().items()}
        meta.put(self._settings, structs.replace(extent, next=ends, first=first, last=last))

    def _read(self, extent: Extent, stars: defaultdict[int, set[int]]) -> Array:
        """Times of this source in the extent, which is closed if open; of copies of "*" messages the
        partitions go to `stars`."""
        times, whole_feed = [np.zeros(0, np.int64)], list[int]()
        for p, (low, high) in self._watermarks().items():
            stop = high if extent.next is None else min(high, extent.next.get(p, 0))
            r = Range(
                topic=self._pin.name, topic_id=self._pin.id, number=self._pin.number, partition=p,
                start=max(low, extent.start.get(p, 0)), stop=stop,
                start_reason="extent", stop_reason="extent",
            )  # fmt: skip
            for records in read_range(self._settings, r):
                for kind, part in decode_batch(records.values).columns.items():
                    if kind == "heartbeat":
                        own = part["src"] == self._src
                        said = (part["since"][own].tolist(), part["ts_recv"][own].tolist())
                        for answer in zip(*said, strict=True):
                            self._answers[answer].add(p)
                    if kind in KINDS:
                        own = part["src"] == self._src
                        star = np.array([s == WHOLE_FEED for s in part.symbols], np.bool_)[part["symbol"]]
                        times.append(part["ts_recv"][own & ~star])
                        for at in part["ts_recv"][own & star].tolist():
                            stars[at].add(p)
                            whole_feed.append(at)
        found = np.concatenate(times)
        if extent.next is None:
            held = np.concatenate((found, np.array(whole_feed, np.int64)))
            first, last = (int(held.min()), int(held.max())) if len(held) else (0, 0)
            self.end(extent, first, last)
        return found

    def _watermarks(self) -> dict[int, tuple[int, int]]:
        return {
            p: client.watermarks(self._settings, self._consumer, self._pin.name, p)
            for p in range(self._pin.partitions)
        }
