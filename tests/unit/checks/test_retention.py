"""When Kafka may delete a record: by age or by size, whichever is first."""

from __future__ import annotations

import math
import time

from tapedeck.checks.proving import Left, queue
from tapedeck.checks.retention import HOUR_MS, deadline

NOW = 1_723_118_400_000


def when(**more: float) -> tuple[float | None, str]:
    """Hours from now of a record of an hour ago with 1,000 behind it, 100 an hour."""
    told = {"oldest": 0, "high": 1000, "oldest_ms": NOW - HOUR_MS, "now_ms": NOW, "age_ms": 10 * HOUR_MS,
            "kept_records": math.inf, "an_hour": 100, **more}  # fmt: skip
    at, by = deadline(**told)  # type: ignore[arg-type]
    return (None if at is None else (at - NOW) / HOUR_MS), by


def test_age_counts_from_the_records_own_time() -> None:
    assert when() == (9, "age")
    assert when(oldest_ms=NOW - 20 * HOUR_MS) == (-10, "age")


def test_size_counts_at_the_last_hours_rate() -> None:
    assert when(kept_records=1500) == (5, "size")
    assert when(kept_records=5000) == (9, "age")
    assert when(kept_records=900) == (0, "size")
    assert when(kept_records=1500, an_hour=0) == (9, "age")


def test_what_is_kept_for_ever_has_no_deadline() -> None:
    assert when(age_ms=-1) == (None, "")


def left(topic: str, partition: int, hours: float | None) -> Left:
    ms = None if hours is None else int((time.time() + hours * 3600) * 1000)
    return Left(
        topic=topic, topic_id=topic, partition=partition, oldest=5, high=9, oldest_ms=ms and NOW,
        deadline_ms=ms, by="age", deleted=0,
    )  # fmt: skip


def test_partitions_are_proven_by_their_deadlines_those_of_a_smaller_topic_in_all_their_parts() -> None:
    assert queue([left("t", 0, 9), left("t", 1, 2), left("t", 2, None), left("t", 3, 5)], range(4)) == [
        1,
        3,
        0,
        2,
    ]
    grown = [left("old", 0, 1), left("old", 1, None), *(left("new", p, 10 - p) for p in range(4))]
    assert queue(grown, range(4)) == [0, 2, 3, 1]
