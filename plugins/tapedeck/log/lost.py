"""Offsets that a partition lacks though it must hold every one: Kafka has lost them (DESIGN §2.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tapedeck.columns import Array
from tapedeck.errors import Incomplete
from tapedeck.log.plan import Range


@dataclass(frozen=True, slots=True)
class Lost:
    """Offsets [start, stop) of a partition. Retention deletes from the beginning only, so they are no less.

    `after_ms`, `before_ms`: CreateTimes (UTC ms) of the records around them; None where none was read.
    """

    topic: str
    topic_id: str
    partition: int
    start: int
    stop: int
    after_ms: int | None = None
    before_ms: int | None = None

    def __str__(self) -> str:
        which = (
            f"offset {self.start}"
            if self.stop == self.start + 1
            else f"offsets {self.start} to {self.stop - 1}"
        )
        return (
            f"{self.topic}[{self.partition}] lacks {which} though it must hold every offset: the broker lost "
            f"{self.stop - self.start:,} records; compare with its other replicas, or publish what the tape "
            "has of that time again (`tapedeck load --renormalise`)"
        )


def refuse(lost: Lost) -> None:
    """What a reader does that may not go on without them."""
    raise Incomplete(str(lost))


def holes(
    r: Range, offsets: Array, times_ms: Array, position: int, last_ms: int | None = None
) -> Iterator[Lost]:
    """What is missing of the range before and among records whose first should be at `position`.

    `last_ms`: the CreateTime of the record before them.
    """
    for i in np.flatnonzero(np.diff(offsets, prepend=position - 1) != 1).tolist():
        start = int(offsets[i - 1]) + 1 if i else position
        stop = min(int(offsets[i]), r.stop)
        if start >= r.stop:
            return
        after = int(times_ms[i - 1]) if i else last_ms
        lost = Lost(r.topic, r.topic_id, r.partition, start, stop, after, int(times_ms[i]))
        if stop <= start:
            raise Incomplete(
                f"{r.topic}[{r.partition}] went back from offset {start} to {stop}: plan the slice anew"
            )
        yield lost
