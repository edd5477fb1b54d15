"""Processes by identity: a pid alone is never trusted, and an end is an end of all that was started."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from tapedeck.endpoints import Server
from tapedeck.errors import Unavailable

_CLOCK_TOLERANCE = 1.0
"""Seconds by which `started` may differ where a record has no `birth`: clocks are slewed."""
_POLL = 0.05


def birth(pid: int) -> str:
    """Boot id and start tick of a process: what no other process ever has together with that pid.

    Unlike the creation time it does not move when the wall clock is stepped. Raises OSError where
    there is no such process.
    """
    stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    return f"{_boot_id()}/{stat.rpartition(')')[2].split()[19]}"


def find(server: Server) -> psutil.Process | None:
    """The server's process if it runs and is the very one that the record means, else None."""
    try:
        process = psutil.Process(server.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if server.birth:
            return process if birth(server.pid) == server.birth else None
        return process if abs(process.create_time() - server.started) <= _CLOCK_TOLERANCE else None
    except (psutil.NoSuchProcess, OSError):
        return None


def alive(server: Server) -> bool:
    """Whether the very process that the record means is running."""
    return find(server) is not None


def end(servers: Sequence[Server], seconds: float, signals: Mapping[str, int] | None = None) -> list[str]:
    """End servers with all that they started; give the names of those that had to be killed.

    Each gets its signal (SIGTERM unless `signals` names another) and all together `seconds` to go;
    then they, their descendants and what is left of their sessions are killed. A record that means
    no running process ends nothing. Raises Unavailable where even SIGKILL does not end one.
    """
    families = {server.name: set(_family(server)) for server in servers}
    for server in servers:
        if leader := find(server):
            _signal(leader, (signals or {}).get(server.name, signal.SIGTERM))
            _signal(leader, signal.SIGCONT)  # a stopped process would never see the first one
    waiting = [server for server in servers if alive(server)]
    _wait_while(lambda: any(map(alive, waiting)), seconds)
    killed = [server.name for server in servers if alive(server)]
    for server in servers:
        _kill(families[server.name] | set(_family(server)), server)
    return killed


def _kill(family: set[psutil.Process], server: Server) -> None:
    for process in family:
        _signal(process, signal.SIGKILL)
    if not _wait_while(lambda: any(map(_runs, family)), 10):
        left = next(process.pid for process in family if _runs(process))
        raise Unavailable(
            f"{server.name} (process {left}) does not end even when killed: "
            f"see `ps -o stat,wchan -p {left}`, then run `tapedeck down` again"
        )


def _family(server: Server) -> Iterator[psutil.Process]:
    """The server's process, its descendants, and whoever is left in the session that it leads.

    The session outlives its leader: a dead scheduler's workers hold its database connections. A
    session's number is not given away while it has members, so with the leader gone, in the same
    boot, its members are ours; a leader of another birth means that our session is gone.
    """
    leader = find(server)
    if leader:
        yield leader
        with contextlib.suppress(psutil.NoSuchProcess):
            yield from leader.children(recursive=True)
    elif psutil.pid_exists(server.pid) and not _is_zombie_of(server):
        return
    if server.birth.partition("/")[0] != _boot_id():
        return
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if pid != server.pid and os.getsid(pid) == server.pid:
                yield psutil.Process(pid)


def _is_zombie_of(server: Server) -> bool:
    with contextlib.suppress(OSError):
        return birth(server.pid) == server.birth
    return False


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)  # psutil looks at the process's birth again before it sends


def _wait_while(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition ceased within so many seconds."""
    end = time.monotonic() + seconds
    while condition():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL)
    return True


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
