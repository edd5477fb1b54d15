"""The supervisor: starts again whichever embedded server has died, until `tapedeck down` ends it.

It knows the servers by their records alone, so it looks after those that another `up` started, and
one that is killed itself is replaced by the next `up`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

from tapedeck.embedded import launch, lock, logrotate, process
from tapedeck.endpoints import Server
from tapedeck.errors import Unavailable
from tapedeck.slices import format_time

NAME = "supervisor"
_TICK = 0.5
_LOGS_EVERY = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_STEADY = 60.0
"""Seconds that a server must run before its next death counts as its first."""


def records(state: Path) -> list[Server]:
    """Every embedded server that is on record and should run, the supervisor apart.

    Airflow comes last: it needs the others. A record that can't be read is left out: records are
    written whole, so it is not ours.
    """
    found = []
    for path in sorted((state / "servers").glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Server))
        except (OSError, msgspec.DecodeError):
            continue
    found.sort(key=lambda server: (server.name.startswith("airflow"), server.name))
    return [server for server in found if server.name != NAME]


def on_record(state: Path) -> Server | None:
    """The supervisor's own record, None where there is none that can be read."""
    try:
        return msgspec.json.decode(launch.record_file(state, NAME).read_bytes(), type=Server)
    except (OSError, msgspec.DecodeError):
        return None


def prepare(state: Path) -> launch.Launch:
    """How the supervisor of a state directory is started."""
    return launch.Launch(
        name=NAME,
        argv=[sys.executable, "-P", "-m", "tapedeck.embedded.supervisor", str(state)],
        address="",
        log=str(state / "logs" / "supervisor.log"),
        cwd=str(Path.cwd()),
    )


class _Pauses:
    """How long to wait before a server is started again: doubled at each death, up to a bound."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._pause: dict[str, float] = {}

    def is_due(self, name: str, now: float) -> bool:
        started = self._started.get(name)
        if started is not None and now - started > _STEADY + self._pause[name]:
            del self._started[name], self._pause[name]
            return True
        return started is None or now >= started + self._pause[name]

    def began(self, name: str, now: float) -> float:
        """Note a start; gives the pause that a death right after it would cost."""
        self._pause[name] = min(_LONGEST_PAUSE, 2 * self._pause.get(name, _FIRST_PAUSE / 2))
        self._started[name] = now
        return self._pause[name]


def mend(state: Path, pauses: _Pauses) -> None:
    """Start again each server on record that does not run and whose pause is over."""
    for server in records(state):
        now = time.monotonic()
        if process.alive(server) or not pauses.is_due(server.name, now):
            continue
        pause = pauses.began(server.name, now)
        try:
            process.end([server], 0)  # its orphans hold its ports and its database's locks
            again = launch.start(state, server.name)
        except Unavailable as e:
            launch.write_whole(launch.record_file(state, server.name), msgspec.json.encode(server))
            _say(f"{e}; next try in {pause:.0f} s")
        else:
            _say(f"{server.name} (process {server.pid}) has died and was started again as {again.pid}")


def run(state: Path, me: int) -> None:
    """Look after the servers for as long as the supervisor's record names this process."""
    pauses, looked = _Pauses(), 0.0
    _say(f"looking after {', '.join(s.name for s in records(state)) or 'nothing yet'}")
    while _is_on_record(state, me):
        with lock.tried(state) as free:
            if free and _is_on_record(state, me):
                mend(state, pauses)
        if time.monotonic() - looked > _LOGS_EVERY:
            _bound_logs(state)
            looked = time.monotonic()
        time.sleep(_TICK)
    _say("no longer on record: ending")


def _bound_logs(state: Path) -> None:
    for log in sorted((state / "logs").glob("*.log")):
        try:
            if logrotate.set_aside(log):
                _say(f"{log.name} was set aside as {log.name}.1.gz")
        except OSError as e:  # a full disk: the servers say so themselves
            _say(f"{log.name} could not be set aside ({e.strerror})")


def _is_on_record(state: Path, me: int) -> bool:
    keeper = on_record(state)
    return keeper is not None and keeper.pid == me


def _say(line: str) -> None:
    print(f"{format_time(time.time_ns() // 10**6 * 10**6)} {line}", flush=True)


if __name__ == "__main__":
    import os

    run(Path(sys.argv[1]), os.getpid())
