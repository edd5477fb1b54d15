"""Addresses in force: what settings name, else what the embedded servers wrote when they came up."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct, structs

from tapedeck.errors import Unavailable
from tapedeck.settings import Settings


class Server(Struct, frozen=True, kw_only=True):
    """One embedded server's record, `<state_dir>/servers/<name>.json`.

    `started` is the process's creation time as the system tells it, so that a stale pid is never
    taken for the server; `birth`, where known, says the same exactly (`embedded.process.birth`).
    """

    name: str
    pid: int
    started: float
    address: str
    log: str
    birth: str = ""


def server_file(settings: Settings, name: str) -> Path:
    """Where the embedded server of that name (kafka, mongod, airflow) keeps its record."""
    return settings.state / "servers" / f"{name}.json"


def read_server(settings: Settings, name: str) -> Server | None:
    """The record of an embedded server, or None where there is none."""
    try:
        return msgspec.json.decode(server_file(settings, name).read_bytes(), type=Server)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (msgspec.DecodeError, OSError) as e:
        raise Unavailable(
            f"{server_file(settings, name)} can't be read ({e}): run `tapedeck down`, then `tapedeck up`"
        ) from e


def nth(name: str, node: int) -> str:
    """The record's name of one of several embedded servers, by its number from 1: kafka, kafka-2, …"""
    return name if node == 1 else f"{name}-{node}"


def embedded(settings: Settings) -> tuple[str, str]:
    """Kafka's bootstrap servers and MongoDB's URI, of the embedded servers that are on record."""
    brokers = _addresses(settings, "kafka", settings.kafka.nodes)
    members = [uri.removeprefix("mongodb://") for uri in _addresses(settings, "mongod", settings.mongo.nodes)]
    hosts = ",".join(member.partition("/")[0] for member in members)
    return ",".join(brokers), f"mongodb://{hosts}/{members[0].partition('/')[2]}" if members else ""


def _addresses(settings: Settings, name: str, count: int) -> list[str]:
    found = (read_server(settings, nth(name, node)) for node in range(1, count + 1))
    return [server.address for server in found if server]


def resolve(settings: Settings) -> Settings:
    """Settings whose Kafka, MongoDB and Airflow addresses are filled in as far as they are known."""
    bootstrap, uri = embedded(settings)
    kafka, mongo, airflow = settings.kafka, settings.mongo, settings.airflow
    if not kafka.bootstrap and bootstrap:
        kafka = structs.replace(kafka, bootstrap=bootstrap)
    if not mongo.uri and uri:
        mongo = structs.replace(mongo, uri=uri)
    if not airflow.url and (server := read_server(settings, "airflow")):
        airflow = structs.replace(airflow, url=server.address)
    return structs.replace(settings, kafka=kafka, mongo=mongo, airflow=airflow)


def bootstrap(settings: Settings) -> str:
    """Kafka's bootstrap servers. Raises Unavailable where neither settings nor `up` name any."""
    if address := settings.kafka.bootstrap or resolve(settings).kafka.bootstrap:
        return address
    raise Unavailable(_nowhere("Kafka", "TAPEDECK_KAFKA__BOOTSTRAP", settings))


def mongo_uri(settings: Settings) -> str:
    """MongoDB's URI. Raises Unavailable where neither settings nor `up` name any."""
    if address := settings.mongo.uri or resolve(settings).mongo.uri:
        return address
    raise Unavailable(_nowhere("MongoDB", "TAPEDECK_MONGO__URI", settings))


def _nowhere(what: str, variable: str, settings: Settings) -> str:
    return f"no {what} is set and none is embedded in {settings.state}: run `tapedeck up`, or set {variable}"
