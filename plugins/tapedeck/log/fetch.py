"""Fetching records in bulk: batches as arrays, no Python object per record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import byref, c_int64
from dataclasses import dataclass

import numpy as np

from tapedeck import native
from tapedeck.errors import BadInput, Unavailable
from tapedeck.log import client
from tapedeck.native import librdkafka
from tapedeck.packed import Array, Packed
from tapedeck.settings import Settings

_TIMESTAMP, _DESTROY = librdkafka.address("message_timestamp"), librdkafka.address("message_destroy")


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition in the order of their offsets.

    `offsets` and `timestamps_ms` (CreateTime, UTC ms) are int64 of shape (n,).
    """

    topic: str
    partition: int
    offsets: Array
    timestamps_ms: Array
    keys: Packed
    values: Packed

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True, slots=True)
class Event:
    """What librdkafka says of a partition instead of giving a record: `_PARTITION_EOF`, or an error."""

    name: str
    text: str
    topic: str
    partition: int
    offset: int


class Fetcher:
    """A consumer for plain assignment, as `client.consumer` is, for one thread at a time."""

    def __init__(self, settings: Settings, config: Mapping[str, object]) -> None:
        """Raises BadInput for a setting in `[kafka.client]` that librdkafka refuses."""
        self._settings = settings
        try:
            self._handle = librdkafka.create(librdkafka.CONSUMER, {**config, "log_level": 0})
        except ValueError as e:
            raise BadInput(f"[kafka.client]: {e}: correct it in tapedeck.toml") from e
        librdkafka.call("poll_set_consumer", self._handle)
        self._queue = librdkafka.call("queue_get_consumer", self._handle)
        self._messages = np.zeros(0, np.int64)

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """The partition's first offset and the one after its last. Raises Unavailable."""
        low, high = c_int64(), c_int64()
        error = librdkafka.call(
            "query_watermark_offsets", self._handle, topic.encode(), partition, byref(low), byref(high),
            int(client.CONTACT_SECONDS * 1000),
        )  # fmt: skip
        if error:
            raise self._unavailable(f"{topic}[{partition}]: {librdkafka.error_text(error)}")
        return low.value, high.value

    def seen_watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """`watermarks` as the last fetch told them, without asking; (0, 0) before the first."""
        low, high = c_int64(), c_int64()
        librdkafka.call(
            "get_watermark_offsets", self._handle, topic.encode(), partition, byref(low), byref(high)
        )
        return max(0, low.value), max(0, high.value)

    def assign(self, places: Mapping[tuple[str, int], int]) -> None:
        """Fetch from these offsets on, by (topic, partition), and from nowhere else."""
        if error := librdkafka.assign(self._handle, places):
            raise self._unavailable(librdkafka.error_text(error))

    def fetch(self, most: int, seconds: float) -> tuple[list[Batch], list[Event]]:
        """At most so many records, waiting so long for them; each partition's together."""
        if len(self._messages) < most:
            self._messages = np.zeros(most, np.int64)
        held = self._messages
        batches: list[Batch] = []
        events: list[Event] = []
        first = 0
        try:
            n = librdkafka.call(
                "consume_batch_queue", self._queue, int(seconds * 1000), native.at(held), most
            )
            if n < 0:
                raise self._unavailable("its client could not fetch")
            while first < n:
                sound = self._laid_out(held[first:n], batches)
                first += sound
                if first < n:
                    events.append(_event(int(held[first])))
                    first += 1
        finally:  # Ctrl-C may come before `n` is told; what is kept would hold up `close` for ever
            given = int(np.count_nonzero(held))
            native.release(native.at(held), given, _DESTROY)
            held[:given] = 0
        return batches, events

    def close(self) -> None:
        """Let go of Kafka."""
        librdkafka.call("queue_destroy", self._queue)
        librdkafka.call("destroy", self._handle)

    def _laid_out(self, messages: Array, batches: list[Batch]) -> int:
        """Add the records before the first error; gives how many those are."""
        sizes = np.zeros(2, np.int64)
        at = native.at
        n = int(native.measure(at(messages), len(messages), at(sizes), at(sizes[1:])))
        if not n:
            return 0
        topics, offsets, times = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
        partitions, null = np.empty(n, np.int32), np.empty(n, np.bool_)
        values, keys = np.empty(int(sizes[0]), np.uint8), np.empty(int(sizes[1]), np.uint8)
        value_bounds, key_bounds = np.empty(n + 1, np.int64), np.empty(n + 1, np.int64)
        native.gather(
            at(messages), n, _TIMESTAMP, at(topics), at(partitions), at(offsets), at(times), at(values),
            at(value_bounds), at(keys), at(key_bounds), at(null),
        )  # fmt: skip
        packed_keys = Packed(keys, key_bounds, null if null.any() else None)
        packed = Packed(values, value_bounds)
        if (topics == topics[0]).all() and (partitions == partitions[0]).all():
            name = _topic_name(int(topics[0]))
            batches.append(Batch(name, int(partitions[0]), offsets, times, packed_keys, packed))
            return n
        order = np.lexsort((partitions, topics))  # stable: each partition's records stay in order
        cuts = np.flatnonzero(np.diff(topics[order]) | np.diff(partitions[order])) + 1
        for rows in np.split(order, cuts):
            name = _topic_name(int(topics[rows[0]]))
            batches.append(
                Batch(
                    name, int(partitions[rows[0]]), offsets[rows], times[rows], packed_keys.take(rows),
                    packed.take(rows),
                )
            )  # fmt: skip
        return n

    def _unavailable(self, what: str) -> Unavailable:
        return client.unavailable(self._settings, what)


def _topic_name(handle: int) -> str:
    name: bytes = librdkafka.call("topic_name", handle)
    return name.decode()


def _event(message: int) -> Event:
    found = np.zeros(4, np.int64)
    native.error(message, native.at(found))
    code, topic, partition, offset = found.tolist()
    name = _topic_name(topic) if topic else ""
    return Event(librdkafka.error_name(code), librdkafka.error_text(code), name, partition, offset)


_fetchers: client.Idle[Fetcher] = client.Idle(kept=2)


@contextmanager
def fetcher(settings: Settings, **more: object) -> Iterator[Fetcher]:
    """A fetcher of one's own for the block, connected already where one is idle in this process."""
    config = client.reading(settings, **more)

    def make() -> Fetcher:
        return Fetcher(settings, {**config, "group.id": client.throw_away_group()})

    with _fetchers.lent(config, make) as own:
        try:
            yield own
        finally:
            own.assign({})
