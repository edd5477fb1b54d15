"""That a topic is not there is believed only where a broker that lags behind can't be why."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection

from tapedeck.log import identity


class Cluster:
    """An admin client of so many brokers; each question is answered by the next of those that are given:
    whether it knows of the topic."""

    def __init__(self, brokers: int, knows: Sequence[bool]) -> None:
        self._brokers, self._knows = brokers, list(knows)
        self.asked = 0

    def list_topics(self, timeout: float) -> Any:
        return SimpleNamespace(brokers=dict.fromkeys(range(self._brokers)))

    def describe_topics(self, topics: TopicCollection, request_timeout: float) -> dict[str, Future[Any]]:
        future: Future[Any] = Future()
        if self._knows[min(self.asked, len(self._knows) - 1)]:
            future.set_result(SimpleNamespace(topic_id="x", partitions=[0, 1]))
        else:
            future.set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
        self.asked += 1
        return {"t": future}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "DOUBT_SECONDS", (0.3, 0.6))


def found(cluster: Cluster) -> dict[str, tuple[str, int]]:
    return identity.asking(cluster, ["t"])()  # type: ignore[arg-type]


def test_one_broker_of_several_that_lags_behind_is_not_believed() -> None:
    assert found(Cluster(3, [False, False, True])) == {"t": ("x", 2)}
    assert found(Cluster(3, [False])) == {}


def test_a_broker_that_is_alone_is_believed_of_what_it_never_knew_and_asked_again_of_what_it_did() -> None:
    alone = Cluster(1, [False, True, False, False, True, False])
    assert found(alone) == {}
    assert alone.asked == 1
    assert found(alone) == {"t": ("x", 2)}
    assert found(alone) == {"t": ("x", 2)}, "it was just started again"
    assert found(alone) == {}, "it is gone"
    asked = alone.asked
    assert found(alone) == {}
    assert alone.asked == asked + 1, "which is known now"
