"""Real servers for tests: one stack a session. What a killed session leaves, the next one clears."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka.admin import AdminClient
from pymongo import MongoClient

from tapedeck.embedded import airflow, process, stack
from tapedeck.embedded.airflow_api import Client
from tapedeck.embedded.ports import is_free
from tapedeck.settings import Kafka, Mongo, Settings

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
PROGRAM = Path(sys.executable).with_name("tapedeck")
QUICK_EXPIRY = {
    "log.retention.check.interval.ms": "1000",
    "log.initial.task.delay.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
    "group.min.session.timeout.ms": "1000",  # a writer that is killed is soon given up
}
_HOME = Path(tempfile.gettempdir()) / f"tapedeck-tests-{os.getuid()}"


class AirflowStack(msgspec.Struct, frozen=True):
    """A running Airflow: the settings that its tasks load, its REST API as admin, and its state."""

    settings: Settings
    settings_file: Path
    api: Client

    def as_user(self, user: str) -> Client:
        """Its REST API as another of its users."""
        return Client(self.settings.airflow.url, *airflow.login(self.settings, user))


def free_port(count: int = 1) -> int:
    """The first of so many free ports in a row, below those that the system gives to clients."""
    for _ in range(1000):
        first = random.randint(15_000, 30_000)
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise AssertionError("no free ports")


def stack_settings(state: Path) -> Settings:
    """Settings of an embedded stack of its own, on free ports, whose Kafka deletes within seconds."""
    return Settings(
        state_dir=str(state),
        kafka=Kafka(port=free_port(2), broker=QUICK_EXPIRY),
        mongo=Mongo(port=free_port()),
    )


@contextmanager
def state_dir() -> Iterator[Path]:
    """A state directory for servers; whatever runs in it is ended afterwards, and it is removed.

    A session that was killed leaves its servers running: the next one finds and ends them.
    """
    _HOME.mkdir(mode=0o755, exist_ok=True)
    for left in _HOME.iterdir():
        _clear_if_orphaned(left)
    place = Path(tempfile.mkdtemp(dir=_HOME))
    owner = {"pid": os.getpid(), "birth": process.birth(os.getpid())}
    (place / "owner").write_bytes(msgspec.json.encode(owner))
    try:
        yield place / "state"
    finally:
        _clear(place)


def _clear_if_orphaned(place: Path) -> None:
    try:
        owner = msgspec.json.decode((place / "owner").read_bytes(), type=dict[str, str | int])
    except OSError:
        return  # just being made
    try:
        if process.birth(int(owner["pid"])) == owner["birth"]:
            return
    except OSError:
        pass
    _clear(place)


def _clear(place: Path) -> None:
    stack.down(Settings(state_dir=str(place / "state")), lambda _: None, seconds=3)
    shutil.rmtree(place, ignore_errors=True)


def clear(kafka: str, mongo: str, name: str) -> None:
    """Remove the topics and the database of that name, and all libraries: they are named by vendor."""
    admin = AdminClient({"bootstrap.servers": kafka})
    if topics := [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(f"{name}.")]:
        for deleted in admin.delete_topics(topics).values():
            deleted.result(10)
    with MongoClient[dict[str, Any]](mongo) as client:
        for database in client.list_database_names():
            if database.startswith("arctic") or database == f"tapedeck_{name}":
                client.drop_database(database)


def tapedeck(
    *words: str, state: Path, settings_file: Path | None = None, timeout: float = 660, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would, with that state directory; `variables` join the environment."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TAPEDECK_")}
    environ |= {"TAPEDECK_STATE_DIR": str(state), **variables}
    if settings_file:
        environ["TAPEDECK_SETTINGS"] = str(settings_file)
    return subprocess.run(
        [str(PROGRAM), *words],
        env=environ, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
