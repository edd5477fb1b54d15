"""Ending processes: all that was started, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest

from tapedeck.embedded import launch, process
from tapedeck.embedded.launch import Launch
from tapedeck.endpoints import Server
from tapedeck.errors import Unavailable

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()  # a child that has left the session, like PostgreSQL's
        print("deaf", flush=True)  # by the last one born: from here on the family is whole
time.sleep(600)
"""
LEADER_OF_ORPHANS = """
import os, time
for _ in range(2):
    if os.fork() == 0:
        time.sleep(600)
print("forked", flush=True)
time.sleep(600)
"""


@pytest.fixture
def bystander() -> Iterator[psutil.Process]:
    """Someone else's process, in a session of its own."""
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        yield psutil.Process(child.pid)
    finally:
        child.kill()
        child.wait()


def _start(state: Path, script: str, word: str = "") -> Server:
    """Start a script as a server and wait for its word."""
    log = state / "logs" / "it.log"
    argv = [sys.executable, "-c", script]
    launch.save(state, Launch(name="it", argv=argv, address="", log=str(log), cwd=str(state)))
    server = launch.start(state, "it")
    while word and word not in log.read_text():
        time.sleep(0.02)
    return server


def _session(server: Server) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        with suppress(ProcessLookupError):  # somebody else's, that has just ended
            if os.getsid(one.pid) == server.pid:
                found.append(one)
    return found


def test_a_server_is_on_record_with_its_birth_and_outlives_its_starter(tmp_path: Path) -> None:
    server = _start(tmp_path, "import time; time.sleep(600)")
    assert process.alive(server)
    assert msgspec.json.decode((tmp_path / "servers" / "it.json").read_bytes(), type=Server) == server
    assert os.getsid(server.pid) == server.pid
    assert psutil.Process(server.pid).ppid() != os.getpid()
    assert process.end([server], 5) == []
    assert not process.alive(server)


def test_a_program_that_can_not_be_entered_is_named_and_leaves_no_record(tmp_path: Path) -> None:
    launch.save(
        tmp_path, Launch(name="it", argv=["no-such-program"], address="", log=str(tmp_path / "l"), cwd="/")
    )
    with pytest.raises(Unavailable, match=r"it can't be started \(no-such-program: .*No such file"):
        launch.start(tmp_path, "it")
    assert not (tmp_path / "servers" / "it.json").exists()


def test_a_server_that_ignores_sigterm_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    server = _start(tmp_path, STUBBORN, "deaf")
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    assert len(family) == 3
    assert process.end([server], 0.2) == ["it"]
    assert not [member for member in family if member.is_running() and member.status() != "zombie"]


def test_a_stopped_server_is_woken_to_end_by_itself(tmp_path: Path) -> None:
    server = _start(tmp_path, "import time; time.sleep(600)")
    os.kill(server.pid, signal.SIGSTOP)
    assert process.end([server], 10) == []
    assert not process.alive(server)


def test_the_orphans_of_a_dead_server_are_ended(tmp_path: Path) -> None:
    server = _start(tmp_path, LEADER_OF_ORPHANS, "forked")
    orphans = [member for member in _session(server) if member.pid != server.pid]
    assert len(orphans) == 2
    os.kill(server.pid, signal.SIGKILL)
    while process.alive(server):
        time.sleep(0.02)
    assert all(orphan.is_running() for orphan in orphans)
    process.end([server], 0)
    assert not [orphan for orphan in orphans if orphan.is_running() and orphan.status() != "zombie"]


@pytest.mark.parametrize("has_birth", [True, False])
def test_a_stale_pid_that_now_is_someone_elses_is_not_touched(
    bystander: psutil.Process, has_birth: bool
) -> None:
    birth = process.birth(bystander.pid)
    stale = Server(
        name="it", pid=bystander.pid, started=bystander.create_time() - 60, address="", log="",
        birth=f"{birth}0" if has_birth else "",
    )  # fmt: skip
    assert not process.alive(stale)
    assert process.end([stale], 0.1) == []
    assert bystander.is_running()
    assert bystander.status() != psutil.STATUS_ZOMBIE


def test_a_session_of_another_boot_is_not_touched(tmp_path: Path) -> None:
    server = _start(tmp_path, LEADER_OF_ORPHANS, "forked")
    members = [member for member in _session(server) if member.pid != server.pid]
    os.kill(server.pid, signal.SIGKILL)
    asleep = [psutil.STATUS_SLEEPING] * 2
    while psutil.pid_exists(server.pid) or [member.status() for member in members] != asleep:
        time.sleep(0.02)  # a child just born may still run
    before = msgspec.structs.replace(server, birth=f"another-boot/{server.birth.partition('/')[2]}")
    process.end([before], 0)
    assert [member.status() for member in members] == asleep
    process.end([server], 0)


def test_a_stepped_clock_does_not_hide_a_server(tmp_path: Path) -> None:
    server = _start(tmp_path, "import time; time.sleep(600)")
    assert process.alive(msgspec.structs.replace(server, started=server.started - 3600))
    process.end([server], 5)
