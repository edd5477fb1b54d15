"""The verdict follows the worst, in one sentence; conditions are the five of DESIGN §1."""

from __future__ import annotations

from typing import Any

import pytest

from tapedeck.checks.findings import Finding
from tapedeck.errors import BadInput
from tapedeck.reports import verdict
from tapedeck.reports.day import Reason, parse_day
from tapedeck.slices import NS


def finding(**more: Any) -> Finding:
    fields = {
        "id": "0" * 16, "check": "sequence", "reason": "upstream", "vendor": "v", "symbol": "A",
        "kind": "trade", "start": 5 * NS, "end": 6 * NS, "at": 6 * NS, "messages": 3, **more,
    }  # fmt: skip
    return Finding(**fields)


def test_the_worst_comes_first_and_gives_the_sentence() -> None:
    reasons = [
        Reason("WARN", "clock", "Slow."),
        Reason("FAIL", "upstream", "Gone."),
        Reason("WARN", "x", "X."),
    ]
    level, sentence, ordered = verdict.judge(reasons, "Fine.")
    assert (level, sentence) == ("FAIL", "Gone.")
    assert [r.text for r in ordered] == ["Gone.", "Slow.", "X."]
    assert verdict.judge([], "Fine.") == ("PASS", "Fine.", ())


def test_open_findings_fail_and_accepted_ones_weigh_nothing() -> None:
    some = [
        finding(),
        finding(symbol="B", start=2 * NS),
        finding(status="accepted"),
        finding(status="closed"),
    ]
    assert verdict.of_findings(some) == [
        Reason(
            "FAIL", "upstream",
            "6 messages of B, A never came from the vendor: 2 spans, the first after 1970-01-01T00:00:02Z.",
        )
    ]  # fmt: skip
    [warned] = verdict.of_findings([finding(severity="warn", reason="collector", evidence={"why": "late"})])
    assert warned.severity == "WARN"
    assert "late" in warned.text


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"messages": 0}, "missing"),
        ({"messages": 0, "trades": False}, "closed"),
        ({"messages": 5, "proved": False}, "pending"),
        ({"messages": 5, "incidents": ["gap"]}, "degraded"),
        ({"messages": 0, "lost": True}, "degraded"),
        ({"messages": 5}, "available"),
    ],
)
def test_conditions(facts: dict[str, Any], expected: str) -> None:
    whole = {"trades": True, "proved": True, "incidents": (), **facts}
    assert verdict.condition(**whole) == expected


@pytest.mark.parametrize(
    "text", ["yesterday", "2024-02-30", "20240808", "2024-8-8", "1969-12-31", "2999-01-01"]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_day(text)
