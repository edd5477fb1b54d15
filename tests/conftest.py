"""Fixtures for all tests: a real Kafka, a real mongod, settings of one's own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tapedeck import endpoints
from tapedeck import settings as settings_module
from tapedeck.embedded import airflow, stack
from tapedeck.embedded.airflow_api import Client
from tapedeck.settings import Kafka, Mongo, Settings, Vendor
from tests import servers

# How long an example takes says how busy the machine is, not whether the promise holds.
hypothesis.settings.register_profile(
    "tapedeck", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tapedeck")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay together on one worker, and so do all that need the whole stack with Airflow.

    Each worker has servers of its own, so tests of two workers share nothing.
    """
    for item in items:
        airflow_too = "airflow_stack" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("airflow" if airflow_too else item.path.name))


@pytest.fixture(scope="session")
def embedded() -> Iterator[Settings]:
    """Settings of the session's own stack; its servers are started by `kafka` and `mongo`."""
    with servers.state_dir() as state:
        yield servers.stack_settings(state)


@pytest.fixture(scope="session")
def kafka(embedded: Settings) -> str:
    """Bootstrap address of a real broker, one for the session; expired data goes within seconds."""
    stack.up(embedded, ["kafka"], print)
    return endpoints.bootstrap(embedded)


@pytest.fixture(scope="session")
def mongo(embedded: Settings) -> str:
    """URI of a real one-node replica set, one for the session."""
    stack.up(embedded, ["mongo"], print)
    return endpoints.mongo_uri(embedded)


@pytest.fixture
def settings(kafka: str, mongo: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings for one test: the session's servers; a state directory, a topic prefix (so an `md.meta`),
    a database and bus ports of its own. What it made is removed afterwards, libraries too: they are
    named by vendor, so no other test may be running."""
    unique = f"t{uuid.uuid4().hex[:8]}"
    vendors = {
        vendor: Vendor(
            bus=f"zmq:tcp://127.0.0.1:{servers.free_port()}",
            symbols=["BTCUSDT", "ETHUSDT"],
        )
        for vendor in ("binance_usdm", "binance_spot")
    }
    yield Settings(
        state_dir=str(tmp_path / "state"),
        kafka=Kafka(bootstrap=kafka, partitions=4, prefix=f"{unique}."),
        mongo=Mongo(uri=mongo, database=f"tapedeck_{unique}"),
        vendors=vendors,
    )
    servers.clear(kafka, mongo, unique)


@pytest.fixture(scope="session")
def airflow_stack(kafka: str, mongo: str) -> Iterator[servers.AirflowStack]:
    """A real Airflow with the project's DAGs, one for the session, on the session's Kafka and mongod.

    Its tasks load `settings`, whose topics, database and state directory are its own.
    """
    with servers.state_dir() as state:
        for name in ("tape", "binance", "files"):
            (state / "history" / name).mkdir(parents=True, exist_ok=True)
        settings_file = state / "tapedeck.toml"
        settings_file.write_text(
            f"""\
state_dir = "{state}"
[kafka]
bootstrap = "{kafka}"
partitions = 4
prefix = "air."
[mongo]
uri = "{mongo}"
database = "tapedeck_airflow"
[airflow]
port = {servers.free_port()}
users = {{vic = "viewer", uma = "user", olga = "op"}}
[jobs]
retry_after = "2s"
[approval]
messages = 1000
duration = "90m"
wait = "240s"
by = ["olga"]
[vendors.binance_usdm]
symbols = ["BTCUSDT", "ETHUSDT"]
[vendors.binance_spot]
symbols = ["BTCUSDT", "ETHUSDT"]
[[vendors.binance_spot.history]]
type = "tape"
at = "{state}/history/tape"
[[vendors.binance_spot.history]]
type = "binance"
at = "{state}/history/binance"
[[vendors.binance_spot.history]]
type = "files"
at = "{state}/history/files"
name = "{{symbol}}-{{day}}.csv"
unit = "ns"
columns = {{ts_event = "time", price = "price", size = "size", seq = "id", prev = "before"}}
"""
        )
        done = servers.tapedeck(
            "up",
            "--timeout",
            "600",
            state=state,
            settings_file=settings_file,
            AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME="0.1",
            AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL="2",
            AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="True",  # hourly runs wait until a test is about them
        )
        assert done.returncode == 0, done.stdout + done.stderr
        environ = {"TAPEDECK_SETTINGS": str(settings_file)}
        in_force = endpoints.resolve(settings_module.load(environ))
        api = Client(in_force.airflow.url, *airflow.login(in_force))
        yield servers.AirflowStack(in_force, settings_file, api)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The recorded markets beside the project; where they are absent the test is skipped."""
    if not servers.SHARED_DATA.is_dir():
        pytest.skip("the recorded markets (../shared/data) are not on this machine")
    return servers.SHARED_DATA
