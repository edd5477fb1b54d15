"""Starting runs through Airflow's REST API, as the UI does, and looking at what came of them."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec

from tapedeck.embedded.airflow_api import Client
from tapedeck.slices import NS, Slice, format_time
from tests.servers import AirflowStack

UNANSWERED: dict[str, str] = {}
"""Replays that nobody approves, with their targets: they are looked at when the other tests have ended."""


class Run(msgspec.Struct, frozen=True):
    """A run that has ended."""

    api: Client
    dag: str
    id: str
    state: str

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """Its task instances, mapped ones too."""
        found: list[dict[str, Any]] = self.api.call(
            "GET", f"/api/v2/dags/{self.dag}/dagRuns/{self.id}/taskInstances?limit=200"
        )["task_instances"]
        return found

    def states(self, task: str) -> dict[str, str]:
        """State by label of a task's instances."""
        return {
            instance["rendered_map_index"] or str(instance["map_index"]): instance["state"]
            for instance in self.tasks
            if instance["task_id"] == task
        }

    def tries(self, task: str) -> set[int]:
        """How often the task's instances were tried."""
        return {instance["try_number"] for instance in self.tasks if instance["task_id"] == task}

    def result(self, task: str, index: int = -1) -> Any:
        """What the task returned."""
        return self.api.call(
            "GET",
            f"/api/v2/dags/{self.dag}/dagRuns/{self.id}/taskInstances/{task}/xcomEntries/return_value"
            f"?map_index={index}&deserialize=true",
        )["value"]

    def link(self, task: str, name: str, index: int = -1) -> str:
        """Where a button on the task's page leads."""
        return str(
            self.api.call(
                "GET",
                f"/api/v2/dags/{self.dag}/dagRuns/{self.id}/taskInstances/{task}/links?map_index={index}",
            )["extra_links"][name]
        )

    def log(self, task: str, index: int = -1, patience: float = 90.0) -> list[dict[str, Any]]:
        """The events that the task's tries have logged, once the last process of them has logged all.

        A task tells the scheduler of its end by one socket and what it logs by another, so its run may have
        ended before the last lines are in the file.
        """
        deadline = time.monotonic() + patience
        while not _whole(found := self._logged(task, index)):
            assert time.monotonic() < deadline, f"the log of {task} has no end: {found[-3:]}"
            time.sleep(0.2)
        return found

    def _logged(self, task: str, index: int) -> list[dict[str, Any]]:
        tries = max(self.tries(task))
        path = f"/api/v2/dags/{self.dag}/dagRuns/{self.id}/taskInstances/{task}/logs"
        answers = [  # Airflow counts a try that never ran and has no log of it
            self.api.call("GET", f"{path}/{n}?map_index={index}", allow=(404,)) for n in range(1, tries + 1)
        ]
        return [event for answer in answers for event in answer.get("content", ()) if isinstance(event, dict)]

    def said(self, task: str, index: int = -1) -> list[str]:
        """What the task told."""
        return [event["event"] for event in self.log(task, index) if event.get("logger") == "tapedeck"]

    def errors(self, task: str, index: int = -1) -> list[str]:
        """What the task logged as errors."""
        return [event["event"] for event in self.log(task, index) if event.get("level") == "error"]


def _whole(log: list[dict[str, Any]]) -> bool:
    """Whether the last process that wrote has written its last line: the end of what it does afterwards."""
    events = [str(event.get("event")) for event in log]
    begun = max((i for i, event in enumerate(events) if event == "::group::Pre Execute"), default=0)
    after = [event for event in events[begun:] if event in ("::group::Post Execute", "::endgroup::")]
    return after[-2:] == ["::group::Post Execute", "::endgroup::"]


def loaded(api: Client, *dags: str, patience: float = 90.0) -> None:
    """Wait until Airflow has read the DAGs' files, and let them run."""
    deadline = time.monotonic() + patience
    for dag in dags:
        while "dag_id" not in (api.call("GET", f"/api/v2/dags/{dag}", allow=(404,)) or {}):
            assert time.monotonic() < deadline, f"Airflow has not read {dag} in {patience:.0f} s"
            time.sleep(0.3)
        api.call("PATCH", f"/api/v2/dags/{dag}?update_mask=is_paused", {"is_paused": False})


def start(api: Client, dag: str, conf: dict[str, Any], interval: Slice | None = None) -> str:
    """Start a run by hand, with a data interval or, as most such runs, with none; give its id."""
    body: dict[str, Any] = {
        "dag_run_id": f"test__{uuid.uuid4().hex[:12]}", "logical_date": None, "conf": conf
    }  # fmt: skip
    if interval is not None:
        body |= {
            "logical_date": datetime.now(UTC).isoformat(),
            "data_interval_start": format_time(interval.start),
            "data_interval_end": format_time(interval.end),
        }
    return str(api.call("POST", f"/api/v2/dags/{dag}/dagRuns", body)["dag_run_id"])


def wait(api: Client, dag: str, run: str, patience: float = 280) -> Run:
    """The run once it has ended."""
    told = api.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run}/wait?interval=0.2", timeout=patience)
    last = told if isinstance(told, dict) else json.loads(str(told).strip().splitlines()[-1])
    return Run(api, dag, run, last["state"])


def awaits(stack: AirflowStack, run: str, dag: str = "replay", patience: float = 300.0) -> None:
    """Return once the run waits for a person, and its worker's end has reached the scheduler.

    An answer that is quicker than that, which no person is, makes Airflow try the task again from its
    beginning: it then takes the end of the first try for the end of what the answer has begun.
    """
    deadline = time.monotonic() + patience
    path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/approval"
    log = stack.settings.state / "logs" / "airflow-scheduler.log"
    ended = f"(dag_id='{dag}', task_id='approval', run_id='{run}'"

    def waits() -> bool:
        state = stack.api.call("GET", path, timeout=60)["state"]
        return state == "awaiting_input" and ended in log.read_text(errors="replace")

    while not waits():
        assert time.monotonic() < deadline, "the run has not begun to wait"
        time.sleep(0.2)


def run(api: Client, dag: str, conf: dict[str, Any], interval: Slice | None = None) -> Run:
    """Start a run and wait until it has ended."""
    return wait(api, dag, start(api, dag, conf, interval))


def seconds(ns: int) -> str:
    """A whole second as the form's picker sends it."""
    assert ns % NS == 0
    return format_time(ns)
