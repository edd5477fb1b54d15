"""When Kafka may delete a record: by age or by size, whichever is first."""

from __future__ import annotations

import math

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
