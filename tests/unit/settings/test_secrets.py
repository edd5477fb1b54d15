"""A secret is read from where it stands, and shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck.errors import BadInput
from tapedeck.settings import (
    Airflow,
    Kafka,
    Mongo,
    Notify,
    Settings,
    TapeHistory,
    Vendor,
    load,
    load_with_origins,
    shown_address,
)

PLANTED = "hunter2"
URI = f"mongodb://ada:{PLANTED}@m-1:27017,m-2:27017/?replicaSet=r&tlsCertificateKeyFilePassword={PLANTED}"
FULL = Settings(
    kafka=Kafka(
        client={"sasl.username": "ada", "sasl.password": PLANTED, "ssl.key.pem": PLANTED, "acks": "all"},
        broker={"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f'password="{PLANTED}"'},
    ),
    mongo=Mongo(uri=URI, client={"tlsCertificateKeyFilePassword": PLANTED, "tlsCAFile": "/ca.pem"}),
    airflow=Airflow(password=PLANTED),
    notify=Notify(webhook=f"https://hooks.example/{PLANTED}"),
    vendors={
        "a": Vendor(
            bus=f"nats:nats://ada:{PLANTED}@host:4222/ticks",
            history=[TapeHistory(at=f"https://ada:{PLANTED}@host/tape?token={PLANTED}")],
        )
    },
)


def test_no_secret_is_in_the_text_of_settings_or_of_a_table_of_them() -> None:
    tables = [FULL, FULL.kafka, FULL.mongo, FULL.airflow, FULL.notify, FULL.vendors, FULL.vendor("a")]
    for text in (*map(repr, tables), *map(str, tables), f"{FULL!s:>10}", f"{FULL}"):
        assert PLANTED not in text
    assert "'sasl.username': 'ada'" in repr(FULL)
    assert "'tlsCAFile': '/ca.pem'" in repr(FULL)
    assert "m-1:27017,m-2:27017" in repr(FULL)


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        (URI, "mongodb://********@m-1:27017,m-2:27017/?replicaSet=r&tlsCertificateKeyFilePassword=********"),
        ("mongodb://m:1/?replicaSet=r", "mongodb://m:1/?replicaSet=r"),
        ("mongodb+srv://u:p@x@cluster.example/", "mongodb+srv://********@cluster.example/"),
        ("nats:nats://u:p/q@h:4222/ticks", "nats:nats://********@h:4222/ticks"),
        ("nats:nats://h:4222/t?credentials=/a.creds", "nats:nats://h:4222/t?credentials=/a.creds"),
        ("websocket:wss://h/stream?streams=btcusdt@trade", "websocket:wss://h/stream?streams=btcusdt@trade"),
        ("wss://h/x?token=t&symbol=A", "wss://h/x?token=********&symbol=A"),
        ("mongodb://[::1]:27017/?replicaSet=a", "mongodb://[::1]:27017/?replicaSet=a"),
        ("127.0.0.1:9092", "127.0.0.1:9092"),
    ],
)
def test_an_address_is_shown_without_who_logs_in(address: str, seen: str) -> None:
    assert shown_address(address) == seen


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "kafka").write_text(f"{PLANTED}\n")
    (tmp_path / "uri").write_text("mongodb://u:p@h:1/\n")
    (tmp_path / "tapedeck.toml").write_text(
        f'[kafka.client]\n"sasl.password" = "file:{tmp_path}/kafka"\n"ssl.ca.location" = "file:/not/read"\n'
    )
    environ = {"TAPEDECK_MONGO__URI": f"file:{tmp_path}/uri", "TAPEDECK_VENDORS__A__BUS": "websocket"}
    settings, origins = load_with_origins(environ, tmp_path)
    assert settings.kafka.client == {"sasl.password": PLANTED, "ssl.ca.location": "file:/not/read"}
    assert settings.mongo.uri == "mongodb://u:p@h:1/"
    assert PLANTED not in repr(origins)
    assert {o.name: o.source for o in origins}["mongo.uri"] == "environment TAPEDECK_MONGO__URI"


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), ("\n", "is empty"), (b"\xff", "no text")]
)
def test_a_secrets_file_that_has_none_is_named(tmp_path: Path, content: str | bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "tapedeck.toml").write_text(f'\n[airflow]\npassword = "file:{tmp_path}/x"\n')
    with pytest.raises(BadInput, match=rf"airflow\.password names the file .*{why}.*tapedeck\.toml line 3"):
        load({}, tmp_path)
