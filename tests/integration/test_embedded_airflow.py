"""The embedded Airflow runs a DAG, reaches Kafka and MongoDB by its connections, and is mended."""

from __future__ import annotations

import os
import time

import pytest

from tapedeck import endpoints
from tapedeck.embedded import airflow, process
from tapedeck.endpoints import Server
from tests import servers
from tests.servers import AirflowStack

pytestmark = pytest.mark.timeout(700)


def _record(stack: AirflowStack, name: str) -> Server:
    record = endpoints.read_server(stack.settings, name)
    assert record is not None
    return record


def _wait_until_ready(stack: AirflowStack, name: str, after: int = 0) -> None:
    """Wait until the process of that name, another than `after`, works."""
    end = time.monotonic() + 120
    while (record := _record(stack, name)).pid == after or not airflow.is_ready(record):
        assert time.monotonic() < end, f"{name} is not ready"
        time.sleep(0.2)


def test_all_four_processes_are_healthy_and_the_pool_is_there(airflow_stack: AirflowStack) -> None:
    for name in (airflow.API, *airflow.COMPONENTS):
        _wait_until_ready(airflow_stack, name)
    pool = airflow_stack.api.call("GET", f"/api/v2/pools/{airflow.POOL}")
    assert pool["slots"] == airflow_stack.settings.airflow.slots


def test_airflow_listens_on_loopback_alone(airflow_stack: AirflowStack) -> None:
    for name in (airflow.API, *airflow.COMPONENTS):
        leader = process.find(_record(airflow_stack, name))
        assert leader is not None
        listening = {
            connection.laddr.ip
            for each in [leader, *leader.children(recursive=True)]
            for connection in each.net_connections("inet")
            if connection.status == "LISTEN"
        }
        assert listening <= {"127.0.0.1"}, name


def test_a_second_up_is_harmless(airflow_stack: AirflowStack) -> None:
    before = {name: _record(airflow_stack, name) for name in ("postgres", airflow.API, *airflow.COMPONENTS)}
    done = servers.tapedeck(
        "up", state=airflow_stack.settings.state, settings_file=airflow_stack.settings_file
    )
    assert done.returncode == 0, done.stderr
    assert {name: _record(airflow_stack, name) for name in before} == before


def test_a_killed_scheduler_comes_back_without_its_old_workers(airflow_stack: AirflowStack) -> None:
    old = _record(airflow_stack, "airflow-scheduler")
    leader = process.find(old)
    assert leader is not None
    workers = leader.children(recursive=True)
    assert workers, "LocalExecutor forks its workers at the start"
    os.kill(old.pid, 9)
    _wait_until_ready(airflow_stack, "airflow-scheduler", after=old.pid)
    assert not [worker for worker in workers if worker.is_running()]
