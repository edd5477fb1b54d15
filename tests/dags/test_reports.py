"""A day's page, made anew when its night is over."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import tapedeck
from tapedeck import message as m
from tapedeck.jobs import backfill
from tapedeck.jobs.origin import Origin
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
def log(airflow_stack: AirflowStack) -> Iterator[Published]:
    """A minute of trades with their first report. The DAG runs only while it is looked at: other tests'
    nights would start it too."""
    api, settings = airflow_stack.api, airflow_stack.settings
    log = Published(settings)
    log.load([trade(i, 100 + i) for i in range(60)], src=1023)
    backfill.backfill(settings, VENDOR, OF, origin=Origin(who="night", started=OF.end))
    tapedeck.report(VENDOR, DAY, settings=settings)
    runs.loaded(api, "nightly_backfill", "quality_report")
    yield log
    api.call("PATCH", "/api/v2/dags/quality_report?update_mask=is_paused", {"is_paused": True})


def followed(stack: AirflowStack) -> runs.Run:
    """The run of quality_report that the day's asset event has started, once it has ended."""
    deadline = time.monotonic() + 120
    while True:
        listed = stack.api.call("GET", "/api/v2/dags/quality_report/dagRuns?limit=100")["dag_runs"]
        if some := [r["dag_run_id"] for r in listed if r["partition_key"] == KEY]:
            return runs.wait(stack.api, "quality_report", some[0])
        assert time.monotonic() < deadline, "no run of quality_report came of the asset event"
        time.sleep(0.3)


def entry(settings: Settings) -> dict[str, object]:
    [found] = [e for e in home.entries(home.home(settings)) if e["day"] == DAY]
    return found


def test_the_page_follows_the_night_and_supersedes_what_stood(
    airflow_stack: AirflowStack, log: Published
) -> None:
    settings = airflow_stack.settings
    assert (entry(settings)["revision"], entry(settings)["messages"]) == (1, 60)
    log.load([trade(300, 161)], src=1023)
    slice_ = {"start": runs.seconds(OF.start), "end": runs.seconds(OF.end)}
    night = runs.run(airflow_stack.api, "nightly_backfill", {"vendors": [VENDOR], **slice_})
    assert night.state == "success", night.tasks
    done = followed(airflow_stack)
    assert done.state == "success", done.tasks
    labels = {f"{VENDOR} {DAY} gaps", *(f"{VENDOR} {DAY} partition {p}" for p in range(4))}
    assert done.states("read") == dict.fromkeys(labels, "success")
    said = done.result("report", 0)
    assert (said["verdict"], said["day"]) == (entry(settings)["verdict"], DAY)
    assert (entry(settings)["revision"], entry(settings)["messages"]) == (2, 61)
    assert done.link("report", "Report", 0) == said["page"]
    path = f"/tapedeck/reports/{VENDOR}/{DAY}.html"
    assert said["page"].endswith(path)
    assert said["why"] in get(airflow_stack, path)[2]
    assert "Superseded" in get(airflow_stack, f"/tapedeck/reports/{VENDOR}/{DAY}.r1.html")[2]
    left = get(airflow_stack, f"/tapedeck/of/quality_report/{done.id}")[2]
    assert f'href="../../reports/{VENDOR}/{DAY}.html"' in left
    assert "<td>" in get(airflow_stack, f"/tapedeck/of/nightly_backfill/{night.id}")[2]
