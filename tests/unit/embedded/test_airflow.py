"""What Airflow's processes are told: users, secrets, connections, settings."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tapedeck.embedded import airflow
from tapedeck.errors import Unavailable
from tapedeck.settings import Airflow, Kafka, Mongo, Settings

DATABASE = "postgresql+psycopg2://postgres@/airflow?host=/x"


def test_a_password_is_made_up_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(state_dir=str(tmp_path))
    with pytest.raises(Unavailable, match="run `tapedeck up`, or set TAPEDECK_AIRFLOW__PASSWORD"):
        airflow.login(settings)
    airflow.keep_password(settings)
    user, password = airflow.login(settings)
    assert user == "admin"
    assert len(password) >= 16
    airflow.keep_password(settings)
    assert airflow.login(settings) == (user, password)
    assert stat.S_IMODE(airflow.password_file(settings).stat().st_mode) == 0o600


def test_a_password_that_is_set_is_the_one_that_airflow_reads(tmp_path: Path) -> None:
    airflow.keep_password(Settings(state_dir=str(tmp_path)))
    settings = Settings(state_dir=str(tmp_path), airflow=Airflow(user="ada", password="known"))  # noqa: S106
    airflow.keep_password(settings)
    assert airflow.login(settings) == ("ada", "known")
    assert json.loads(airflow.password_file(settings).read_bytes())["ada"] == "known"


def test_secrets_are_made_once(tmp_path: Path) -> None:
    settings = Settings(state_dir=str(tmp_path))
    first, second = (airflow.environment(settings, "http://127.0.0.1:1", DATABASE) for _ in range(2))
    assert first == second
    assert len(first["AIRFLOW__API_AUTH__JWT_SECRET"]) == 64
    assert stat.S_IMODE((tmp_path / "airflow" / "secrets.json").stat().st_mode) == 0o600


def test_the_starters_variables_tune_but_do_not_lead_astray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "16")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "sqlite:////elsewhere.db")
    env = airflow.environment(Settings(state_dir=str(tmp_path)), "http://127.0.0.1:1", DATABASE)
    assert "AIRFLOW__CORE__PARALLELISM" not in env
    assert env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == DATABASE


def test_tasks_load_the_settings_of_whoever_ran_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tapedeck.toml"
    file.touch()
    monkeypatch.setenv("TAPEDECK_SETTINGS", str(file))
    monkeypatch.chdir(tmp_path)
    env = airflow.environment(Settings(state_dir="here"), "http://127.0.0.1:1", DATABASE)
    assert env["TAPEDECK_STATE_DIR"] == str(tmp_path / "here")
    assert env["TAPEDECK_SETTINGS"] == str(file)


def test_kafkas_connection_carries_the_clients_properties(tmp_path: Path) -> None:
    kafka = Kafka(bootstrap="a:1,b:2", client={"security.protocol": "SSL"})
    env = airflow.connections(Settings(state_dir=str(tmp_path), kafka=kafka))
    assert json.loads(env["AIRFLOW_CONN_TAPEDECK_KAFKA"]) == {
        "conn_type": "kafka",
        "extra": {"bootstrap.servers": "a:1,b:2", "group.id": "tapedeck", "security.protocol": "SSL"},
    }
    assert "AIRFLOW_CONN_TAPEDECK_MONGO" not in env


@pytest.mark.parametrize(
    ("uri", "connection"),
    [
        (
            "mongodb://127.0.0.1:27017/?replicaSet=tapedeck",
            {"host": "127.0.0.1", "port": 27017, "schema": "", "extra": {"replicaSet": "tapedeck"}},
        ),
        (
            "mongodb://ada:p%40ss%2B@a:1,b:2/?authSource=admin&tls=true",
            {
                "host": "a:1,b:2",
                "schema": "",
                "login": "ada",
                "password": "p@ss+",
                "extra": {"authSource": "admin", "tls": "true"},
            },
        ),
        ("mongodb+srv://cluster.example/", {"host": "cluster.example", "schema": "", "extra": {"srv": True}}),
    ],
)
def test_mongos_connection_says_what_the_uri_says(
    tmp_path: Path, uri: str, connection: dict[str, object]
) -> None:
    env = airflow.connections(Settings(state_dir=str(tmp_path), mongo=Mongo(uri=uri)))
    told = json.loads(env["AIRFLOW_CONN_TAPEDECK_MONGO"])
    assert told == {"conn_type": "mongo", **connection}
