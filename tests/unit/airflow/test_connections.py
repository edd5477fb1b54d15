"""Airflow's stock connections as settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo.uri_parser import parse_uri

from tapedeck.airflow.connections import kafka_properties, mongo_uri, with_connections
from tapedeck.embedded.airflow import connections as embedded_connections
from tapedeck.errors import BadInput
from tapedeck.settings import Kafka, Mongo, Settings


@dataclass
class Stock:
    """An Airflow connection as its form or its environment variable says it."""

    conn_type: str
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = None
    schema: str | None = None
    extra: Any = None

    @property
    def extra_dejson(self) -> dict[str, Any]:
        return dict(self.extra or {})


KAFKA = Stock("kafka", extra={"bootstrap.servers": "a:1,b:2"})
MONGO = Stock("mongo", host="m", port=27018, extra={"replicaSet": "rs"})


def test_addresses_and_properties_of_connections_win_over_the_settings() -> None:
    stock = Stock(
        "kafka",
        extra={"bootstrap.servers": "a:1", "group.id": "x", "security.protocol": "SASL_SSL",
               "enable.ssl.certificate.verification": False, "socket.timeout.ms": 5000,
               "error_cb": "some.fn"},
    )  # fmt: skip
    base = Settings(kafka=Kafka(bootstrap="old:1", client={"client.rack": "r1", "security.protocol": "SSL"}))
    found = with_connections(base, stock, MONGO)
    assert found.kafka.bootstrap == "a:1"
    assert found.kafka.client == {
        "client.rack": "r1", "security.protocol": "SASL_SSL", "socket.timeout.ms": "5000",
        "enable.ssl.certificate.verification": "false",
    }  # fmt: skip
    assert found.mongo.uri == "mongodb://m:27018/?replicaSet=rs"


def test_a_mongo_connection_with_credentials_and_options_is_a_uri_that_says_the_same() -> None:
    stock = Stock(
        "mongo", host="m", port=1, login="a d", password="p@ss:/?", schema="admin",  # noqa: S106
        extra={"ssl": True, "allow_insecure": "true", "readPreference": "secondary", "retryWrites": False},
    )  # fmt: skip
    found = parse_uri(mongo_uri(stock))
    assert (found["username"], found["password"], found["database"]) == ("a d", "p@ss:/?", "admin")
    assert found["nodelist"] == [("m", 1)]
    options = found["options"]
    assert (options["tls"], options["tlsAllowInvalidCertificates"]) == (True, True)
    assert (options["readPreference"], options["retryWrites"]) == ("secondary", False)


def test_a_seed_list_connection_is_a_srv_uri() -> None:
    stock = Stock("mongo", host="cluster.example.org", login="u", password="p", extra={"srv": True})  # noqa: S106
    assert mongo_uri(stock) == "mongodb+srv://u:p@cluster.example.org/"
    with pytest.raises(BadInput, match="has srv and a port"):
        mongo_uri(Stock("mongo", host="c", port=1, extra={"srv": True}))


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://127.0.0.1:27017/?replicaSet=tapedeck",
        "mongodb://u:p%40ss@a:1,b:2/admin?replicaSet=rs&tls=true",
        "mongodb+srv://u:p@cluster.example.org/?retryWrites=true",
    ],
)
def test_what_the_embedded_airflow_is_given_comes_back_as_the_same_uri(uri: str) -> None:
    settings = Settings(kafka=Kafka(bootstrap="a:1"), mongo=Mongo(uri=uri), state_dir="/nonexistent")
    stock = Stock(**json.loads(embedded_connections(settings)["AIRFLOW_CONN_TAPEDECK_MONGO"]))
    again = mongo_uri(stock)
    if "+srv" in uri:
        assert again == uri
    else:
        assert parse_uri(again) == parse_uri(uri)


@pytest.mark.parametrize(
    ("stock", "sentence"),
    [
        (Stock("kafka"), "names no bootstrap.servers"),
        (Stock("http", extra={"bootstrap.servers": "a"}), "is of the type 'http': make it 'kafka'"),
    ],
)
def test_a_kafka_connection_that_says_nothing_is_one_sentence(stock: Stock, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        kafka_properties(stock)


def test_a_mongo_connection_without_a_host_or_of_another_type_is_one_sentence() -> None:
    with pytest.raises(BadInput, match="names no host"):
        mongo_uri(Stock("mongo"))
    with pytest.raises(BadInput, match="make it 'mongo'"):
        mongo_uri(Stock("mongodb+srv", host="m"))
