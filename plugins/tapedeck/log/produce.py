"""Producing with an acknowledgement counted for each lane, and nothing ever sent past a failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType

from tapedeck import native
from tapedeck.errors import BadInput, Unavailable
from tapedeck.log import client
from tapedeck.native import librdkafka
from tapedeck.packed import Array, Packed, pack
from tapedeck.settings import Settings

QUEUE_MESSAGES = 100_000
QUEUE_KBYTES = 65_536
"""What may wait for Kafka in memory; what is more waits where it came from."""
CLIENT_LIMIT = 1_000_000
"""librdkafka's `message.max.bytes`."""
TOGETHER = 500
"""So many records are given to librdkafka at once."""
PURGE_ALL = 1 | 2 | 4  # queued, in flight, without waiting
_PRODUCE = tuple(librdkafka.address(name) for name in ("produceva", "error_code", "error_destroy"))
OVERHEAD = 1024
"""Room for a record's key, headers and batch within a size limit."""


class Target(NamedTuple):
    """Where a lane leads: one partition of one topic."""

    topic: str
    partition: int


class Undelivered(Unavailable):
    """Kafka refused a record for good. Nothing behind it in its lane counts as acknowledged."""


class _Producer:
    """librdkafka's producer and the queue of its events."""

    def __init__(self, config: Mapping[str, object]) -> None:
        """Raises BadInput for a setting in `[kafka.client]` that librdkafka refuses."""
        events = librdkafka.DELIVERED | librdkafka.ERROR
        try:
            self.handle = librdkafka.create(librdkafka.PRODUCER, {**config, "log_level": 0}, events)
        except ValueError as e:
            raise BadInput(f"[kafka.client]: {e}: correct it in tapedeck.toml") from e
        self.events = librdkafka.call("queue_get_main", self.handle)

    def close(self) -> None:
        """Let go of Kafka, and of what it has not acknowledged."""
        librdkafka.call("purge", self.handle, PURGE_ALL)
        librdkafka.call("queue_destroy", self.events)
        librdkafka.call("destroy", self.handle)


_producers: client.Idle[_Producer] = client.Idle(kept=1)
"""An idempotent producer waits half a second for its id when it begins."""


class Outbox:
    """Records on their way to Kafka, in order within each lane.

    `produced` and `acknowledged` count each lane's records. Memory is bounded: a full queue blocks the
    sender. After a record was refused for good, its lane counts no more acknowledgements and the next
    `poll` or `drain` raises Undelivered: whoever sends then begins again from what was acknowledged, with
    a new outbox. Idempotence without gaps keeps the broker from storing what was behind.
    """

    def __init__(
        self,
        settings: Settings,
        targets: Sequence[Target],
        waiting: Callable[[], None],
        **librdkafka_settings: object,
    ) -> None:
        """`waiting` is called, again and again, while Kafka keeps the sender waiting; it may raise to leave.

        Raises Unavailable where Kafka does not answer.
        """
        self._waiting = waiting
        self.produced = [0] * len(targets)
        self.times_full = 0
        """How often a full queue was met."""
        self.trouble = ""
        """The last thing that Kafka's client complained of."""
        self._acknowledged = np.zeros(len(targets), np.int64)
        self._broken = np.zeros(len(targets), np.bool_)
        self._refusal = np.zeros(2, np.int64)
        self._failure: Undelivered | None = None
        self._closed = False
        self._targets = list(targets)
        client.contact(settings)
        config = client.producing(
            settings,
            **{
                "enable.gapless.guarantee": True,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                "queue.buffering.max.kbytes": QUEUE_KBYTES,
                **librdkafka_settings,
            },
        )
        self._config = config
        self._client = _producers.take(config, lambda: _Producer(config))
        self._producer, self._events = self._client.handle, self._client.events
        self._topics = {
            name: librdkafka.call("topic_new", self._producer, name.encode(), None)
            for name in dict.fromkeys(target.topic for target in targets)
        }
        self._handles = np.array([self._topics[target.topic] for target in targets], np.int64)
        self._partitions = np.array([target.partition for target in targets], np.int32)
        self._reports = np.zeros(0, np.int64)
        self._lanes: list[int] = []
        self._values: list[bytes] = []
        self._keys: list[bytes] = []
        self._times: list[int] = []

    @property
    def acknowledged(self) -> list[int]:
        """By lane, how many records Kafka has."""
        counts: list[int] = self._acknowledged.tolist()
        return counts

    def send(self, lane: int, value: bytes, key: bytes, timestamp_ms: int) -> None:
        """Hand a record to its lane. It leaves with the next few hundred, or with the next `poll`."""
        self._lanes.append(lane)
        self._values.append(value)
        self._keys.append(key)
        self._times.append(timestamp_ms)
        self.produced[lane] += 1
        if len(self._lanes) >= TOGETHER:
            self._leave()

    def send_many(
        self, lanes: Sequence[int], values: Sequence[bytes], keys: Sequence[bytes], times_ms: Sequence[int]
    ) -> None:  # fmt: skip
        """Hand many records to their lanes, in order."""
        self.send_packed(np.array(lanes, np.int32), pack(values), pack(keys), np.array(times_ms, np.int64))

    def send_packed(self, lanes: Array, values: Packed, keys: Packed, timestamps_ms: Array) -> None:
        """Hand many records to their lanes (int32), in order. Their memory may be used again afterwards."""
        self._leave()
        for lane, count in enumerate(np.bincount(lanes, minlength=len(self.produced)).tolist()):
            self.produced[lane] += count
        self._produce(lanes, values, keys, timestamps_ms)

    def send_all(self, lane: int, values: Packed, keys: Packed, timestamps_ms: Array) -> None:
        """Hand many records to a lane, in order."""
        self._leave()
        self.produced[lane] += len(values)
        self._produce(np.full(len(values), lane, np.int32), values, keys, timestamps_ms)

    def poll(self, seconds: float) -> None:
        """Take acknowledgements, waiting so long for one."""
        self._leave()
        self._take_events(seconds)

    @property
    def pending(self) -> int:
        """Records that are not yet acknowledged."""
        return sum(self.produced) - int(self._acknowledged.sum())

    def drain(self) -> None:
        """Return when all records are acknowledged."""
        self._leave()
        while self.pending:
            self._take_events(0.05)
            if self.pending:
                self._waiting()

    def close(self) -> None:
        """Forget what was not acknowledged and let go of Kafka."""
        if self._closed:
            return
        self._closed = True
        for handle in self._topics.values():
            librdkafka.call("topic_destroy", handle)
        if self.pending or self._failure is not None or self._broken.any():
            self._client.close()
        else:
            _producers.give_back(self._config, self._client)

    def _leave(self) -> None:
        """Give what has gathered to librdkafka."""
        if not self._lanes:
            return
        lanes, values, keys, times = self._lanes, self._values, self._keys, self._times
        self._lanes, self._values, self._keys, self._times = [], [], [], []
        self._produce(np.array(lanes, np.int32), pack(values), pack(keys), np.array(times, np.int64))

    def _produce(self, lanes: Array, values: Packed, keys: Packed, times: Array) -> None:
        at, first, error = native.at, 0, np.zeros(1, np.int64)
        null = 0 if keys.null is None else at(keys.null)
        while True:
            first = native.produce(
                self._producer, first, len(values), at(lanes), at(self._handles), at(self._partitions),
                at(values.data), at(values.bounds), at(keys.data), at(keys.bounds), null, at(times),
                *_PRODUCE, at(error),
            )  # fmt: skip
            if first == len(values):
                return
            if error[0] != librdkafka.QUEUE_FULL:
                raise self._fail(int(lanes[first]), librdkafka.error_text(int(error[0])))
            self.times_full += 1
            self._take_events(0.1)
            self._waiting()

    def _take_events(self, seconds: float) -> None:
        wait = int(seconds * 1000)
        while event := librdkafka.call("queue_poll", self._events, wait):
            wait = 0
            if librdkafka.call("event_type", event) == librdkafka.DELIVERED:
                self._take_reports(event)
            else:
                self._note(event)
            librdkafka.call("event_destroy", event)
        if self._failure is None and self._refusal[0]:
            self._fail(int(self._refusal[1]), librdkafka.error_text(int(self._refusal[0])))
        if self._failure is not None:
            raise self._failure

    def _take_reports(self, event: int) -> None:
        count = librdkafka.call("event_message_count", event)
        if len(self._reports) < count:
            self._reports = np.zeros(count, np.int64)
        at = native.at
        librdkafka.call("event_message_array", event, at(self._reports), count)
        native.acknowledge(
            at(self._reports), count, at(self._acknowledged), at(self._broken), at(self._refusal)
        )  # fmt: skip

    def _fail(self, lane: int, why: str) -> Undelivered:
        self._broken[lane] = True
        if self._failure is None:
            topic, partition = self._targets[lane]
            self._failure = _refused(f"a record for {topic}[{partition}]", why)
        return self._failure

    def _note(self, event: int) -> None:
        text: bytes = librdkafka.call("event_error_string", event)
        self.trouble = text.decode()
        if librdkafka.call("event_error_is_fatal", event) and self._failure is None:
            self._failure = _refused("a record", self.trouble)


def _refused(what: str, why: str) -> Undelivered:
    remedy = "mend that topic"
    if "timestamp" in why.lower():
        remedy = (
            "this machine's clock is an hour or more ahead of Kafka's: correct the clock that is wrong; all "
            "is kept with its times until Kafka takes them"
        )
    return Undelivered(
        f"Kafka refused {what} for good ({why}): nothing behind it is published before it is; {remedy}, what "
        "is not acknowledged is sent again"
    )


def value_limits(settings: Settings, topics: Sequence[str]) -> dict[str, int]:
    """The most bytes that a record's value may have in each topic. Raises Unavailable."""
    admin = client.admin(settings)
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    try:
        configs = {
            resource.name: future.result()
            for resource, future in admin.describe_configs(
                resources, request_timeout=client.REQUEST_SECONDS
            ).items()
        }
    except KafkaException as e:
        raise client.unavailable(settings, e.args[0].str()) from e
    return {
        topic: min(int(configs[topic]["max.message.bytes"].value), CLIENT_LIMIT) - OVERHEAD
        for topic in topics
    }
