"""Which of a vendor's partitions this writer takes: what Kafka's consumer group gives it (DESIGN §10).

The group shares out and does nothing else. No record is fetched through it and no offset committed to it:
resume positions stay in MongoDB, behind acknowledged documents, and only rise. So it is no lock: a member
that was given up for dead and comes back writes nothing that its successor had not read, and harms nothing.

What is shared out are the vendor's *partition groups*. A log grows by topics whose count is a multiple of
the first one's (DESIGN §2.2), so group g is every partition p of every topic with p mod count = g, count
being the backfill topic's, which never grows and never expires: its partitions stand for the groups.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from types import TracebackType

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from tapedeck.errors import Unavailable
from tapedeck.log import client
from tapedeck.log.meta import TopicPin
from tapedeck.settings import Settings
from tapedeck.slices import parse_duration

POLL_SECONDS = 0.1
LET_GO_SECONDS = 15.0
"""How long others wait, when partitions move, for this writer to save how far it has come in them."""
BEATS = 5
"""Heartbeats a session."""
MS = 1_000_000

_log = logging.getLogger("tapedeck.kafka")


class Share:
    """A membership in the group of a vendor's writers, kept by a thread of its own.

    So a writer that waits for MongoDB is not put out of the group, and one that is stopped (or whose
    machine is gone) is, after `writer.session`.
    """

    def __init__(self, settings: Settings, vendor: str, backfill: TopicPin, who: str) -> None:
        """Join. Raises Unavailable where Kafka does not answer."""
        self.group = group_name(settings, vendor)
        self._settings, self._topic = settings, backfill.name
        self._groups: frozenset[int] = frozenset()
        self._held: frozenset[int] = frozenset()
        self._joined = False
        self._error: Unavailable | None = None
        self._changed = threading.Condition()
        self._ended = threading.Event()
        session = parse_duration(settings.writer.session) // MS
        config = {
            **client.reading(settings),
            "group.id": self.group,
            "client.id": who,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session,
            "heartbeat.interval.ms": max(1, session // BEATS),
            "enable.partition.eof": False,
        }
        client.contact(settings)
        try:
            self._consumer = Consumer(config, logger=_log)
        except KafkaException as e:
            raise client.unavailable(settings, e.args[0].str()) from e
        self._thread = threading.Thread(target=self._keep, name="share", daemon=True)

    def __enter__(self) -> Share:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave, so that others take over at once."""
        self.hold(frozenset())
        self._ended.set()
        self._thread.join(LET_GO_SECONDS)

    @property
    def groups(self) -> frozenset[int]:
        """The partition groups that are this writer's now. Raises Unavailable where it may not join."""
        if self._error is not None:
            raise self._error
        return self._groups

    @property
    def failed(self) -> bool:
        """Whether this membership is over: another one is to be begun."""
        return self._error is not None

    @property
    def joined(self) -> bool:
        """Whether the group has answered, even if it had nothing left to give."""
        return self._joined

    def hold(self, groups: frozenset[int]) -> None:
        """Say what is written now: groups that are asked back move on once they are no longer held."""
        with self._changed:
            self._held = groups
            self._changed.notify_all()

    def _keep(self) -> None:
        try:
            self._consumer.subscribe(
                [self._topic], on_assign=self._given, on_revoke=self._asked_back, on_lost=self._lost
            )
            while not self._ended.is_set():
                said = self._consumer.poll(POLL_SECONDS)
                if said is not None and (error := said.error()) is not None:
                    self._heed(error)
        except KafkaException as e:
            self._heed(e.args[0])
            if self._error is None:  # this thread ends: nothing would be given or asked back any more
                why = f"consumer group {self.group}: {e.args[0].str()}"
                self._error = client.unavailable(self._settings, why)
        finally:
            self._consumer.close()

    def _heed(self, error: KafkaError) -> None:
        if error.code() in (KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED):
            self._error = Unavailable(
                f"this writer may not join the consumer group {self.group} ({error.str()}): allow it to READ "
                f"that group and to DESCRIBE and READ {self._topic}"
            )
        elif error.fatal() or error.code() == KafkaError.INVALID_SESSION_TIMEOUT:
            self._error = client.unavailable(self._settings, f"consumer group {self.group}: {error.str()}")

    def _given(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        ends = [TopicPartition(p.topic, p.partition, OFFSET_END) for p in partitions]
        if ends:
            consumer.incremental_assign(ends)
            consumer.pause(ends)  # nothing is read through the group
        self._groups |= {p.partition for p in partitions}
        self._joined = True

    def _asked_back(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Others wait for the answer, so positions can be saved first and the next one begins there."""
        gone = frozenset(p.partition for p in partitions)
        self._groups -= gone
        deadline = time.monotonic() + LET_GO_SECONDS
        with self._changed:
            while self._held & gone and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
        consumer.incremental_unassign(list(partitions))

    def _lost(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """This member was given up for dead: others have these already."""
        self._groups -= {p.partition for p in partitions}
        consumer.incremental_unassign(list(partitions))


def group_name(settings: Settings, vendor: str) -> str:
    """The consumer group of a vendor's writers: `<writer.group>-<prefix><vendor>`."""
    return f"{settings.writer.group}-{settings.kafka.prefix}{vendor}"
