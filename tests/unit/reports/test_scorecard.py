"""A month's line adds up what its days said, and time missing twice is missing once."""

from __future__ import annotations

from typing import Any

import pytest

from tapedeck.reports.scorecard import _union, scores


def entry(day: str, vendor: str = "okx", verdict: str = "PASS", **score: Any) -> dict[str, Any]:
    told = {"gap_s": 0.0, "late": 0, "p99_ms": 10.0, "crossed": 0, "quotes": 100, **score}
    return {"vendor": vendor, "day": day, "verdict": verdict, "messages": 1000, "score": told}


def test_a_month_sums_its_days() -> None:
    [newest, one, other] = scores(
        [
            entry("2024-09-01"),
            entry("2024-08-02", verdict="FAIL", gap_s=90.0, apart_s=5400.0, late=5, p99_ms=30.0, crossed=2),
            entry("2024-08-01", gap_s=30.0, p99_ms=20.0, quotes=300),
            entry("2024-08-03", p99_ms=None, quotes=0),
            entry("2024-08-01", vendor="zz"),
        ]
    )
    assert (newest.month, one.vendor, other.vendor) == ("2024-09", "okx", "zz")
    assert one.verdicts == {"PASS": 2, "WARN": 0, "FAIL": 1}
    assert (one.messages, one.gap_minutes, one.apart_hours) == ((1000, 1000, 1000), 2.0, 1.5)
    assert (one.late_share, one.crossed_share) == (5 / 3000, 2 / 400)
    assert (one.delay_p99_ms, one.worst_p99_ms) == (25.0, 30.0)


def test_a_report_of_before_scores_were_kept_counts_as_a_day_and_tells_no_more() -> None:
    old = {"vendor": "okx", "day": "2024-08-01", "verdict": "WARN", "messages": 7}
    [score] = scores([old])
    assert (score.verdicts["WARN"], score.messages) == (1, (7,))
    assert (score.gap_minutes, score.late_share, score.delay_p99_ms, score.crossed_share) == (None,) * 4


@pytest.mark.parametrize(
    ("spans", "length"),
    [([], 0), ([(0, 5)], 5), ([(0, 5), (3, 8)], 8), ([(3, 4), (0, 10)], 10), ([(0, 2), (4, 6)], 4)],
)
def test_what_is_missing_twice_is_missing_once(spans: list[tuple[int, int]], length: int) -> None:
    assert _union(spans) == length
