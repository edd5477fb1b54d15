"""compose.yaml: valid by the Compose specification, whole, and with every knob explained."""

from __future__ import annotations

import importlib.resources
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml

from tapedeck import settings
from tapedeck.airflow.connections import mongo_uri
from tests.compose import COMPOSE, DOCKER, SERVICES, TEXT, VARIABLE, example, filled, profile

ONE_SHOT = {"airflow-init", "mongo-init", "mongo-cluster-init"}


@pytest.fixture(scope="module")
def schema() -> Any:
    """The Compose specification's, as check-jsonschema carries it."""
    file = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    text = json.loads(file.read_text())
    return jsonschema.validators.validator_for(text)(text)


def test_it_is_valid_by_the_specifications_schema(schema: Any) -> None:
    for made in (COMPOSE, *(filled(COMPOSE, profile(name)) for name in ("single", "cluster"))):
        assert [error.message for error in schema.iter_errors(made)] == []
    assert list(schema.iter_errors({**COMPOSE, "services": {"kafka": {"imag": "kafka"}}})) != []


def test_every_variable_is_explained_and_every_explained_one_is_used() -> None:
    used = {found[1] for found in VARIABLE.finditer(TEXT)}
    assert used == set(example()) - {"COMPOSE_PROFILES"}
    missing = {found[1] for found in VARIABLE.finditer(TEXT) if found[2] == "?"}
    assert {key for key, value in example().items() if not value} <= missing, (
        "what is empty must be asked for"
    )
    for found in VARIABLE.finditer(TEXT):
        if found[2] == "-":
            assert example()[found[1]] == found[3], f"{found[1]} has two defaults"


@pytest.mark.parametrize("name", ["single", "cluster"])
def test_each_profile_is_whole(name: str) -> None:
    runs = {key for key, service in SERVICES.items() if name in service["profiles"]}
    assert (len([key for key in runs if key.startswith("kafka")])) == (3 if name == "cluster" else 1)
    assert ("redis" in runs) == (name == "cluster")
    for key in runs:
        for other, how in SERVICES[key].get("depends_on", {}).items():
            assert other in SERVICES
            assert other in runs or how.get("required") is False, (
                f"{key} waits for {other}, which does not run"
            )
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], f"{other} has no health to wait for"


def test_every_service_restarts_is_pinned_and_tells_its_health() -> None:
    for name, service in SERVICES.items():
        assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped"), name
        image, _, tag = filled(service["image"], profile("single")).rpartition(":")
        assert image, f"{name} has no tag"
        assert re.search(r"\d+\.\d+", tag), f"{name} is not pinned"
        if not image.startswith("tapedeck") and name not in ONE_SHOT:
            assert "test" in service["healthcheck"], f"{name} tells nobody how it is"
    named = {
        volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }  # fmt: skip
    assert named == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", ["single", "cluster"])
def test_every_container_of_ours_has_settings_that_load(name: str, tmp_path: Path) -> None:
    known = profile(name)
    image = dict(re.findall(r"(TAPEDECK_\w+)=(\S+)", (DOCKER / "Dockerfile").read_text()))
    ours = [service for service in SERVICES.values() if "build" in service]
    assert len(ours) >= 9
    for service in ours:
        environ = {key: str(value) for key, value in filled(service["environment"], known).items()}
        deck = settings.load({**image, **environ}, tmp_path)
        assert deck.kafka.bootstrap == known["KAFKA_BOOTSTRAP"]
        assert deck.kafka.replication == (3 if name == "cluster" else 1)
        assert (deck.metrics.host, deck.metrics.port) == ("0.0.0.0", 9464)  # noqa: S104
        assert deck.log.format == "json"


@pytest.mark.parametrize("name", ["single", "cluster"])
def test_airflows_connection_leads_where_the_writers_write(name: str) -> None:
    known = profile(name)
    given = {"login": None, "password": None, "schema": None, **json.loads(known["MONGO_CONNECTION"])}
    connection = SimpleNamespace(conn_type="mongo", extra_dejson=given.pop("extra"), **given)
    assert mongo_uri(connection) == known["MONGO_URI"]


def test_prometheus_scrapes_who_runs() -> None:
    jobs = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    [collectors] = [job["static_configs"] for job in jobs if job["job_name"] == "collectors"]
    hosts = [target.split(":") for one in collectors for target in one["targets"]]
    assert {host for host, _ in hosts} == {name for name in SERVICES if name.startswith("collector-")}
    [writers] = [job["dns_sd_configs"] for job in jobs if job["job_name"] == "writers"]
    assert [(one["names"], one["port"]) for one in writers] == [(["writer"], 9464)]
