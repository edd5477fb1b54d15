"""An embedded Airflow: its four processes, one admin, and the connections that tapedeck's DAGs use."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from tapedeck import endpoints
from tapedeck import settings as settings_module
from tapedeck.embedded import airflow_api, postgres
from tapedeck.embedded.launch import Launch, write_whole
from tapedeck.embedded.ports import Ports
from tapedeck.endpoints import Server
from tapedeck.errors import Unavailable
from tapedeck.settings import Settings

PROJECT = Path(__file__).resolve().parents[3]
"""Where `dags/` and `plugins/` are."""
POOL = "tapedeck"
API = "airflow"
"""The record's name of the API server; its address is Airflow's."""
COMPONENTS = {
    "airflow-scheduler": "scheduler",
    "airflow-dag-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}
"""The other three processes, and what Airflow's health page calls each."""


def login(settings: Settings, user: str = "") -> tuple[str, str]:
    """A user and password, the admin's by default: those that are set, else what `up` made up and kept.

    Raises Unavailable where there is neither.
    """
    kept = _read_table(password_file(settings))
    user = user or settings.airflow.user
    password = settings.airflow.password if user == settings.airflow.user else ""
    password = password or kept.get(user, "")
    if not password:
        raise Unavailable(
            f"no password of {user!r} for Airflow is known: "
            "run `tapedeck up`, or set TAPEDECK_AIRFLOW__PASSWORD"
        )
    return user, password


def keep_password(settings: Settings) -> None:
    """Put the users' passwords where Airflow reads them, made up where none is set and none was kept."""
    path = password_file(settings)
    kept = _read_table(path)
    made = {user: kept.get(user) or secrets.token_urlsafe(12) for user in _users(settings)}
    if settings.airflow.password:
        made[settings.airflow.user] = settings.airflow.password
    if {**kept, **made} != kept:
        _keep(path, {**kept, **made})


def _users(settings: Settings) -> dict[str, str]:
    """Roles by user."""
    return {**settings.airflow.users, settings.airflow.user: "admin"}


def password_file(settings: Settings) -> Path:
    """Where Airflow reads its users' passwords from, mode 600."""
    return settings.state / "airflow" / "passwords.json"


def migrate(settings: Settings, database: str, seconds: float) -> bool:
    """Bring Airflow's database to this Airflow's version; whether there was anything to do.

    What was done is noted inside the database's folder, so it is done once and again for a new
    database. Raises Unavailable, naming the log, where it fails or takes longer than `seconds`.
    """
    done = postgres.data(settings) / f"airflow-{version('apache-airflow')}"
    if done.exists():
        return False
    log = settings.state / "logs" / "airflow-migrate.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        try:
            code = subprocess.run(
                [*_command("db"), "migrate"], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, **environment(settings, "", database)},
                timeout=max(1.0, seconds), check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired as e:
            raise Unavailable(
                f"Airflow's database was not ready in time: see {log}, then run `tapedeck up` again"
            ) from e
    if code:
        raise Unavailable(f"Airflow's database could not be made: the reason is at the end of {log}")
    done.touch()
    return True


def preparer(name: str, database: str) -> Callable[[Settings, Ports], Launch]:
    """What prepares the process of that name, to be started on that database."""

    def prepare(settings: Settings, ports: Ports) -> Launch:
        if name == API:
            port = ports.choose(API, settings.airflow.port)
            url = f"http://127.0.0.1:{port}"
            argv = _command("api-server")
        else:
            url = endpoints.resolve(settings).airflow.url
            argv = _command(name.removeprefix("airflow-"))
            if name != "airflow-dag-processor":
                argv.append(
                    "--skip-serve-logs"
                )  # they would listen on every interface; logs are read as files
        return Launch(
            name=name,
            argv=argv,
            address=url,
            log=str(settings.state / "logs" / f"{name}.log"),
            cwd=str(Path.cwd()),
            env=environment(settings, url, database),
        )

    return prepare


def is_ready(server: Server) -> bool:
    """Whether the process works: the API answers people and tasks, or tells of a heartbeat since the
    process began."""
    try:
        health = airflow_api.health(server.address)
    except Unavailable:
        return False
    if server.name == API:
        is_healthy = health.get("metadatabase", {}).get("status") == "healthy"
        return is_healthy and airflow_api.takes_tasks(server.address)
    component = COMPONENTS[server.name]
    told = health.get(component) or {}
    beat = told.get(f"latest_{component}_heartbeat")
    return (
        told.get("status") == "healthy"
        and beat is not None
        and datetime.fromisoformat(beat).timestamp() >= server.started
    )


def ensure_pool(settings: Settings, url: str) -> None:
    """Make the pool that bounds how many tasks work on the log at once; one that exists stays as it is."""
    client = airflow_api.Client(url, *login(settings))
    body = {"name": POOL, "slots": settings.airflow.slots, "description": "Tasks that read or write the tape"}
    client.call("POST", "/api/v2/pools", body, allow=(409,))


def environment(settings: Settings, url: str, database: str) -> dict[str, str]:
    """What Airflow's processes get in addition to their starter's environment.

    `AIRFLOW__…` variables of the starter win where they tune, not where they say who talks to whom.
    """
    home = settings.state / "airflow"
    keys = _secrets(home / "secrets.json")
    tuning = {
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "CORE__PARALLELISM": str(settings.airflow.slots + 2),
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "API__WORKERS": "1",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",  # parsing costs a second of CPU a file
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "WORKERS__EXECUTION_API_RETRIES": "10",
        "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    fixed = {
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{u}:{r}" for u, r in _users(settings).items()),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file(settings)),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__FERNET_KEY": keys["fernet"],
        "DATABASE__SQL_ALCHEMY_CONN": database,
        "API__HOST": "127.0.0.1",
        "API__PORT": str(urlsplit(url).port or settings.airflow.port),
        "API__BASE_URL": url,
        "API__SECRET_KEY": keys["session"],
        "API_AUTH__JWT_SECRET": keys["jwt"],
    }
    env = {f"AIRFLOW__{key}": value for key, value in tuning.items() if f"AIRFLOW__{key}" not in os.environ}
    env |= {f"AIRFLOW__{key}": value for key, value in fixed.items()}
    env |= {"AIRFLOW_HOME": str(home), **_own_settings(settings), **connections(settings)}
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [os.environ.get(name, ""), "127.0.0.1", "localhost"]))
    return env


def connections(settings: Settings) -> dict[str, str]:
    """Airflow connections of the stock types: `tapedeck_kafka` and `tapedeck_mongo`, as far as known."""
    known = endpoints.resolve(settings)
    env = {}
    if known.kafka.bootstrap:
        extra = {"bootstrap.servers": known.kafka.bootstrap, "group.id": "tapedeck", **known.kafka.client}
        env["AIRFLOW_CONN_TAPEDECK_KAFKA"] = json.dumps({"conn_type": "kafka", "extra": extra})
    if known.mongo.uri:
        env["AIRFLOW_CONN_TAPEDECK_MONGO"] = json.dumps(_mongo_connection(known.mongo.uri))
    return env


def _mongo_connection(uri: str) -> dict[str, object]:
    """A MongoDB URI as the stock `mongo` connection, whose extra becomes the client's options."""
    parts = urlsplit(uri)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    host, _, port = hosts.rpartition(":")
    is_one = "," not in hosts and port.isdigit()
    extra: dict[str, object] = dict(parse_qsl(parts.query))
    if parts.scheme == "mongodb+srv":
        extra["srv"] = True
    connection: dict[str, object] = {
        "conn_type": "mongo",
        "host": host if is_one else hosts,
        "schema": parts.path.strip("/"),
        "extra": extra,
    }
    if is_one:
        connection["port"] = int(port)
    if login:
        connection |= {"login": unquote(user), "password": unquote(password)}
    return connection


def _own_settings(settings: Settings) -> dict[str, str]:
    """The variables by which tasks load the settings of whoever ran `up`, from whatever folder."""
    env = {"TAPEDECK_STATE_DIR": str(settings.state), "TAPEDECK_CACHE_DIR": str(settings.cache)}
    if path := settings_module.file_in_force():
        env["TAPEDECK_SETTINGS"] = str(path.absolute())
    return env


def _command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "airflow", *words]


def _secrets(path: Path) -> dict[str, str]:
    """Keys that sign and encrypt, made once."""
    kept = _read_table(path)
    if not kept:
        kept = {
            "jwt": secrets.token_hex(32),
            "session": secrets.token_hex(32),
            "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        }
        _keep(path, kept)
    return kept


def _read_table(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return {}
    except OSError as e:
        raise Unavailable(f"{path} can't be read ({e.strerror}): check its permissions") from e


def _keep(path: Path, table: dict[str, str]) -> None:
    try:
        write_whole(path, msgspec.json.encode(table))
    except OSError as e:
        raise Unavailable(f"{path} can't be written ({e.strerror}): make its folder writable") from e
