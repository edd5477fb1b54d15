"""Reading frozen offset ranges, whole, contiguous, never ending on an empty poll (DESIGN §2.7, §5)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tapedeck.columns import Array
from tapedeck.errors import Incomplete
from tapedeck.log import client, topics
from tapedeck.log.plan import Range
from tapedeck.settings import Settings

BATCH = 10_000
STALL_SECONDS = 60.0
"""How long Kafka may give nothing of a range that it must hold before the read fails."""


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records of one partition, byte for byte.

    `offsets` and `timestamps_ms` (CreateTime, UTC ms) are int64 of shape (n,).
    """

    range: Range
    offsets: Array
    timestamps_ms: Array
    keys: list[bytes | None]
    values: list[bytes]

    def __len__(self) -> int:
        return len(self.values)


def read(settings: Settings, ranges: Iterable[Range], batch: int = BATCH) -> Iterator[Records]:
    """Every record of the ranges, range after range, in batches of at most `batch`.

    Raises Mismatch where a topic is no longer the planned one, Incomplete where records of a range
    have expired, Unavailable where Kafka fails.
    """
    wanted = [r for r in ranges if r.stop > r.start]
    if not wanted:
        return
    topics.check_ids(settings, {r.topic: r.topic_id for r in wanted})
    with client.consumer(settings) as consumer:
        for r in wanted:
            yield from read_range(settings, consumer, r, batch)
        consumer.unassign()


def read_range(settings: Settings, consumer: Consumer, r: Range, batch: int = BATCH) -> Iterator[Records]:
    """Every record of one range through an open consumer, whose topic id the caller has checked."""
    if r.stop <= r.start:
        return
    low, _ = client.watermarks(settings, consumer, r.topic, r.partition)
    if low > r.start:
        raise _expired(r, r.start, low)
    consumer.assign([TopicPartition(r.topic, r.partition, r.start)])
    position, quiet_since = r.start, time.monotonic()
    while position < r.stop:
        try:
            messages = consumer.consume(min(batch, r.stop - position), 0.1)
        except KafkaException as e:
            raise client.unavailable(settings, e.args[0].str()) from e
        records = _checked(settings, r, messages, position)
        if records is None:
            if time.monotonic() - quiet_since > STALL_SECONDS:
                raise client.unavailable(
                    settings, f"{r.topic}[{r.partition}] stands still at offset {position} of {r.stop}"
                )
            continue
        quiet_since = time.monotonic()
        position += len(records)
        yield records


def _checked(settings: Settings, r: Range, messages: list[object], position: int) -> Records | None:
    """The batch as records, each looked at for errors, and proved to be without a hole."""
    sound = []
    for message in messages:
        error = message.error()  # type: ignore[attr-defined]
        if error is None:
            sound.append(message)
        elif error.name() == "_AUTO_OFFSET_RESET":
            raise _expired(r, position + len(sound), None)
        elif error.name() != "_PARTITION_EOF":
            raise client.unavailable(
                settings, f"{r.topic}[{r.partition}] at offset {position + len(sound)}: {error.str()}"
            )
    if not sound:
        return None
    offsets = np.array([m.offset() for m in sound], np.int64)  # type: ignore[attr-defined]
    holes = np.flatnonzero(offsets != np.arange(position, position + len(offsets)))
    if len(holes):
        raise Incomplete(
            f"{r.topic}[{r.partition}] lacks offset {position + int(holes[0])} though it must hold every "
            "offset: the broker lost records; compare with its other replicas"
        )
    return Records(
        r,
        offsets,
        np.array([m.timestamp()[1] for m in sound], np.int64),  # type: ignore[attr-defined]
        [m.key() for m in sound],  # type: ignore[attr-defined]
        [m.value() for m in sound],  # type: ignore[attr-defined]
    )


def _expired(r: Range, wanted: int, low: int | None) -> Incomplete:
    begins = f"; it now begins at {low}" if low is not None else ""
    return Incomplete(
        f"{r.topic}[{r.partition}] no longer holds offset {wanted}, which the plan names{begins}: "
        "what Kafka deleted is in Arctic or on the tape; plan the slice anew to read what is left"
    )
