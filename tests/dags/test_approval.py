"""A replay that is larger than the settings allow unasked waits for a person, and only for the right one."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

import tapedeck
from tapedeck import message as m
from tapedeck.jobs import plans, receipts
from tapedeck.log import client
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time
from tests.dags import runs
from tests.dags.test_runs import DAY
from tests.published import HOUR, VENDOR, Published, trade
from tests.servers import AirflowStack

MANY = 1001
"""One more than the tests' settings allow unasked."""
T0 = DAY.start - 72 * HOUR
OF = Slice(T0, T0 + HOUR)


@pytest.fixture(scope="module")
def settings(airflow_stack: AirflowStack) -> Settings:
    """The stack's settings; in its log, a file of so many trades."""
    runs.loaded(airflow_stack.api, "replay")
    log = Published(airflow_stack.settings)
    log.load([trade(T0 + i * NS, i + 1, "MANYUSDT", src=1900) for i in range(MANY)], src=1900)
    return airflow_stack.settings


def conf(**more: Any) -> dict[str, Any]:
    return {
        "vendor": VENDOR, "start_exact": format_time(OF.start), "end_exact": format_time(OF.end),
        "to": f"kafka:air.approved.{uuid.uuid4().hex[:8]}", **more,
    }  # fmt: skip


def answer(stack: AirflowStack, run: str, user: str, choice: str, dag: str = "replay") -> str:
    """Answer as a user; what Airflow says to it."""
    said = stack.as_user(user).call(
        "PATCH", f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/approval/-1/hitlDetails",
        {"chosen_options": [choice], "params_input": {}}, allow=(403, 409),
    )  # fmt: skip
    return str(said.get("detail", "taken"))


def exists(settings: Settings, asked: dict[str, Any]) -> bool:
    """Whether the target was made."""
    return asked["to"].removeprefix("kafka:") in client.admin(settings).list_topics(timeout=10).topics


def test_a_large_replay_waits_until_the_right_person_approves_and_links_to_plan_and_receipt(
    airflow_stack: AirflowStack, settings: Settings
) -> None:
    asked = conf()
    run = runs.start(airflow_stack.as_user("uma"), "replay", asked)
    runs.awaits(airflow_stack, run)
    assert not exists(settings, asked)
    (detail,) = (
        one
        for one in airflow_stack.api.call("GET", f"/api/v2/dags/replay/dagRuns/{run}/hitlDetails")[
            "hitl_details"
        ]
    )
    assert "Asked for by **uma**" in detail["body"]
    assert "it may be 1,001 messages, more than the 1,000 allowed unasked" in detail["body"]
    assert f"{VENDOR} {OF}" in detail["body"]
    assert "is not a respondent" in answer(airflow_stack, run, "uma", "Approve")
    assert answer(airflow_stack, run, "vic", "Approve") == "Forbidden"
    assert not exists(settings, asked)
    assert answer(airflow_stack, run, "olga", "Approve") == "taken"
    done = runs.wait(airflow_stack.api, "replay", run)
    assert done.state == "success", done.tasks
    assert "approved by olga" in done.said("approval")
    receipt = receipts.find(settings, done.result("receipt")["id"])
    assert (receipt.counts["written"], receipt.who) == (MANY, "uma")
    assert done.link("receipt", "Receipt").endswith(f"/tapedeck/receipt/{receipt.id}")
    assert done.link("plan", "Plan").endswith(f"/tapedeck/plan/{receipt.plan}")
    assert plans.readable(settings, receipt.plan)[0] == f"{VENDOR} {OF}"


def test_rejected_a_run_is_red_and_has_written_nothing(
    airflow_stack: AirflowStack, settings: Settings
) -> None:
    slow = conf(speed="0.5")  # an hour in two
    runs.UNANSWERED[runs.start(airflow_stack.api, "replay", slow)] = slow["to"]
    rejected = runs.start(airflow_stack.api, "replay", asked := conf())
    runs.awaits(airflow_stack, rejected)
    assert answer(airflow_stack, rejected, "olga", "Reject") == "taken"
    done = runs.wait(airflow_stack.api, "replay", rejected)
    assert done.state == "failed"
    assert any("rejected by olga: nothing was written" in told for told in done.errors("approval"))
    assert done.states("copy") == {"-1": "upstream_failed"}
    assert not exists(settings, asked)


def test_only_the_plan_writes_nothing_and_waits_for_nobody(
    airflow_stack: AirflowStack, settings: Settings
) -> None:
    asked = conf(dry_run=True)
    done = runs.run(airflow_stack.api, "replay", asked)
    assert (done.state, set(done.states("copy").values())) == ("success", {"skipped"})
    assert done.said("plan")[-1] == "only the plan was asked for: nothing is written"
    assert not exists(settings, asked)


def stored(settings: Settings, symbol: str, of: Slice) -> int:
    """The messages of a symbol that Arctic holds, whatever the log has."""
    if symbol not in tapedeck.symbols(f"{VENDOR}.trade", settings=settings):
        return 0
    return len(tapedeck.read(f"{VENDOR}.trade", symbol, of.start, of.end, tail=False, settings=settings))


def test_a_large_rebuild_by_hand_waits_too_and_its_plan_alone_for_nobody(
    airflow_stack: AirflowStack, settings: Settings
) -> None:
    runs.loaded(airflow_stack.api, "nightly_backfill")
    span = {"start_exact": format_time(OF.start), "end_exact": format_time(OF.end)}
    asked = {"vendors": [VENDOR], **span}
    dry = runs.run(airflow_stack.api, "nightly_backfill", {**asked, "dry_run": True})
    assert (dry.state, set(dry.states("receipt").values())) == ("success", {"skipped"})
    assert dry.said("parts")[-1] == "only the plan was asked for: nothing is written"
    assert dry.said("plan", 0)[0] == f"{VENDOR} {OF}"
    assert stored(settings, "MANYUSDT", OF) == 0
    for choice, state, count in (("Reject", "failed", 0), ("Approve", "success", MANY)):
        run = runs.start(airflow_stack.as_user("uma"), "nightly_backfill", asked)
        runs.awaits(airflow_stack, run, "nightly_backfill")
        assert "is not a respondent" in answer(airflow_stack, run, "uma", choice, dag="nightly_backfill")
        assert stored(settings, "MANYUSDT", OF) == 0
        assert answer(airflow_stack, run, "olga", choice, dag="nightly_backfill") == "taken"
        done = runs.wait(airflow_stack.api, "nightly_backfill", run)
        assert (done.state, stored(settings, "MANYUSDT", OF)) == (state, count), done.tasks
    receipt = receipts.find(settings, done.result("receipt", 0)["id"])
    assert (receipt.counts["windows_added"], receipt.counts["messages"], receipt.who) == (2, MANY, "uma")


def test_a_rebuild_by_hand_that_would_remove_more_than_its_share_says_so_and_waits(
    airflow_stack: AirflowStack, settings: Settings
) -> None:
    runs.loaded(airflow_stack.api, "nightly_backfill")
    log, of = Published(settings), Slice(T0 - HOUR, T0 - HOUR + 600 * NS)
    log.load([trade(of.start + i * NS, i + 1, "FEWUSDT", src=1901) for i in range(60)], src=1901)
    span = {"start_exact": format_time(of.start), "end_exact": format_time(of.end)}
    asked = {"vendors": [VENDOR], **span}
    first = runs.run(airflow_stack.api, "nightly_backfill", asked)
    assert (first.state, stored(settings, "FEWUSDT", of)) == ("success", 60), first.tasks
    assert first.said("approval") == ["no approval is needed: the plan is within the limits of the settings"]
    before = log.ends(log.topics.backfill)[log.partition("FEWUSDT")]
    log.load([m.Void("FEWUSDT", 0, of.start, 0, 0, 1901, of.start + 5 * NS, before, "wrong")], src=1901)
    run = runs.start(airflow_stack.api, "nightly_backfill", asked)
    runs.awaits(airflow_stack, run, "nightly_backfill")
    detail = airflow_stack.api.call("GET", f"/api/v2/dags/nightly_backfill/dagRuns/{run}/hitlDetails")
    [one] = detail["hitl_details"]
    assert "5 messages that stand in Arctic would be removed or changed, more than the 1" in one["body"]
    assert stored(settings, "FEWUSDT", of) == 60
    assert answer(airflow_stack, run, "olga", "Approve", dag="nightly_backfill") == "taken"
    done = runs.wait(airflow_stack.api, "nightly_backfill", run)
    assert (done.state, stored(settings, "FEWUSDT", of)) == ("success", 55), done.tasks


def test_a_void_of_much_waits_for_the_right_person_and_a_rejected_one_voids_nothing(
    airflow_stack: AirflowStack, settings: Settings
) -> None:
    runs.loaded(airflow_stack.api, "void")
    asked = {
        "vendor": VENDOR, "src": 1900, "symbols": ["MANYUSDT"], "reason": "prices in cents",
        "start_exact": format_time(OF.start), "end_exact": format_time(OF.end),
    }  # fmt: skip

    def voided() -> int:
        found = timeline(VENDOR, settings).count(OF.start, OF.end, symbols=["MANYUSDT"])
        return found.voided

    for choice, state, count in (("Reject", "failed", 0), ("Approve", "success", MANY)):
        run = runs.start(airflow_stack.as_user("uma"), "void", asked)
        runs.awaits(airflow_stack, run, "void")
        assert voided() == 0
        assert "is not a respondent" in answer(airflow_stack, run, "uma", choice, dag="void")
        assert answer(airflow_stack, run, "olga", choice, dag="void") == "taken"
        done = runs.wait(airflow_stack.api, "void", run)
        assert (done.state, voided()) == (state, count), done.tasks
    receipt = receipts.find(settings, done.result("write", 0)["id"])
    assert (receipt.job, receipt.who, receipt.counts["voided"]) == ("void", "uma", MANY)
    bad = runs.run(airflow_stack.api, "void", {**asked, "src": None})
    assert (bad.state, bad.tries("plan")) == ("failed", {1})
    assert bad.errors("plan")[0].startswith("no source is named")
