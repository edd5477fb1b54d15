"""What settings hand on to the clients of Kafka and MongoDB, and what they may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck.errors import BadInput
from tapedeck.settings import load, load_whole, passthrough

NEVER = [
    "acks", "enable.idempotence", "auto.offset.reset", "plugin.library.paths", "ssl.engine.location",
    "sasl.kerberos.kinit.cmd", "message.timeout.ms", "enable.auto.commit", "group.id", "check.crcs",
]  # fmt: skip


def written(folder: Path, table: str, *lines: str) -> Path:
    (folder / "tapedeck.toml").write_text("\n".join((f"[{table}]", *lines, "")))
    return folder


@pytest.mark.parametrize("name", NEVER)
def test_what_guarantees_and_safety_rest_on_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path, "kafka.client", '"client.rack" = "r1"', f'"{name.upper()}" = "1"')
    with pytest.raises(
        BadInput, match=rf"'{name.upper()}' may not be set, in .*tapedeck\.toml line 3: .*remove it"
    ):
        load({}, folder)


@pytest.mark.parametrize("name", ["w", "journal", "retryWrites", "readPreference", "document_class", "host"])
def test_so_it_is_of_mongodb_by_option_and_by_uri(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=rf"'{name}' may not be set, in environment TAPEDECK_MONGO__URI"):
        load({"TAPEDECK_MONGO__URI": f"mongodb://h:1/?replicaSet=r&{name}=0"}, tmp_path)
    with pytest.raises(BadInput, match=rf"'{name}' may not be set, in .*line 2"):
        load({}, written(tmp_path, "mongo.client", f'{name} = "0"'))


def test_what_tapedeck_sets_itself_may_be_said(tmp_path: Path) -> None:
    written(tmp_path, "kafka.client", 'acks = "all"', '"enable.idempotence" = true')
    uri = "mongodb+srv://cluster.example/?retryWrites=true&w=majority"
    settings = load({"TAPEDECK_MONGO__URI": uri}, tmp_path)
    assert settings.kafka.client == {"acks": "all", "enable.idempotence": "true"}
    assert settings.mongo.uri == uri


def test_tables_of_properties_take_any_value_and_the_environment_names_without_dots(tmp_path: Path) -> None:
    written(tmp_path, "mongo.client", "tls = true", "maxPoolSize = 20")
    settings = load({"TAPEDECK_KAFKA__CLIENT__SASL_PASSWORD": "p"}, tmp_path)
    assert settings.mongo.client == {"tls": "true", "maxPoolSize": "20"}
    assert settings.kafka.client == {"sasl.password": "p"}


def test_a_variable_that_sets_a_whole_table_is_named_for_each_part_of_it(tmp_path: Path) -> None:
    environ = {"TAPEDECK_KAFKA__CLIENT": '{"acks": "1"}'}
    with pytest.raises(BadInput, match="'acks' may not be set, in environment TAPEDECK_KAFKA__CLIENT"):
        load(environ, tmp_path)


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("kafka.client", '"enable.ssl.certificate.verification" = false'),
        ("mongo.client", "tlsInsecure = true"),
        ("mongo", 'uri = "mongodb://h/?tls=true&tlsAllowInvalidCertificates=true"'),
    ],
)
def test_a_certificate_that_nobody_looks_at_is_told_of(tmp_path: Path, table: str, line: str) -> None:
    (note,) = load_whole({}, written(tmp_path, table, line)).notes
    assert "lets anybody pass for the server" in note
    assert "line 2" in note


def test_each_name_in_the_lists_is_written_as_it_is_compared() -> None:
    assert all(name == name.lower() for name in (*passthrough.KAFKA, *passthrough.MONGO))
