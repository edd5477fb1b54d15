"""Start a server so that it outlives its starter and is on record before its first instruction.

The launcher forks; the child leads a session of its own, writes the server's record and only then
becomes the server. So wherever the starter is killed, there is no server that `tapedeck down` does
not know. How it was started is kept beside the record, for the supervisor to start it again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

from tapedeck.embedded import lock, process
from tapedeck.endpoints import Server
from tapedeck.errors import Unavailable


class Launch(Struct, frozen=True, kw_only=True):
    """How a server is started and ended. `env` is added to the starter's environment."""

    name: str
    argv: list[str]
    address: str
    log: str
    cwd: str
    env: dict[str, str] = {}
    user: str = ""
    """The system user to run as; empty: whoever starts it."""
    stop: int = int(signal.SIGTERM)
    """The signal that asks it to end."""


def launch_file(state: Path, name: str) -> Path:
    """Where a server's launch is kept (mode 600: its environment holds secrets)."""
    return state / "launch" / f"{name}.json"


def record_file(state: Path, name: str) -> Path:
    """Where a server's record is kept; the same place as `endpoints.server_file`."""
    return state / "servers" / f"{name}.json"


def save(state: Path, launch: Launch) -> None:
    """Keep a launch for `start`."""
    write_whole(launch_file(state, launch.name), msgspec.json.encode(launch))


def load(state: Path, name: str) -> Launch | None:
    """The launch that was kept under that name, or None."""
    try:
        return msgspec.json.decode(launch_file(state, name).read_bytes(), type=Launch)
    except (OSError, msgspec.DecodeError):
        return None


def start(state: Path, name: str) -> Server:
    """Start the server whose launch was saved and give its record.

    Returns once the program has been entered, not when it is ready. Raises Unavailable with the
    reason where it can't be. The launcher shares the starter's lock: if the starter is killed now,
    the lock is let go of only when the server is on record, so no `down` misses it.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tapedeck.embedded.launch", str(state), name],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        pass_fds=lock.descriptors(),
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]
        raise Unavailable(f"{name} can't be started ({reason}): see `tapedeck doctor`")
    return msgspec.json.decode(record_file(state, name).read_bytes(), type=Server)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all, mode 600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _open_log(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def _become(state: Path, launch: Launch, log: int) -> None:
    """Turn this process into the server; returns never, raises OSError or KeyError."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    pid = os.getpid()
    record = Server(
        name=launch.name, pid=pid, started=psutil.Process(pid).create_time(), address=launch.address,
        log=launch.log, birth=process.birth(pid),
    )  # fmt: skip
    write_whole(record_file(state, launch.name), msgspec.json.encode(record))
    for shared in map(int, os.listdir("/proc/self/fd")):
        if shared > 2:
            with contextlib.suppress(OSError):  # the listing's own
                os.set_inheritable(shared, False)
    os.chdir(launch.cwd)
    if launch.user:
        import pwd

        entry = pwd.getpwnam(launch.user)
        os.initgroups(launch.user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    os.execvpe(launch.argv[0], launch.argv, {**os.environ, **launch.env})  # noqa: S606 (no shell is meant)


def main(state: Path, name: str) -> int:
    """Fork the server off; exit status 1 and one line on stderr where it can't be entered."""
    launch = load(state, name)
    if launch is None:
        print(f"{launch_file(state, name)} can't be read", file=sys.stderr)
        return 1
    log = _open_log(Path(launch.log))
    reader, writer = os.pipe()  # closed by exec: end of file without a word means success
    if os.fork() == 0:
        try:
            os.close(reader)
            _become(state, launch, log)
        except (OSError, KeyError) as e:
            record_file(state, name).unlink(missing_ok=True)
            os.write(writer, f"{launch.argv[0]}: {e}".encode())
        finally:
            os._exit(127)
    os.close(writer)
    with open(reader, encoding="utf-8") as answer:
        reason = answer.read()
    if reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
