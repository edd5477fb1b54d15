"""The checks' DAGs run for real: green with findings, their verdict told, what differs mended."""

from __future__ import annotations

from typing import Any

import pytest

from tapedeck import message as m
from tapedeck.checks import findings, stored
from tapedeck.checks.findings import Finding
from tapedeck.jobs import receipts
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import documents, library
from tapedeck.store.rebuild import rebuild
from tests.dags import runs
from tests.dags.test_runs import DAY
from tests.published import HOUR, VENDOR, Published, trade
from tests.servers import AirflowStack

SYMBOL = "XRPUSDT"
"""Of which nobody else publishes, so that its sequence begins here."""
T0 = DAY.end + 5 * HOUR
"""After what the other DAGs' tests have published by the same collector."""
OF = Slice(T0, T0 + 1200 * NS)


@pytest.fixture(scope="module")
def settings(airflow_stack: AirflowStack) -> Settings:
    """Twenty minutes of trades, without three; all of it in Arctic."""
    runs.loaded(airflow_stack.api, "gap_check", "reconcile")
    log = Published(airflow_stack.settings)
    log.register(T0 - NS)
    made: list[m.Message] = [m.Heartbeat("*", 0, T0 + i * NS, 0, 0, 1, T0 - NS) for i in range(1250)]
    made += [trade(T0 + i * NS + 5, 5000 + i, SYMBOL) for i in range(1250) if not 101 <= i <= 103]
    log.publish(*sorted(made, key=lambda one: one.ts_recv))
    log.close(T0 + 1250 * NS)
    rebuild(airflow_stack.settings, VENDOR, OF)
    return airflow_stack.settings


def ours(settings: Settings, status: str) -> list[Finding]:
    """Findings about this file's own messages: others' runs leave theirs in the same vendor."""
    return [one for one in findings.listed(settings, VENDOR, status) if one.symbol == SYMBOL]


def asked() -> dict[str, Any]:
    return {"vendors": [VENDOR], "start": runs.seconds(OF.start), "end": runs.seconds(OF.end)}


def test_an_hour_with_a_gap_is_green_and_says_so(airflow_stack: AirflowStack, settings: Settings) -> None:
    done = runs.run(airflow_stack.api, "gap_check", asked())
    assert done.state == "success", done.tasks
    assert done.states("check") == {VENDOR: "success"}
    said = done.result("check", 0)
    assert (said["verdict"], [(f["reason"], f["messages"]) for f in said["findings"]]) == (
        "fail", [("upstream", 3)],
    )  # fmt: skip
    assert f"{VENDOR} {OF}: fail, 1 finding" in done.said("check", 0)
    assert [one.id for one in ours(settings, "open")] == [said["findings"][0]["id"]]
    again = runs.run(airflow_stack.api, "gap_check", asked())
    assert [f["id"] for f in again.result("check", 0)["findings"]] == [said["findings"][0]["id"]]


def test_a_document_that_is_gone_is_mended_and_the_next_run_is_silent(
    airflow_stack: AirflowStack, settings: Settings
) -> None:
    trades = library.ensure(settings, VENDOR)["trade"].collection
    trades.delete_one({"_id": documents.document_id(T0, SYMBOL)})  # which no tally shows
    done = runs.run(airflow_stack.api, "reconcile", {**asked(), "quick": False})
    assert done.state == "success", done.tasks
    assert done.states("compare") == {f"{VENDOR} {p}": "success" for p in range(4)}
    said = done.result("report", 0)
    assert (said["verdict"], [(f["reason"], f["status"]) for f in said["findings"]]) == (
        "fail", [("writer", "closed")],
    )  # fmt: skip
    receipt = receipts.find(settings, said["receipt"])
    assert (receipt.job, receipt.outcome, receipt.run) == ("reconcile", "written", done.id)
    assert receipt.counts["differing_after"] == 0
    [closed] = ours(settings, "closed")
    assert closed.closed_by == done.id
    for quick in (True, False):
        again = runs.run(airflow_stack.api, "reconcile", {**asked(), "quick": quick})
        assert (again.result("report", 0)["verdict"], again.result("report", 0)["findings"]) == ("pass", [])


def test_a_recorded_slice_is_drilled_by_hand_and_nothing_else_is_done(
    airflow_stack: AirflowStack, settings: Settings
) -> None:
    before = receipts.recent(settings, 1, VENDOR, "reconcile")
    done = runs.run(airflow_stack.api, "reconcile", {**asked(), "drill": True, "seeds": 1})
    assert done.state == "success", done.tasks
    assert done.states("drill") == {VENDOR: "success"}
    scores = {one["fault"]: one for one in done.result("drill", 0)["scores"]}
    assert (scores["drop"]["recall"], scores["drop"]["precision"]) == (1.0, 1.0)
    assert any(line.startswith("drop | ") for line in done.said("drill", 0))
    assert receipts.recent(settings, 1, VENDOR, "reconcile") == before


def test_a_window_that_the_disk_no_longer_holds_is_named_in_the_night(
    airflow_stack: AirflowStack, settings: Settings
) -> None:
    runs.loaded(airflow_stack.api, "store_check")
    trades = library.ensure(settings, VENDOR)["trade"].collection
    document = trades.find_one_and_delete({"_id": documents.document_id(T0, SYMBOL)})
    assert document is not None
    done = runs.run(airflow_stack.api, "store_check", asked())
    assert done.state == "success", done.tasks
    said = done.result("check", 0)
    assert (said["verdict"], [(f["symbol"], f["check"]) for f in said["findings"]]) == (
        "fail", [(SYMBOL, "store")],
    )  # fmt: skip
    trades.insert_one(document)
    assert stored.stored(settings, VENDOR, OF, run="test").findings == []


def test_bad_input_fails_the_first_task_at_once(airflow_stack: AirflowStack, settings: Settings) -> None:
    for dag in ("gap_check", "reconcile"):
        done = runs.run(airflow_stack.api, dag, {"vendors": ["binance_usd"]}, interval=OF)
        assert (done.state, done.tries("vendors")) == ("failed", {1})
        assert "did you mean 'binance_usdm'?" in done.errors("vendors")[0]


def test_the_guard_tells_how_long_kafka_keeps_what_is_not_proven(
    airflow_stack: AirflowStack, settings: Settings
) -> None:
    runs.loaded(airflow_stack.api, "retention_guard")
    done = runs.run(airflow_stack.api, "retention_guard", {"vendors": [VENDOR], "repair": False})
    assert done.state == "success", done.tasks
    assert done.states("guard") == {VENDOR: "success"}
    said = done.result("guard", 0)
    assert said["counts"]["partitions"] == 4
    [note] = [line for line in done.said("guard", 0) if line.startswith("note: ")]
    assert note.endswith("hours until Kafka may delete what is not proven in Arctic")
