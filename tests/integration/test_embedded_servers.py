"""`tapedeck up`, `down` and `status` on real servers, used as a person uses them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from pymongo import MongoClient

from tapedeck import endpoints
from tapedeck.embedded import process
from tapedeck.endpoints import Server
from tapedeck.settings import Settings
from tests import servers

Tapedeck = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def state() -> Iterator[Path]:
    with servers.state_dir() as path:
        yield path


@pytest.fixture
def tapedeck(state: Path) -> Tapedeck:
    """The command on a state directory and on ports of its own."""
    ports = {
        "TAPEDECK_KAFKA__PORT": str(servers.free_port(2)),
        "TAPEDECK_MONGO__PORT": str(servers.free_port()),
    }

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return servers.tapedeck(*words, state=state, **{**ports, **variables})

    return run


def _ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _sentence(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one sentence that a failure prints."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    return lines[0]


def _status(tapedeck: Tapedeck) -> dict[str, Any]:
    now: dict[str, Any] = json.loads(_ok(tapedeck("status", "--json")))
    return now


def _record(state: Path, name: str) -> Server:
    record = endpoints.read_server(Settings(state_dir=str(state)), name)
    assert record is not None, name
    return record


def _wait(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@contextmanager
def _held(port: int) -> Iterator[None]:
    """Someone else's server on a port, which hangs up on whoever calls."""
    held = socket.create_server(("127.0.0.1", port))

    def hang_up() -> None:
        with contextlib.suppress(OSError):
            while True:
                held.accept()[0].close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    try:
        yield
    finally:
        held.shutdown(socket.SHUT_RDWR)
        thread.join()
        held.close()


def _port(address: str) -> int:
    return int(address.removeprefix("mongodb://").partition("/")[0].rpartition(":")[2])


def test_state_and_ports_survive_down_and_up_and_a_taken_port_moves_on(
    tapedeck: Tapedeck, state: Path
) -> None:
    _ok(tapedeck("up", "--no-airflow"))
    first = _status(tapedeck)
    assert first["kafka"]["running"]
    assert first["mongo"]["running"]
    admin = AdminClient({"bootstrap.servers": first["kafka"]["bootstrap"]})
    admin.create_topics([NewTopic("kept", 3)])["kept"].result(10)
    with MongoClient(first["mongo"]["uri"]) as client:
        client.get_database("kept").get_collection("x").insert_one({"_id": 1})
    pids = [_record(state, name).pid for name in ("kafka", "mongod", "supervisor")]
    _ok(tapedeck("down"))
    assert not any(map(_is_running, pids))
    assert not list((state / "servers").glob("*.json"))

    kafka_port, mongo_port = _port(first["kafka"]["bootstrap"]), _port(first["mongo"]["uri"])
    with _held(kafka_port), _held(mongo_port):
        _ok(tapedeck("up", "--no-airflow"))
    second = _status(tapedeck)
    assert _port(second["kafka"]["bootstrap"]) > kafka_port
    assert _port(second["mongo"]["uri"]) > mongo_port
    admin = AdminClient({"bootstrap.servers": second["kafka"]["bootstrap"]})
    assert len(admin.list_topics("kept", timeout=10).topics["kept"].partitions) == 3
    with MongoClient(second["mongo"]["uri"]) as client:
        assert client.get_database("kept").get_collection("x").find_one() == {"_id": 1}
        client.get_database("kept").get_collection("x").insert_one({"_id": 2})

    _ok(tapedeck("up", "--no-airflow"))
    assert _status(tapedeck) == second, "a second up changes nothing"
    _ok(tapedeck("down"))
    _ok(tapedeck("up", "--only", "mongo"))
    assert _status(tapedeck)["mongo"] == second["mongo"], "the port that was found is kept"


def test_a_killed_server_comes_back_with_its_data_and_a_killed_supervisor_hides_nothing(
    tapedeck: Tapedeck, state: Path
) -> None:
    _ok(tapedeck("up", "--only", "mongo"))
    before = _record(state, "mongod")
    with MongoClient(before.address, w="majority") as client:
        client.get_database("kept").get_collection("x").insert_one({"_id": 1})
        os.kill(before.pid, signal.SIGKILL)
        _wait(lambda: _record(state, "mongod").pid != before.pid, "mongod was not started again")
        assert client.get_database("kept").get_collection("x").find_one() == {"_id": 1}
    after = _record(state, "mongod")
    assert after.address == before.address
    assert "mongod" in (state / "logs" / "supervisor.log").read_text()

    supervisor = _record(state, "supervisor")
    os.kill(supervisor.pid, signal.SIGKILL)
    _ok(tapedeck("up", "--only", "mongo"))
    assert _record(state, "mongod") == after, "what runs is left alone"
    again = _record(state, "supervisor")
    assert again.pid != supervisor.pid
    assert process.alive(again)

    os.kill(again.pid, signal.SIGKILL)
    os.kill(after.pid, signal.SIGSTOP)
    _ok(tapedeck("down"))
    assert not _is_running(after.pid)


def test_two_ups_at_once_start_one_stack(tapedeck: Tapedeck, state: Path) -> None:
    environ = {
        **os.environ,
        "TAPEDECK_STATE_DIR": str(state),
        "TAPEDECK_MONGO__PORT": str(servers.free_port()),
    }
    both = [
        subprocess.Popen(
            [str(servers.PROGRAM), "up", "--only", "mongo"],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [each.communicate(timeout=60)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sum("MongoDB: starting" in text for text in said) == 1
    mongods = [
        p for p in psutil.process_iter(["cmdline"]) if str(state / "mongod") in (p.info["cmdline"] or [])
    ]
    assert [p.pid for p in mongods] == [_record(state, "mongod").pid]


def test_a_record_of_someone_elses_process_is_not_ended(tapedeck: Tapedeck, state: Path) -> None:
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        for folder, name in (("servers", "kafka"), ("live", "writer-binance_usdm")):
            (state / folder).mkdir(parents=True)
            record = {
                "name": name,
                "pid": bystander.pid,
                "started": time.time() - 600,
                "address": "",
                "log": "",
            }
            (state / folder / f"{name}.json").write_text(json.dumps(record))
        assert _ok(tapedeck("down")) == "nothing was running\n"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    assert not list(state.glob("*/*.json")), "stale records are cleared"


def test_down_clears_a_record_that_can_not_be_read(tapedeck: Tapedeck, state: Path) -> None:
    (state / "servers").mkdir(parents=True)
    for name in ("kafka", "supervisor"):
        (state / "servers" / f"{name}.json").write_text("{")
    assert "run `tapedeck down`" in _sentence(tapedeck("status"), 3)
    _ok(tapedeck("down"))
    assert not _status(tapedeck)["kafka"]["running"]


def test_live_processes_are_shown_and_ended(tapedeck: Tapedeck, state: Path) -> None:
    writer = subprocess.Popen(["sleep", "600"])
    try:
        (state / "live").mkdir(parents=True)
        started = psutil.Process(writer.pid).create_time()
        record = {"name": "writer", "pid": writer.pid, "started": started, "address": "", "log": "l"}
        (state / "live" / "writer-binance_usdm.json").write_text(
            json.dumps({**record, "vendor": "binance_usdm", "lag": 7})
        )
        now = _status(tapedeck)
        assert now["collectors"] == []
        assert now["writers"] == [
            {**record, "vendor": "binance_usdm", "lag": 7, "src": None, "running": True}
        ]
        assert "writer binance_usdm  running" in _ok(tapedeck("status"))
        _ok(tapedeck("down"))
        assert writer.wait(10) == -signal.SIGTERM
    finally:
        writer.kill()
        writer.wait()
    assert _status(tapedeck)["writers"] == []


def test_what_settings_point_elsewhere_is_not_started(tapedeck: Tapedeck, state: Path, mongo: str) -> None:
    said = _ok(tapedeck("up", "--only", "mongo", TAPEDECK_MONGO__URI=mongo))
    assert "not started, settings name" in said
    assert not list((state / "servers").glob("*.json"))
    now = json.loads(_ok(tapedeck("status", "--json", TAPEDECK_MONGO__URI=mongo)))
    assert now["mongo"] == {"uri": mongo, "running": True}
    assert now["kafka"] == {"bootstrap": "", "running": False}


def test_a_late_server_is_named_with_its_log_and_run_again_is_waited_on(
    tapedeck: Tapedeck, state: Path
) -> None:
    late = tapedeck("up", "--only", "kafka", "--timeout", "1")
    assert f"not ready in time: see {state}/logs/kafka.log" in _sentence(late, 3)
    broker = _record(state, "kafka")
    _ok(tapedeck("up", "--only", "kafka"))
    assert _record(state, "kafka") == broker


def test_a_server_that_fails_to_start_is_named_with_its_log_and_not_tried_for_ever(
    tapedeck: Tapedeck, state: Path
) -> None:
    failed = tapedeck("up", "--only", "kafka", TAPEDECK_KAFKA__BROKER='{"num.io.threads": "none"}')
    sentence = _sentence(failed, 3)
    assert (
        f"Kafka ended while it was starting: the reason is at the end of {state}/logs/kafka.log" in sentence
    )
    assert "num.io.threads" in (state / "logs" / "kafka.log").read_text()
    assert not list((state / "servers").glob("*.json"))


def test_a_broken_download_never_counts(tapedeck: Tapedeck, state: Path, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "mvn"
    fake.parent.mkdir()
    fake.write_text(
        """#!/bin/sh
for word; do
  case $word in -DoutputDirectory=*) mkdir -p "${word#*=}"; touch "${word#*=}/half.jar";; esac
done
echo "[ERROR] the line went dead"
exit 1
"""
    )
    fake.chmod(0o755)
    variables = {"TAPEDECK_CACHE_DIR": str(tmp_path / "cache"), "PATH": f"{fake.parent}:{os.environ['PATH']}"}
    sentence = _sentence(tapedeck("up", "--only", "kafka", **variables), 3)
    assert "Maven could not fetch Kafka 4.4.0 ([ERROR] the line went dead)" in sentence
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_unwritable_state_directory_is_one_sentence_and_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = servers.tapedeck("up", "--only", "mongo", state=tmp_path / "file" / "state")
    assert "can't be written (Not a directory): make it writable, or set TAPEDECK_STATE_DIR" in _sentence(
        done, 3
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_doctor_says_what_is_missing_and_how_to_get_it(tapedeck: Tapedeck, tmp_path: Path) -> None:
    assert json.loads(_ok(tapedeck("doctor", "--json")))["ok"]
    bare = {"PATH": "/nonexistent", "TAPEDECK_CACHE_DIR": str(tmp_path)}
    done = tapedeck("doctor", "--json", **bare)
    assert done.returncode == 3
    findings = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert {name for name, f in findings.items() if not f["ok"]} == {"Java", "Maven"}
    assert "apt-get install maven" in findings["Maven"]["remedy"]
    assert "apt-get install maven" in tapedeck("doctor", **bare).stdout


def _is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
