"""Kafka clients with the settings of DESIGN §5 and §6, and one sentence where Kafka does not answer."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tapedeck import endpoints
from tapedeck.errors import BadInput, Unavailable
from tapedeck.log import reaching
from tapedeck.native import librdkafka
from tapedeck.settings import Settings

CONTACT_SECONDS = 10.0
"""How long a first contact may take before Kafka counts as unreachable."""
REQUEST_SECONDS = 30.0
"""How long a question may take after that: a busy machine answers late."""

_LEADERLESS = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
)
"""A partition that was just made, or whose broker starts again, is like that for a moment."""
_log = logging.getLogger("tapedeck.kafka")
_log.addHandler(logging.NullHandler())


@contextmanager
def consumer(settings: Settings, **more: object) -> Iterator[Consumer]:
    """A consumer for plain `assign()`, to ask Kafka questions; `log.fetch` reads in bulk.

    A throw-away group, nothing committed, no silent reset; connected already where one is idle in this
    process. Raises Unavailable where Kafka does not answer. Not to be used after the block.
    """
    config = reading(settings, **more)

    def make() -> Consumer:
        own = {**config, "group.id": throw_away_group()}
        made, heard = reaching.made(Consumer, own, _log)
        try:
            reaching.await_answer(made, heard, endpoints.bootstrap(settings), CONTACT_SECONDS)
        except Unavailable:
            made.close()
            raise
        return made

    with _consumers.lent(config, make) as client:
        try:
            yield client
        finally:
            client.unassign()


def reading(settings: Settings, **more: object) -> dict[str, object]:
    """librdkafka's settings for reading with plain `assign()`, but for the group.

    What `[kafka.client]` says wins where nothing but speed and memory hangs on it.
    """
    return {
        "fetch.queue.backoff.ms": 1,  # the default stalls a second at a time; it outlasts a seek elsewhere
        "fetch.wait.max.ms": 10,  # a waiting fetch holds up the look-ups and seeks behind it
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": 16_384,
        "fetch.message.max.bytes": 131_072,  # all of it is unpacked before its first record is there
        **_common(settings),
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "check.crcs": True,
        "auto.offset.reset": "error",
        "isolation.level": "read_uncommitted",  # topics are not transactional
        **more,
    }


def throw_away_group() -> str:
    """A group that nobody else is in, to which nothing is committed."""
    return f"tapedeck-reader-{uuid.uuid4().hex}"


class Closing(Protocol):
    """A client that can be let go."""

    def close(self) -> None:
        """Let go of Kafka."""


T = TypeVar("T", bound=Closing)


class Idle(Generic[T]):
    """Connected clients that nobody uses now, a few of each configuration, for whoever asks next.

    A forked process does not see its parent's: librdkafka does not survive a fork.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._idle: dict[tuple[object, ...], list[T]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def lent(self, config: Mapping[str, object], make: Callable[[], T]) -> Iterator[T]:
        """A client of that configuration for the block; one that failed inside it is let go."""
        client = self.take(config, make)
        try:
            yield client
        except GeneratorExit:  # a reader that was left before its end
            self.give_back(config, client)
            raise
        except BaseException:
            client.close()
            raise
        self.give_back(config, client)

    def take(self, config: Mapping[str, object], make: Callable[[], T]) -> T:
        """A client of that configuration, until it is given back or closed."""
        with self._lock:
            idle = self._idle.get(_key(config))
            client = idle.pop() if idle else None
        return client or make()

    def give_back(self, config: Mapping[str, object], client: T) -> None:
        """A client that nobody uses any more."""
        with self._lock:
            idle = self._idle.setdefault(_key(config), [])
            if len(idle) < self._kept:
                idle.append(client)
                return
        client.close()

    def close(self) -> None:
        """Let go of this process's idle clients."""
        with self._lock:
            found = [client for key, idle in self._idle.items() if key[0] == os.getpid() for client in idle]
            self._idle.clear()
        for client in found:
            client.close()


def _key(config: Mapping[str, object]) -> tuple[object, ...]:
    return (os.getpid(), *sorted((name, str(value)) for name, value in config.items()))


_consumers: Idle[Consumer] = Idle(kept=2)
atexit.register(_consumers.close)


def producer(settings: Settings, **more: object) -> Producer:
    """An idempotent producer that never gives up a message by itself.

    Raises Unavailable where Kafka does not answer.
    """
    client, heard = reaching.made(Producer, producing(settings, **more), _log)
    reaching.await_answer(client, heard, endpoints.bootstrap(settings), CONTACT_SECONDS)
    return client


def producing(settings: Settings, **more: object) -> dict[str, object]:
    """librdkafka's settings for producing; as `reading`."""
    return {
        "compression.type": "lz4",
        "linger.ms": 2,
        "batch.num.messages": 500,  # to find a time in a batch, or to seek there, it is unpacked whole
        **_common(settings),
        "enable.idempotence": True,
        "acks": "all",
        "message.timeout.ms": 0,
        **more,
    }


def check(settings: Settings) -> None:
    """Raises BadInput for a property of `[kafka.client]` that librdkafka does not take. Asks nobody."""
    try:
        librdkafka.check(settings.kafka.client)
    except ValueError as e:
        raise BadInput(f"[kafka.client]: {e}: correct it in tapedeck.toml") from e


def contact(settings: Settings) -> None:
    """Returns when Kafka has answered. Raises Unavailable where it does not."""
    asker, heard = _asker(settings)
    reaching.await_answer(asker, heard, endpoints.bootstrap(settings), CONTACT_SECONDS)


def admin(settings: Settings) -> AdminClient:
    """This process's admin client for these settings. Raises Unavailable where Kafka does not answer."""
    return _asker(settings)[0]


def _asker(settings: Settings) -> tuple[AdminClient, reaching.Heard]:
    config = _common(settings)
    return _admin(os.getpid(), tuple(sorted(config.items())), endpoints.bootstrap(settings))


@lru_cache(maxsize=8)
def _admin(
    _pid: int, config: tuple[tuple[str, object], ...], bootstrap: str
) -> tuple[AdminClient, reaching.Heard]:
    """One a process (librdkafka does not survive a fork): connecting takes longer than most questions."""
    client, heard = reaching.made(AdminClient, dict(config), _log)
    reaching.await_answer(client, heard, bootstrap, CONTACT_SECONDS)
    return client, heard


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Says as one sentence, Unavailable, what Kafka's client fails with inside the block."""
    try:
        yield
    except KafkaException as e:
        raise unavailable(settings, e.args[0].str()) from e


Place = tuple[str, int]
"""(topic, partition)."""


def bounds(settings: Settings, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
    """Each partition's first offset and the one after its last, all asked at once. Raises Unavailable."""
    asked = list(places)
    low, high = found(
        settings, [dict.fromkeys(asked, OffsetSpec.earliest()), dict.fromkeys(asked, OffsetSpec.latest())]
    )
    return {place: (low[place], high[place]) for place in asked}


def found(settings: Settings, questions: Sequence[Mapping[Place, OffsetSpec]]) -> list[dict[Place, int]]:
    """The offsets that answer each question, all asked at once; -1: there is none. Raises Unavailable.

    A question about a time (`OffsetSpec.for_timestamp`, UTC ms) asks for the first offset, in the log's
    order, whose CreateTime is at or past it.
    """
    if not any(questions):
        return [{} for _ in questions]
    asker = admin(settings)
    deadline = time.monotonic() + CONTACT_SECONDS
    while True:
        asked = [asking(asker, question) for question in questions]
        try:
            return [answer() for answer in asked]
        except KafkaException as e:
            if e.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                raise unavailable(settings, e.args[0].str()) from e
            time.sleep(0.05)


def asking(asker: AdminClient, question: Mapping[Place, OffsetSpec]) -> Callable[[], dict[Place, int]]:
    """One question of `found`, asked now and once; what is given waits for its answer, or KafkaException."""
    if not question:
        return dict
    asked = {TopicPartition(*place): spec for place, spec in question.items()}
    futures = asker.list_offsets(asked, request_timeout=REQUEST_SECONDS)
    return lambda: {
        (where.topic, where.partition): future.result().offset for where, future in futures.items()
    }


def watermarks(settings: Settings, consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """The partition's first offset and the one after its last. Raises Unavailable."""
    where = TopicPartition(topic, partition)
    low, high = _led(settings, where, lambda: consumer.get_watermark_offsets(where, CONTACT_SECONDS))
    return low, high


def offsets_at(
    settings: Settings, consumer: Consumer, topic: str, times_ms: dict[int, int]
) -> dict[int, int]:
    """Per partition the first offset, in the log's order, whose CreateTime is at or past its time (UTC ms).

    -1: there is none. Raises Unavailable.
    """
    asked = [TopicPartition(topic, partition, time_ms) for partition, time_ms in times_ms.items()]
    found = _led(settings, asked[0], lambda: consumer.offsets_for_times(asked, timeout=CONTACT_SECONDS))
    for answer in found:
        if answer.error is not None:
            raise unavailable(settings, f"{topic}[{answer.partition}]: {answer.error.str()}")
    return {answer.partition: answer.offset for answer in found}


def _led(settings: Settings, where: TopicPartition, ask: Callable[[], Any]) -> Any:
    """The answer, waiting a while for a leader, which a partition lacks just after it was made or moved."""
    deadline = time.monotonic() + CONTACT_SECONDS
    while True:
        try:
            return ask()
        except KafkaException as e:
            if e.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                raise unavailable(settings, f"{where.topic}[{where.partition}]: {e.args[0].str()}") from e
            time.sleep(0.05)


def unavailable(settings: Settings, error: object) -> Unavailable:
    """The sentence for a Kafka that failed in the middle of something, or let this client's user do less."""
    where = endpoints.bootstrap(settings)
    if reaching.is_forbidden(error):
        return reaching.Refused(
            f"Kafka at {where} does not let this client's user do that ({error}): have it allowed by whoever "
            "runs Kafka (docs/security.md says what each process needs), then run this again"
        )
    return Unavailable(
        f"Kafka at {where} failed ({error}): "
        "look at `tapedeck status` and the broker's log, then run this again"
    )


def _common(settings: Settings) -> dict[str, object]:
    return {
        "bootstrap.servers": endpoints.bootstrap(settings),
        "client.id": "tapedeck",
        "reconnect.backoff.max.ms": 500,
        "topic.metadata.refresh.interval.ms": 5000,
        **settings.kafka.client,
    }
