"""A day's page, made when its night is over and again when something of it was mended."""

from __future__ import annotations

import time

import pytest

from tapedeck import message as m
from tapedeck.reports import home
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tests.dags import runs
from tests.dags.test_pages import get
from tests.published import VENDOR, Published
from tests.servers import AirflowStack

DAY = "2023-03-02"
OF = Slice(19_418 * 86_400 * NS, 19_419 * 86_400 * NS)
SYMBOL = "XLMUSDT"
KEY = f"{VENDOR}|{DAY}"


def trade(i: int, seq: int) -> m.Trade:
    at = OF.start + 12 * 3600 * NS + i * NS
    return m.Trade(SYMBOL, at - 20_000_000, at, seq, seq - 1, 1023, 2.5, 1.0, 1)


@pytest.fixture(scope="module")
def log(airflow_stack: AirflowStack) -> Published:
    runs.loaded(airflow_stack.api, "nightly_backfill", "reconcile", "quality_report")
    log = Published(airflow_stack.settings)
    log.load([trade(i, 100 + i) for i in range(60)], src=1023)
    return log


def followed(stack: AirflowStack, known: set[str]) -> runs.Run:
    """The run of quality_report that the day's asset event has started, once it has ended."""
    deadline = time.monotonic() + 120
    while True:
        listed = stack.api.call("GET", "/api/v2/dags/quality_report/dagRuns?limit=100")["dag_runs"]
        fresh = [r["dag_run_id"] for r in listed if r["partition_key"] == KEY]
        if some := [run for run in fresh if run not in known]:
            return runs.wait(stack.api, "quality_report", some[0])
        assert time.monotonic() < deadline, "no run of quality_report came of the asset event"
        time.sleep(0.3)


def entry(settings: Settings) -> dict[str, object]:
    [found] = [e for e in home.entries(home.home(settings)) if e["day"] == DAY]
    return found


def test_the_page_follows_the_night_and_a_late_repair_supersedes_it(
    airflow_stack: AirflowStack, log: Published
) -> None:
    slice_ = {"start": runs.seconds(OF.start), "end": runs.seconds(OF.end)}
    night = runs.run(airflow_stack.api, "nightly_backfill", {"vendors": [VENDOR], **slice_})
    assert night.state == "success", night.tasks
    first = followed(airflow_stack, set())
    assert first.state == "success", first.tasks
    labels = {f"{VENDOR} {DAY} gaps", *(f"{VENDOR} {DAY} partition {p}" for p in range(4))}
    assert first.states("read") == dict.fromkeys(labels, "success")
    said = first.result("report", 0)
    assert (said["verdict"], said["day"]) == (entry(airflow_stack.settings)["verdict"], DAY)
    assert first.link("report", "Report", 0) == said["page"]
    path = f"/tapedeck/reports/{VENDOR}/{DAY}.html"
    assert said["page"].endswith(path)
    assert said["why"] in get(airflow_stack, path)[2]
    left = get(airflow_stack, f"/tapedeck/of/quality_report/{first.id}")[2]
    assert f'href="../../reports/{VENDOR}/{DAY}.html"' in left
    assert "<td>" in get(airflow_stack, f"/tapedeck/of/nightly_backfill/{night.id}")[2]

    log.load([trade(300, 161)], src=1023)
    mended = runs.run(airflow_stack.api, "reconcile", {"vendors": [VENDOR], **slice_})
    assert mended.state == "success", mended.tasks
    second = followed(airflow_stack, {first.id})
    assert second.state == "success", second.tasks
    assert (entry(airflow_stack.settings)["revision"], entry(airflow_stack.settings)["messages"]) == (2, 61)
    assert "Superseded" in get(airflow_stack, f"/tapedeck/reports/{VENDOR}/{DAY}.r1.html")[2]
