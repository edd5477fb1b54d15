"""MongoDB servers of a test's own: killed, stopped and started again while others write to them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tapedeck.embedded import mongod
from tapedeck.store import database
from tests import servers

PATIENCE = 120.0
QUICK = {"electionTimeoutMillis": 4000, "heartbeatIntervalMillis": 200, "heartbeatTimeoutSecs": 2}
Client = MongoClient[dict[str, Any]]


class Mongod:
    """One member of a replica set.

    Members ask for what is new, rather than being sent it: else what is written while one stands still
    waits for it in the kernel, and it is cut off from nothing.
    """

    def __init__(self, folder: Path, name: str, more: Sequence[str] = ()) -> None:
        self.folder, self.name, self.port, self.more = folder, name, servers.free_port(), more
        self.host = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)

    def start(self) -> None:
        """Start it, or start it again on what it left."""
        self._process = subprocess.Popen(
            [
                str(mongod.program()), "--replSet", self.name, "--bind_ip", "127.0.0.1",
                "--port", str(self.port),
                "--dbpath", str(self.folder), "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64",
                "--nounixsocket", "--quiet", "--journalCommitInterval", "500",
                "--setParameter", "diagnosticDataCollectionEnabled=false",
                "--setParameter", "oplogFetcherUsesExhaust=false", *self.more,
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            if self.runs:
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()


class ReplicaSet:
    """So many members, one of them the primary."""

    def __init__(self, folder: Path, members: int, more: Sequence[str] = ()) -> None:
        self.name = f"test{servers.free_port()}"
        self.members = [Mongod(folder / str(i), self.name, more) for i in range(members)]
        self.uri = f"mongodb://{','.join(one.host for one in self.members)}/?replicaSet={self.name}"

    def found(self) -> None:
        """Start all and make them one."""
        for one in self.members:
            one.start()
        config = {
            "_id": self.name, "settings": QUICK,
            "members": [{"_id": i, "host": one.host} for i, one in enumerate(self.members)],
        }  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask(self.members[0], "replSetInitiate", config)
                break
            except PyMongoError:
                assert time.monotonic() < deadline, "the replica set can't be founded"
                time.sleep(0.1)
        self.primary()

    def ask(self, one: Mongod, *command: Any) -> dict[str, Any]:
        """What a member itself answers."""
        with MongoClient[dict[str, Any]](
            one.host, directConnection=True, serverSelectionTimeoutMS=1000
        ) as client:
            return dict(client.admin.command(*command))

    def primary(self) -> Mongod:
        """The member that takes writes, once there is one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for one in self.members:
                try:
                    if one.runs and self.ask(one, "hello").get("isWritablePrimary"):
                        return one
                except PyMongoError:
                    pass
            time.sleep(0.05)
        raise AssertionError("no primary")

    def has_alone(self, one: Mongod) -> bool:
        """Whether a primary holds a write that no majority has."""
        last = self.ask(one, "hello")["lastWrite"]
        return bool(last["opTime"]["ts"] > last["majorityOpTime"]["ts"])

    def end(self) -> None:
        for one in self.members:
            one.kill()
        for key in [key for key in database._clients if key[1] == self.uri]:
            database._clients.pop(key).close()


@contextmanager
def replica_set(folder: Path, members: int, *more: str) -> Iterator[ReplicaSet]:
    """A replica set at work during the block; `more` are arguments of each mongod."""
    found = ReplicaSet(folder, members, more)
    try:
        found.found()
        yield found
    finally:
        found.end()
