"""Both DAGs run for real: Airflow's scheduler and API, Kafka, MongoDB."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tapedeck import message as m
from tapedeck.airflow.precedence import STEP, weight
from tapedeck.errors import Unavailable
from tapedeck.jobs import receipts
from tapedeck.log import client
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time, parse_time
from tests.dags import runs
from tests.published import HOUR, VENDOR, Published, trade
from tests.servers import AirflowStack
from tests.topics import contents, rows

DAYS = 24 * HOUR
DAY = Slice((time.time_ns() // DAYS - 3) * DAYS, (time.time_ns() // DAYS - 2) * DAYS)
"""Not yesterday, which the scheduler rebuilds by itself as soon as it has read the DAG."""
T0 = DAY.start + 10 * HOUR
OF = Slice(T0, T0 + HOUR)
EARLIER = Slice(DAY.start - 2 * HOUR, DAY.start - HOUR)
OTHER = "binance_spot"


class Tape:
    """What lies in one vendor's log: OF, something in EARLIER, and a message on each side of the day."""

    def __init__(self, stack: AirflowStack) -> None:
        self.settings: Settings = stack.settings
        self.log = Published(self.settings)
        self.log.register(EARLIER.start - 60 * NS)
        self.log.publish(*(trade(EARLIER.start + i * 60 * NS, i + 1) for i in range(60)))
        self.messages: list[m.Message] = []
        for i in range(60):
            at = T0 + i * 60 * NS
            self.messages += [
                trade(at, i + 100), trade(at + 1, i + 100, "ETHUSDT"), trade(at + 2, i + 100, "SOLUSDT")
            ]  # fmt: skip
        before, after = trade(DAY.start - 1, 99), trade(DAY.end, 1001)
        self.log.publish(before, *self.messages, after)
        self.log.close(DAY.end + 120 * NS)


@pytest.fixture(scope="module")
def tape(airflow_stack: AirflowStack) -> Tape:
    runs.loaded(airflow_stack.api, "replay", "nightly_backfill")
    return Tape(airflow_stack)


def conf(**more: Any) -> dict[str, Any]:
    """What the replay's form sends."""
    return {
        "vendor": VENDOR, "symbols": [], "kinds": [], "start": runs.seconds(OF.start),
        "end": runs.seconds(OF.end), "start_exact": None, "end_exact": None,
        "to": f"kafka:air.replayed.{uuid.uuid4().hex[:8]}", **more,
    }  # fmt: skip


def test_a_replayed_topic_holds_the_same_messages_and_again_adds_nothing(
    airflow_stack: AirflowStack, tape: Tape
) -> None:
    asked = conf()
    first = runs.run(airflow_stack.api, "replay", asked)
    assert first.state == "success", first.tasks
    topic = asked["to"].removeprefix("kafka:")
    held = contents(tape.settings, topic)
    assert held == rows(tape.messages, 4)
    assert first.states("copy") == {f"{VENDOR} {OF} partition {p}": "success" for p in range(4)}
    assert first.said("plan")[:2] == [f"slice {OF}", f"{VENDOR} {OF}"]
    receipt = receipts.find(tape.settings, first.result("receipt")["id"])
    assert (receipt.outcome, receipt.counts["written"], receipt.complete) == ("written", 180, True)
    assert (receipt.who, receipt.run) == ("admin", first.id)
    again = runs.run(airflow_stack.api, "replay", asked)
    assert contents(tape.settings, topic) == held
    repeated = receipts.find(tape.settings, again.result("receipt")["id"])
    assert (repeated.outcome, repeated.counts["already"]) == ("unchanged", 180)
    assert repeated.before == repeated.after == receipt.after


def test_a_run_in_time_writes_a_new_topic_in_one_task_and_says_how_late_it_was(
    airflow_stack: AirflowStack, tape: Tape
) -> None:
    asked = conf(speed="3600", restamp=True)  # an hour in a second
    done = runs.run(airflow_stack.api, "replay", asked)
    assert done.state == "success", done.tasks
    assert done.states("copy") == {f"{VENDOR} {OF} all partitions": "success"}
    assert done.said("plan")[-1].endswith("holds 0 messages of it already")
    receipt = receipts.find(tape.settings, done.result("receipt")["id"])
    assert (receipt.counts["written"], receipt.lateness["messages"]) == (180, 180)
    held = contents(tape.settings, asked["to"].removeprefix("kafka:"))
    assert min(ms for part in held.values() for _, ms, _ in part) * 1_000_000 > parse_time(receipt.started)


def test_a_slice_exact_to_the_nanosecond_and_some_symbols(airflow_stack: AirflowStack, tape: Tape) -> None:
    exact = {"start_exact": format_time(T0 + 1), "end_exact": format_time(T0 + 60 * NS + 2)}
    done = runs.run(
        airflow_stack.api, "replay", conf(**exact, symbols=["BTCUSDT", "ETHUSDT"], kinds=["trade"])
    )
    assert done.result("receipt")["counts"]["messages"] == 3


def test_a_valid_slice_that_holds_nothing_is_a_green_receipt_of_zero(
    airflow_stack: AirflowStack, tape: Tape
) -> None:
    empty = {"start": runs.seconds(T0 - 4 * HOUR), "end": runs.seconds(T0 - 3 * HOUR)}
    done = runs.run(airflow_stack.api, "replay", conf(**empty))
    assert done.state == "success"
    assert done.result("receipt")["outcome"] == "empty"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"start_exact": "2024-08-08T23:54:16"}, "'2024-08-08T23:54:16' has no zone: write it as 2024-"),
        ({"end": runs.seconds(T0 - HOUR)}, "which is not after its start"),
        ({"start": None, "end": None}, "this run has no interval of time"),
        ({"to": "kafka:air.binance_usdm"}, "is the live topic of binance_usdm: replay to another topic"),
        ({"speed": "0"}, "can't run at speed '0': write max"),
        ({"symbols": ["BTCUSD"]}, "no symbol 'BTCUSD' (did you mean 'BTCUSDT'?)"),
    ],
)
def test_what_is_wrong_in_the_form_fails_the_first_task_at_once_in_one_sentence(
    airflow_stack: AirflowStack, tape: Tape, wrong: dict[str, Any], sentence: str
) -> None:
    asked = conf(**wrong)
    done = runs.run(airflow_stack.api, "replay", asked)
    assert done.state == "failed"
    assert (done.states("plan"), done.tries("plan")) == ({"-1": "failed"}, {1})
    told = [event for event in done.errors("plan") if event != "Task exited"]
    assert len(told) == 1
    assert sentence in told[0]
    assert not any("Traceback" in str(event) or event.get("error_detail") for event in done.log("plan"))
    if "to" not in wrong:
        topic = asked["to"].removeprefix("kafka:")
        assert topic not in client.admin(tape.settings).list_topics(timeout=10).topics


def test_a_vendor_that_the_form_does_not_offer_starts_no_run(airflow_stack: AirflowStack) -> None:
    with pytest.raises(Unavailable, match="400"):
        runs.start(airflow_stack.api, "replay", conf(vendor="binance_usd"))


def test_a_night_rebuilds_the_day_of_its_interval_and_again_writes_nothing(
    airflow_stack: AirflowStack, tape: Tape
) -> None:
    first = runs.run(airflow_stack.api, "nightly_backfill", {}, interval=DAY)
    assert first.state == "success", first.tasks
    assert first.said("vendors") == [f"slice {DAY}"]
    assert first.states("receipt") == {OTHER: "success", VENDOR: "success"}
    assert first.states("rebuild") == {f"{VENDOR} {p}": "success" for p in range(4)}
    by_vendor = {r.vendor: r for r in receipts.recent(tape.settings, job="backfill") if r.run == first.id}
    assert by_vendor[OTHER].outcome == "empty"
    assert by_vendor[OTHER].notes == [f"nothing is recorded of {OTHER} yet"]
    made = by_vendor[VENDOR]
    counted = timeline(VENDOR, tape.settings).count(DAY.start, DAY.end)
    assert (made.outcome, made.counts["messages"]) == ("written", counted.messages) == ("written", 180)
    assert (made.start, made.end) == (format_time(DAY.start), format_time(DAY.end))
    assert made.complete
    assert f"complete: {VENDOR}|{made.start[:10]}" in first.said("receipt", 1)
    again = runs.run(airflow_stack.api, "nightly_backfill", {}, interval=DAY)
    repeated = {r.vendor: r for r in receipts.recent(tape.settings, job="backfill") if r.run == again.id}
    assert repeated[VENDOR].outcome == "unchanged"
    assert repeated[VENDOR].counts["windows_written"] == 0
    assert repeated[VENDOR].after == made.after


def test_two_nights_at_once_end_as_one(airflow_stack: AirflowStack, tape: Tape) -> None:
    asked = {
        "vendors": [VENDOR], "start": runs.seconds(EARLIER.start), "end": runs.seconds(EARLIER.end)
    }  # fmt: skip
    both = [runs.start(airflow_stack.api, "nightly_backfill", asked) for _ in range(2)]
    done = [runs.wait(airflow_stack.api, "nightly_backfill", one) for one in both]
    assert [one.state for one in done] == ["success", "success"]
    found = [receipts.find(tape.settings, one.result("receipt", 0)["id"]) for one in done]
    assert [one.counts["messages"] for one in found] == [60, 60]
    assert found[0].after == found[1].after
    weights = {task["task_id"]: task["priority_weight"] for one in done for task in one.tasks}
    inside = [weights[name] - weight("manual", 0) for name in ("vendors", "plan", "rebuild", "receipt")]
    assert 0 < inside[0] < inside[1] < inside[2] < inside[3] < STEP  # what is begun ends before more begins


def test_a_night_of_a_vendor_that_does_not_exist_fails_at_once(airflow_stack: AirflowStack) -> None:
    done = runs.run(airflow_stack.api, "nightly_backfill", {"vendors": ["binance_usd"]}, interval=OF)
    assert (done.state, done.tries("vendors")) == ("failed", {1})
    assert "did you mean 'binance_usdm'?" in done.errors("vendors")[0]


def test_one_vendors_failure_leaves_the_others_green(airflow_stack: AirflowStack, tape: Tape) -> None:
    other = Published(tape.settings, OTHER)
    _set(tape.settings, other.topics.backfill.name, "1000000000")
    try:
        asked = {"start": runs.seconds(T0), "end": runs.seconds(T0 + HOUR)}
        done = runs.run(airflow_stack.api, "nightly_backfill", asked)
    finally:
        _set(tape.settings, other.topics.backfill.name, "-1")
    assert done.state == "failed"
    assert done.states("plan") == {OTHER: "failed", VENDOR: "success"}
    assert done.states("receipt") == {OTHER: "failed", VENDOR: "success"}
    assert any("has retention.ms=1000000000 but needs -1" in told for told in done.errors("plan", 0))
    assert f"{OTHER} was not planned" in done.errors("receipt", 0)[0]


def _set(settings: Settings, topic: str, retention: str) -> None:
    entry = ConfigEntry("retention.ms", retention, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in client.admin(settings).incremental_alter_configs([resource]).values():
        future.result(10)
