"""Links that open a form filled in: for a finding, and for a job once more."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec import structs

from tapedeck.checks import repairs
from tapedeck.checks.findings import Finding
from tapedeck.jobs.receipts import Receipt

T0 = 1_723_118_400 * 10**9
GAP = Finding(
    id="ab" * 8, check="sequence", vendor="v", symbol="A", kind="trade", start=T0, end=T0 + 10**9,
    at=T0 + 10**9, reason="upstream", messages=1,
)  # fmt: skip
DONE = Receipt(
    id="0" * 12, job="replay", vendor="v", start="2024-08-08T12:00:00Z", end="2024-08-08T13:00:00Z", who="w",
    run="r", started="", ended="", seconds=1.0, outcome="written", complete=True, counts={}, before="",
    after="", plan="", ranges={}, notes=[],
    asked={"to": "kafka:x&y", "symbols": ["A B", "C"], "kinds": [], "speed": "10", "skip_closed": True},
)  # fmt: skip


def test_the_slice_of_a_repair_holds_the_instant_at_which_the_finding_is_found_again() -> None:
    mend = repairs.repair_of(GAP)
    assert mend is not None
    where = urlsplit(mend.link)
    assert where.path == "/plugin/receipts/tapedeck/run/nightly_backfill"
    assert parse_qs(where.query) == {
        "vendors": ["v"], "start_exact": ["2024-08-08T12:00:00Z"],
        "end_exact": ["2024-08-08T12:00:01.000000001Z"],
    }  # fmt: skip


@pytest.mark.parametrize("status", ["closed", "accepted"])
def test_what_is_settled_or_no_run_mends_has_no_link(status: str) -> None:
    assert repairs.repair_of(structs.replace(GAP, status=status)) is None  # type: ignore[arg-type]
    assert repairs.repair_of(structs.replace(GAP, check="quarantine", reason="quarantine")) is None


def test_a_replay_once_more_asks_for_the_same() -> None:
    once_more = repairs.again(DONE)
    assert once_more is not None
    assert parse_qs(urlsplit(once_more.page).query) == {
        "vendor": ["v"], "start_exact": [DONE.start], "end_exact": [DONE.end], "to": ["kafka:x&y"],
        "symbols": ["A B", "C"], "speed": ["10"], "skip_closed": ["True"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("job", "dag"),
    [("backfill", "nightly_backfill"), ("history", "nightly_backfill"), ("reconcile", "reconcile")],
)
def test_each_job_that_a_form_starts_can_be_done_again(job: str, dag: str) -> None:
    once_more = repairs.again(structs.replace(DONE, job=job, asked={}))
    assert once_more is not None
    assert (once_more.dag, once_more.conf["vendors"]) == (dag, ["v"])


def test_what_no_form_starts_has_no_link() -> None:
    assert repairs.again(structs.replace(DONE, job="void")) is None
    assert repairs.again(structs.replace(DONE, asked={"tape": "/x"})) is None
