"""Two that change one state directory never overlap, wherever one of them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tapedeck import endpoints
from tapedeck.embedded import launch, lock, process
from tapedeck.embedded.launch import Launch
from tapedeck.errors import Unavailable
from tapedeck.settings import Settings

STARTER = """
import sys
from pathlib import Path
from tapedeck.embedded import launch, lock
with lock.held(Path(sys.argv[1]), print, 5):
    launch.start(Path(sys.argv[1]), "it")
"""


def test_a_held_lock_is_waited_for_and_then_named(tmp_path: Path) -> None:
    said: list[str] = []
    second = lock.held(tmp_path, said.append, 0.2)
    with lock.held(tmp_path, said.append, 1):
        with lock.tried(tmp_path) as free:
            assert not free
        with pytest.raises(Unavailable, match="another tapedeck up or down holds"), second:
            pass
    assert len(said) == 1
    assert "waiting" in said[0]
    with lock.tried(tmp_path) as free:
        assert free


def test_an_unwritable_state_directory_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    taken = lock.held(tmp_path / "file" / "state", print, 1)
    sentence = r"file/state can't be written \(Not a directory\): .*STATE_DIR"
    with pytest.raises(Unavailable, match=sentence), taken:
        pass


def test_a_starter_killed_in_the_middle_keeps_the_lock_until_its_server_is_on_record(tmp_path: Path) -> None:
    log = tmp_path / "log"
    os.mkfifo(log)  # the launcher stands still here until someone reads
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    launch.save(tmp_path, Launch(name="it", argv=argv, address="", log=str(log), cwd="/"))
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)])
    while not _children(starter.pid):
        time.sleep(0.02)
    time.sleep(0.2)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    with lock.tried(tmp_path) as free:
        assert not free, "a `down` would now find nothing to end, and the server would come up after it"
    with open(os.open(log, os.O_RDONLY | os.O_NONBLOCK)), lock.held(tmp_path, lambda _: None, 20):
        server = endpoints.read_server(Settings(state_dir=str(tmp_path)), "it")
        assert server is not None
        assert process.alive(server)
        process.end([server], 5)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
