"""Tasks of both jobs SIGKILLed, tried again, cleared and done again; scheduler and API server killed beside a
live recording."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tapedeck.endpoints import read_server
from tapedeck.jobs import receipts
from tapedeck.jobs.receipts import Receipt
from tapedeck.settings import Settings
from tapedeck.simulate import capture, market
from tapedeck.slices import NS, Slice, format_time
from tests.dags import runs
from tests.faults import SEEDS
from tests.published import HOUR, VENDOR, Published, trade
from tests.road import Ids, await_stored, expected
from tests.servers import AirflowStack
from tests.tapes import Running, until
from tests.topics import contents, rows

DAY = 24 * HOUR
T0 = (time.time_ns() // DAY - 900 - os.getpid() % 300) * DAY
"""Long ago, where no other test has anything; another day in each process."""
OF = Slice(T0, T0 + HOUR)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
MESSAGES = [trade(T0 + i * 10 * NS + i, i + 1, f"K{SYMBOLS[i % 4]}", src=1700) for i in range(240)]
EVERY = [
    *(
        ("nightly_backfill", t)
        for t in ("vendors", "plan", "parts", "approval", "rebuild", "fetch", "receipt")
    ),
    *(("replay", t) for t in ("plan", "approval", "copy", "receipt")),
]
WRITES = {"nightly_backfill": "rebuild", "replay": "copy"}
"""What writes; whatever comes after it, done again by itself, says what was written before."""
CHOSEN = EVERY if "FAULT_SEEDS" in os.environ else [("nightly_backfill", "rebuild"), ("replay", "copy")]
TRIES = 8
"""So often a task is sought that ends before it is found running."""


@pytest.fixture(scope="module")
def stack(airflow_stack: AirflowStack) -> AirflowStack:
    """Airflow; in its log, an hour of a file."""
    runs.loaded(airflow_stack.api, "replay", "nightly_backfill")
    Published(airflow_stack.settings).load(MESSAGES, src=1700)
    return airflow_stack


def conf(dag: str) -> dict[str, Any]:
    span = {"start_exact": format_time(OF.start), "end_exact": format_time(OF.end)}
    if dag == "nightly_backfill":
        return {"vendors": [VENDOR], **span}
    return {"vendor": VENDOR, "to": f"kafka:air.killed.{uuid.uuid4().hex[:8]}", **span}


def instances(stack: AirflowStack, dag: str, run: str, task: str) -> list[dict[str, Any]]:
    path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances?task_id={task}&limit=100"
    found = stack.api.call("GET", path, timeout=120)["task_instances"]
    return [one for one in found if one["task_id"] == task]


def kill(stack: AirflowStack, dag: str, task: str, asked: dict[str, Any]) -> str:
    """Start runs until the task of one is found running, and SIGKILL it; gives that run."""
    for _ in range(TRIES):
        run = runs.start(stack.api, dag, asked)
        while True:
            found = instances(stack, dag, run, task)
            if any(one["state"] in ("success", "failed", "upstream_failed", "skipped") for one in found):
                break  # it was quicker
            running = [one for one in found if one["state"] == "running" and one["pid"]]
            if running:
                with suppress(ProcessLookupError):
                    os.kill(running[0]["pid"], signal.SIGKILL)
                    return run
            time.sleep(0.05)
        runs.wait(stack.api, dag, run, 900)
    raise AssertionError(f"{task} of {dag} was never found running")


def proved(stack: AirflowStack, dag: str, asked: dict[str, Any], run: str) -> Receipt:
    """The run's one receipt, which says what is there."""
    job = "backfill" if dag == "nightly_backfill" else "replay"
    [made] = [r for r in receipts.recent(stack.settings, 100, VENDOR, job) if r.run == run]
    assert made.counts["messages"] == len(MESSAGES)
    if dag == "replay":
        assert contents(stack.settings, asked["to"].removeprefix("kafka:")) == rows(MESSAGES, 4)
    return made


def written(made: Receipt) -> int:
    """The messages, or windows, that the run wrote."""
    return made.counts["written"] if made.job == "replay" else made.counts["windows_written"]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("dag", "task"), CHOSEN)
def test_a_task_that_is_killed_is_tried_again_and_done_again_ends_the_same(
    stack: AirflowStack, dag: str, task: str
) -> None:
    asked = conf(dag)
    run = kill(stack, dag, task, asked)
    done = runs.wait(stack.api, dag, run, 900)
    assert done.state == "success", done.tasks
    assert max(done.tries(task)) >= 2
    first = proved(stack, dag, asked, run)
    stack.api.call(
        "POST", f"/api/v2/dags/{dag}/clearTaskInstances",
        {"dry_run": False, "dag_run_id": run, "task_ids": [task], "include_downstream": True,
         "only_failed": False},
    )  # fmt: skip
    again = runs.wait(stack.api, dag, run, 900)
    assert again.state == "success", again.tasks
    second = proved(stack, dag, asked, run)
    assert (second.id, second.after) == (first.id, first.after)
    is_redone = EVERY.index((dag, task)) <= EVERY.index((dag, WRITES[dag]))
    assert written(second) == (0 if is_redone else written(first))


@pytest.mark.timeout(900)
def test_two_replays_at_once_end_as_one(stack: AirflowStack) -> None:
    asked = conf("replay")
    both = [runs.start(stack.api, "replay", asked) for _ in range(2)]
    done = [runs.wait(stack.api, "replay", one, 900) for one in both]
    assert [one.state for one in done] == ["success", "success"]
    made = [proved(stack, "replay", asked, one) for one in both]
    assert sum(one.counts["written"] for one in made) == len(MESSAGES)
    assert made[0].after == made[1].after


@pytest.mark.skipif("FAULT_SEEDS" not in os.environ, reason="make faults: it takes Airflow away for a minute")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", SEEDS)
def test_airflow_killed_beside_a_live_recording_disturbs_nothing(
    stack: AirflowStack, settings: Settings, tmp_path: Path, seed: int
) -> None:
    path, ledger = tmp_path / "market.zst", tmp_path / "ledger.jsonl"
    made = market.generate(VENDOR, ["BTCUSDT", "A", "B", "C"], 500.0, 40, seed, 1_723_118_400 * NS)
    capture.write(path, made)
    mongo = {"TAPEDECK_MONGO__URI": settings.mongo.uri, "TAPEDECK_MONGO__DATABASE": settings.mongo.database}
    start = time.time_ns()
    with Running(settings, "write", VENDOR, **mongo) as writer:
        with Running(settings, "collect", VENDOR) as collector:
            until(lambda: len(collector.halves()) == 2)
            halves = collector.halves()
            with Running(
                settings, "simulate", VENDOR, str(path), "--ledger", str(ledger), "--json",
            ) as player:  # fmt: skip
                asked = conf("replay")
                run = runs.start(stack.api, "replay", asked)
                for name in ("airflow-scheduler", "airflow"):
                    server = read_server(stack.settings, name)
                    assert server is not None
                    with suppress(ProcessLookupError):
                        os.killpg(server.pid, signal.SIGKILL)
                assert player.process.wait(120) == 0, player.said
            assert collector.halves() == halves
            assert collector.end() == 0, collector.said
        sent: Counter[Ids] = expected(VENDOR, path, ledger)
        await_stored(settings, writer, sent, Slice(start, time.time_ns()), 120)
    until(lambda: _answers(stack), 300)
    done = runs.wait(stack.api, "replay", run, 900)
    assert done.state == "success", done.tasks
    proved(stack, "replay", asked, run)


def _answers(stack: AirflowStack) -> bool:
    try:
        return bool(stack.api.call("GET", "/api/v2/version"))
    except Exception:
        return False
