"""What every DAG file keeps: it loads, says whose it is and what it does, and is light."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT

_LOOK = """
import json, sys
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
bag = DagBag(sys.argv[1])
fresh = sorted({name.split(".")[0] for name in set(sys.modules) - before})
dags = {}
for name, dag in bag.dags.items():
    dags[name] = {
        "file": dag.fileloc, "tags": sorted(dag.tags), "doc": dag.doc_md, "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs, "owner": dag.owner, "timetable": type(dag.timetable).__name__,
        "params": {key: param.schema | {"description": param.description} for key, param in
                   ((key, dag.params.get_param(key)) for key in dag.params)},
        "tasks": {task.task_id: {"pool": task.pool, "retries": task.retries, "doc": task.doc_md}
                  for task in dag.tasks},
    }
print("FOUND" + json.dumps({"errors": bag.import_errors, "fresh": fresh, "dags": dags}))
"""
_HEAVY = {"numpy", "pandas", "pymongo", "confluent_kafka", "arctic", "pyarrow", "zmq"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow finds in the folder, in a process and a home of its own."""
    home = tmp_path_factory.mktemp("airflow")
    env = {
        **os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"), "TAPEDECK_STATE_DIR": str(home / "state"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, str(ROOT / "dags")],
        env=env, cwd=home, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    looked: dict[str, Any] = json.loads(done.stdout.rpartition("FOUND")[2])
    return looked


def test_every_file_is_a_dag_of_its_own_name_without_an_import_error(found: dict[str, Any]) -> None:
    assert found["errors"] == {}
    files = {path.stem for path in (ROOT / "dags").glob("*.py") if path.stem != "__init__"}
    assert files == set(found["dags"])
    assert all(Path(dag["file"]).stem == name for name, dag in found["dags"].items())


def test_reading_the_files_imports_nothing_heavy(found: dict[str, Any]) -> None:
    assert not _HEAVY & set(found["fresh"])


def test_every_dag_says_whose_it_is_and_what_it_does(found: dict[str, Any]) -> None:
    for name, dag in found["dags"].items():
        assert dag["owner"] == "tapedeck", name
        assert "tapedeck" in dag["tags"], name
        assert dag["doc"].strip().startswith("### "), name
        assert not dag["catchup"], name
        assert dag["max_active_runs"] <= 4, name


def test_every_task_runs_in_the_pool_and_is_retried(found: dict[str, Any]) -> None:
    for dag in found["dags"].values():
        for name, task in dag["tasks"].items():
            assert (task["pool"], task["retries"]) == ("tapedeck", 3), name


def test_every_field_of_a_form_has_a_title_and_a_description(found: dict[str, Any]) -> None:
    for dag in found["dags"].values():
        for name, field in dag["params"].items():
            assert field["title"], name
            assert field["description"], name
            if name.endswith("_exact"):
                assert "(UTC)" in field["title"], name
            elif field.get("format") == "date-time":  # a picker is in the browser's zone
                assert "the zone that the picker names" in field["description"], name


@pytest.mark.parametrize(
    "name", ["nightly_backfill", "gap_check", "reconcile", "retention_guard", "store_check"]
)
def test_what_runs_by_the_clock_has_intervals_of_width(found: dict[str, Any], name: str) -> None:
    assert found["dags"][name]["timetable"] == "CronDataIntervalTimetable"


def test_dag_files_are_wiring() -> None:
    for path in (ROOT / "dags").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 120, path


def test_airflow_does_not_take_the_library_for_plugins() -> None:
    assert "tapedeck/" in (ROOT / "plugins" / ".airflowignore").read_text().splitlines()
