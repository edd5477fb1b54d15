"""Producing with an acknowledgement counted for each lane, and nothing ever sent past a failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.admin import ConfigResource, ResourceType

from tapedeck.errors import Unavailable
from tapedeck.log import client
from tapedeck.settings import Settings

QUEUE_MESSAGES = 100_000
QUEUE_KBYTES = 65_536
"""What may wait for Kafka in memory; what is more waits where it came from."""
CLIENT_LIMIT = 1_000_000
"""librdkafka's `message.max.bytes`."""
OVERHEAD = 1024
"""Room for a record's key, headers and batch within a size limit."""


class Target(NamedTuple):
    """Where a lane leads: one partition of one topic."""

    topic: str
    partition: int


class Undelivered(Unavailable):
    """Kafka refused a record for good. Nothing behind it in its lane counts as acknowledged."""


class Outbox:
    """Records on their way to Kafka, in order within each lane.

    `produced` and `acknowledged` count each lane's records. Memory is bounded: a full queue blocks
    `send`. After a record was refused for good, its lane counts no more acknowledgements and the next
    `send`, `poll` or `drain` raises Undelivered: whoever sends then begins again from what was acknowledged,
    with a new outbox. Idempotence without gaps keeps the broker from storing what was behind.
    """

    def __init__(
        self,
        settings: Settings,
        targets: Sequence[Target],
        waiting: Callable[[], None],
        **librdkafka: object,
    ) -> None:
        """`waiting` is called, again and again, while Kafka keeps the sender waiting; it may raise to leave.

        Raises Unavailable where Kafka does not answer.
        """
        self._waiting = waiting
        self.produced = [0] * len(targets)
        self.acknowledged = [0] * len(targets)
        self.times_full = 0
        """How often `send` met a full queue."""
        self.trouble = ""
        """The last thing that Kafka's client complained of."""
        self._broken = [False] * len(targets)
        self._failure: Undelivered | None = None
        self._producer = client.producer(
            settings,
            **{
                "enable.gapless.guarantee": True,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                "queue.buffering.max.kbytes": QUEUE_KBYTES,
                "error_cb": self._note,
                **librdkafka,
            },
        )
        self._produce = self._producer.produce
        self._targets = list(targets)
        self._lanes = [(*target, self._callback(lane)) for lane, target in enumerate(targets)]

    def send(self, lane: int, value: bytes, key: bytes | None, timestamp_ms: int) -> None:
        """Hand a record to its lane. Blocks while the queue is full."""
        topic, partition, callback = self._lanes[lane]
        while True:
            try:
                self._produce(topic, value, key, partition, callback, None, timestamp_ms)
            except BufferError:
                self.times_full += 1
                self.poll(0.1)
                self._waiting()
            except KafkaException as e:
                raise self._fail(lane, e.args[0]) from e
            else:
                self.produced[lane] += 1
                return

    def poll(self, seconds: float) -> None:
        """Take acknowledgements, waiting so long for one."""
        try:
            self._producer.poll(seconds)
        except KafkaException as e:  # a fatal error
            self._note(e.args[0])
        if self._failure is not None:
            raise self._failure

    @property
    def pending(self) -> int:
        """Records that are not yet acknowledged."""
        return sum(self.produced) - sum(self.acknowledged)

    def drain(self) -> None:
        """Return when all records are acknowledged."""
        while self.pending:
            self.poll(0.05)
            if self.pending:
                self._waiting()

    def close(self) -> None:
        """Forget what was not acknowledged and let go of Kafka."""
        self._broken = [True] * len(self._targets)
        with suppress(KafkaException):  # a fatal error, of which `poll` has told
            self._producer.purge()
            self._producer.poll(0)
        self._lanes.clear()

    def _callback(self, lane: int) -> Callable[[KafkaError | None, Message], None]:
        acknowledged, broken = self.acknowledged, self._broken

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._fail(lane, error)
            elif not broken[lane]:
                acknowledged[lane] += 1

        return delivered

    def _fail(self, lane: int, error: KafkaError) -> Undelivered:
        self._broken[lane] = True
        if self._failure is None:
            topic, partition = self._targets[lane]
            self._failure = Undelivered(
                f"Kafka refused a record for {topic}[{partition}] for good ({error.str()}): nothing behind "
                "it is published before it is; mend that topic, what is not acknowledged is sent again"
            )
        return self._failure

    def _note(self, error: KafkaError) -> None:
        self.trouble = error.str()
        if error.fatal() and self._failure is None:
            self._failure = Undelivered(
                f"Kafka refused a record for good ({error.str()}): nothing behind it is published before it "
                "is; mend that topic, what is not acknowledged is sent again"
            )


def value_limits(settings: Settings, topics: Sequence[str]) -> dict[str, int]:
    """The most bytes that a record's value may have in each topic. Raises Unavailable."""
    admin = client.admin(settings)
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    try:
        configs = {
            resource.name: future.result()
            for resource, future in admin.describe_configs(resources, request_timeout=10).items()
        }
    except KafkaException as e:
        raise client.unavailable(settings, e.args[0].str()) from e
    return {
        topic: min(int(configs[topic]["max.message.bytes"].value), CLIENT_LIMIT) - OVERHEAD
        for topic in topics
    }
