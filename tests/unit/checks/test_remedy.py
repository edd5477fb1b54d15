"""What mends a finding is named for each reason, and nothing is promised where nothing can."""

from __future__ import annotations

import pytest
from msgspec import structs

from tapedeck.checks import remedy
from tapedeck.checks.findings import Finding

T0 = 1_723_118_400 * 10**9


def finding(check: str, reason: str, **evidence: object) -> Finding:
    return Finding(
        id="ab" * 8, check=check, vendor="v", symbol="A", kind="trade", start=T0, end=T0 + 10**9, at=T0,
        reason=reason, messages=1, evidence=evidence,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("check", "reason", "evidence", "job", "says"),
    [
        ("windows", "writer", {}, "reconcile", "tapedeck reconcile v 2024-08-08T12:00:00Z"),
        (
            "windows",
            "writer",
            {"unrepairable_after": "2024-08-15T12:00:00Z", "raise": "R"},
            "reconcile",
            "--repair, before 2024-08-15T12:00:00Z (to put that off: R)",
        ),
        ("windows", "writer", {"mendable": False}, "", "findings accept"),
        ("sequence", "upstream", {}, "nightly_backfill", "tapedeck backfill v 2024-08-08T12:00:00Z"),
        ("collector", "collector", {}, "nightly_backfill", "tapedeck backfill"),
        ("publish", "publish", {"src": 3}, "nightly_backfill", "with the tape of collector 3"),
        ("quarantine", "quarantine", {}, "", "--redrive"),
        ("undecodable", "publish", {"src": 3}, "", "the right to produce"),
        ("silence", "upstream", {}, "", "findings accept"),
        ("rebuild", "writer", {}, "nightly_backfill", "by hand it changes what was left"),
        ("complete", "collector", {"src": 3}, "nightly_backfill", "once collector 3 has come back"),
        ("retention", "writer", {"raise": "tapedeck retention v --raise 9d"}, "reconcile", "--raise 9d"),
    ],
)
def test_each_finding_names_what_mends_it(
    check: str, reason: str, evidence: dict[str, object], job: str, says: str
) -> None:
    one = finding(check, reason, **evidence)
    assert remedy.job(one) == job
    assert says in remedy.remedy(one)
    assert remedy.remedy(structs.replace(one, status="closed")) == "nothing"


def test_the_form_of_a_repair_has_the_findings_vendor_and_slice() -> None:
    one = structs.replace(finding("windows", "writer"), end=T0)
    assert remedy.form(one) == {
        "vendors": "v", "start_exact": "2024-08-08T12:00:00Z", "end_exact": "2024-08-08T12:00:00.000000001Z",
        "repair": True, "quick": False,
    }  # fmt: skip
