"""Settings of a task: Kafka and MongoDB as Airflow's connections say, the rest as `settings.load`.

`tapedeck_kafka` is of the stock type `kafka`: its extra holds `bootstrap.servers` and further librdkafka
properties, which win over `kafka.client` of the settings. `tapedeck_mongo` is of the stock type `mongo`:
host, port, login, password, schema, and in its extra `srv`, `ssl`, `allow_insecure` and any option of a
MongoDB URI, as the stock hook reads them.
"""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import quote_plus, urlencode

from msgspec import structs

from tapedeck import settings as settings_module
from tapedeck.errors import BadInput
from tapedeck.settings import Settings, check_kafka, check_uri

KAFKA = "tapedeck_kafka"
MONGO = "tapedeck_mongo"
_DECIDED_BY_THE_LIBRARY = {"group.id", "enable.auto.commit", "auto.offset.reset"}
"""What the stock form asks for and a reader with a throw-away group decides itself."""


class Connection(Protocol):
    """What is read of an Airflow connection."""

    conn_type: Any
    host: Any
    port: Any
    login: Any
    password: Any
    schema: Any

    @property
    def extra_dejson(self) -> dict[str, Any]:
        """The extra field, decoded."""


def load() -> Settings:
    """The settings in force in a task. Raises BadInput for a connection that is missing or wrong."""
    return with_connections(settings_module.load(), _named(KAFKA), _named(MONGO))


def with_connections(settings: Settings, kafka: Connection, mongo: Connection) -> Settings:
    """The settings with the addresses and credentials of the two connections."""
    properties = kafka_properties(kafka)
    bootstrap = properties.pop("bootstrap.servers")
    check_kafka(properties, f"the Airflow connection {KAFKA}")
    uri = mongo_uri(mongo)
    check_uri(uri, f"the Airflow connection {MONGO}")
    return structs.replace(
        settings,
        kafka=structs.replace(
            settings.kafka, bootstrap=bootstrap, client={**settings.kafka.client, **properties}
        ),
        mongo=structs.replace(settings.mongo, uri=uri),
    )


def kafka_properties(connection: Connection) -> dict[str, str]:
    """librdkafka's properties, as it writes them, of a stock `kafka` connection."""
    _check_type(KAFKA, connection, "kafka")
    extra = {key: value for key, value in connection.extra_dejson.items() if value is not None}
    if not extra.get("bootstrap.servers"):
        raise BadInput(
            f"the Airflow connection {KAFKA} names no bootstrap.servers: add it to its extra, "
            'for example {"bootstrap.servers": "broker-1:9092"}'
        )
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in extra.items()
        if key not in _DECIDED_BY_THE_LIBRARY and not key.endswith("_cb")
    }


def mongo_uri(connection: Connection) -> str:
    """The URI of a stock `mongo` connection, its extra as options."""
    _check_type(MONGO, connection, "mongo")
    if not connection.host:
        raise BadInput(f"the Airflow connection {MONGO} names no host: set it, for example mongo-1")
    options = dict(connection.extra_dejson)
    srv = _is_true(options.pop("srv", False))
    if srv and connection.port:
        raise BadInput(f"the Airflow connection {MONGO} has srv and a port: remove the port")
    secure = _is_true(options.pop("ssl", False)) or _is_true(options.pop("tls", False))
    insecure = _is_true(options.pop("allow_insecure", False))
    if secure:
        options["tls"] = True
        if insecure:
            options["tlsAllowInvalidCertificates"] = True
    who = quote_plus(connection.login) if connection.login else ""
    if connection.login and connection.password:
        who = f"{who}:{quote_plus(connection.password)}"
    place = f"{connection.host}:{connection.port}" if connection.port else connection.host
    query = urlencode(
        {key: str(value).lower() if isinstance(value, bool) else value for key, value in options.items()}
    )
    return (
        f"mongodb{'+srv' if srv else ''}://{who}{'@' if who else ''}{place}/{connection.schema or ''}"
        f"{'?' if query else ''}{query}"
    )


def _named(name: str) -> Connection:
    from airflow.sdk import Connection as AirflowConnection
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

    try:
        found: Connection = AirflowConnection.get(name)
    except (AirflowNotFoundException, AirflowRuntimeError) as e:
        kind = "Apache Kafka" if name == KAFKA else "MongoDB"
        raise BadInput(
            f"Airflow has no connection {name}: add one of the type {kind} under Admin → Connections"
        ) from e
    return found


def _check_type(name: str, connection: Connection, wanted: str) -> None:
    if connection.conn_type != wanted:
        raise BadInput(
            f"the Airflow connection {name} is of the type {connection.conn_type!r}: make it {wanted!r}"
        )


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"
