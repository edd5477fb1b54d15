"""Which topic bears a name now: its id, and how many partitions it has.

A broker that has just started, or that lags behind its controller, does not know of topics that are there. So
that a topic is not there is believed only where every answer for a while says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.error import KafkaError

from tapedeck.log import client

DOUBT_SECONDS = (1.0, 5.0)
"""So long all answers must say that a topic is not there that was: of one broker, and of several, any of
which may answer."""
Described = dict[str, tuple[str, int]]
"""By name, (id, partition count) of those topics that exist."""
_seen: set[tuple[int, str]] = set()
"""Topics that an admin client was told of."""


def asking(admin: AdminClient, topics: Sequence[str]) -> Callable[[], Described]:
    """Ask now; what is given waits for the answer, so that other questions can be asked meanwhile.

    The answer raises KafkaException.
    """
    if not topics:
        return dict
    futures = admin.describe_topics(TopicCollection(list(topics)), request_timeout=client.REQUEST_SECONDS)

    def answer() -> Described:
        found, missing = _found(futures)
        _seen.update((id(admin), name) for name in found)
        many = bool(missing) and _are_many(admin)
        doubted = missing if many else [name for name in missing if (id(admin), name) in _seen]
        deadline = time.monotonic() + DOUBT_SECONDS[many]
        while doubted and time.monotonic() < deadline:
            time.sleep(0.1)
            asked = admin.describe_topics(TopicCollection(doubted), request_timeout=client.REQUEST_SECONDS)
            more, doubted = _found(asked)
            found |= more
        _seen.difference_update((id(admin), name) for name in doubted)
        return found

    return answer


def _found(futures: Mapping[str, Future[Any]]) -> tuple[Described, list[str]]:
    """What was described, and the names of which the broker did not know."""
    found, missing = Described(), list[str]()
    for name, future in futures.items():
        try:
            description = future.result()
            found[name] = (str(description.topic_id), len(description.partitions))
        except KafkaException as e:
            if e.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            missing.append(name)
    return found, missing


def _are_many(admin: AdminClient) -> bool:
    """Whether it is a cluster, of which one broker may lag behind the others."""
    return len(admin.list_topics(timeout=client.REQUEST_SECONDS).brokers) > 1
