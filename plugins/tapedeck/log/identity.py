"""Which topic bears a name now: its id, and how many partitions it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.error import KafkaError

from tapedeck.log import client

Described = dict[str, tuple[str, int]]
"""By name, (id, partition count) of those topics that exist."""


def asking(admin: AdminClient, topics: Sequence[str]) -> Callable[[], Described]:
    """Ask now; what is given waits for the answer, so that other questions can be asked meanwhile.

    The answer raises KafkaException.
    """
    if not topics:
        return dict
    futures = admin.describe_topics(TopicCollection(list(topics)), request_timeout=client.REQUEST_SECONDS)

    def answer() -> Described:
        found = {}
        for name, future in futures.items():
            try:
                description = future.result()
                found[name] = (str(description.topic_id), len(description.partitions))
            except KafkaException as e:
                if e.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
        return found

    return answer
