"""Questions to Kafka that are asked again and again beside the work, and never waited for."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec
from confluent_kafka.error import KafkaError

from tapedeck.log import client, identity, meta
from tapedeck.settings import Settings

ASK_SECONDS = 5
"""How long an answer may take before the question is asked anew."""


class MetaChanges:
    """Whether `md.meta` says more than it did."""

    def __init__(self, settings: Settings) -> None:
        """Raises Unavailable where Kafka does not answer."""
        self._admin, self._topic = client.admin(settings), meta.topic_name(settings)
        self._asked: Future[Any] | None = None
        self._end = -1

    def seen(self) -> bool:
        """Whether something was added, by the answer to what was asked the last time; asks again.

        The first answer counts as a change: nobody knows what was read before.
        """
        end = self._end
        if self._asked is not None and self._asked.done():
            with suppress(KafkaException):  # away: the next answer tells
                end = self._asked.result().offset
            self._asked = None
        if self._asked is None:
            place = TopicPartition(self._topic, 0)
            asked = self._admin.list_offsets({place: OffsetSpec.latest()}, request_timeout=ASK_SECONDS)
            self._asked = asked[place]
        changed, self._end = end != self._end, end
        return changed


class Identity:
    """Whether a topic is still the one that it was: clients do not notice one that was made again."""

    def __init__(self, settings: Settings, name: str, topic_id: str) -> None:
        """Raises Unavailable where Kafka does not answer."""
        self._admin, self._name, self._id = client.admin(settings), name, topic_id
        self._asked: Future[Any] | None = None

    def found(self) -> str:
        """The topic's id by the answer to the last question, `none` where it is gone; asks again."""
        found = self._id
        if self._asked is not None and self._asked.done():
            try:
                found = str(self._asked.result().topic_id)
            except KafkaException as e:
                if e.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    found = self._confirmed()
            self._asked = None
        if self._asked is None:
            asked = self._admin.describe_topics(TopicCollection([self._name]), request_timeout=ASK_SECONDS)
            self._asked = asked[self._name]
        return found

    def _confirmed(self) -> str:
        """The topic's id, or `none` where no broker knows of it any more; this once it is waited for."""
        try:
            return identity.asking(self._admin, [self._name])().get(self._name, ("none", 0))[0]
        except KafkaException:  # away: the next answer tells
            return self._id
