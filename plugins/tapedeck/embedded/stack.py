"""The embedded servers as one: up, with readiness and a deadline, and down, with nothing left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct

from tapedeck import endpoints
from tapedeck.embedded import airflow, kafka, launch, live, lock, mongod, postgres, process, supervisor
from tapedeck.embedded.launch import Launch
from tapedeck.embedded.ports import Ports
from tapedeck.endpoints import Server
from tapedeck.errors import BadInput, Unavailable
from tapedeck.settings import Settings, shown_address
from tapedeck.store import migrate

PARTS = ("kafka", "mongo", "airflow")
DEADLINE = 300.0
_STARTS = 3
"""How often a server is started whose port is lost to another process between choice and start."""
Say = Callable[[str], None]


class Embedded(Struct, frozen=True):
    """A server that `up` can start: its record's name, its name for people, how it starts, when ready."""

    name: str
    title: str
    prepare: Callable[[Settings, Ports], Launch]
    is_ready: Callable[[Server], bool]
    shows_address: bool = True


POSTGRES = Embedded(
    "postgres", "PostgreSQL", postgres.prepare, lambda server: postgres.is_ready(server.address), False
)


def brokers(settings: Settings) -> list[Embedded]:
    """The embedded Kafka: one broker, or three."""
    count = settings.kafka.nodes
    return [
        Embedded(
            kafka.name_of(node), "Kafka" if count == 1 else f"Kafka {node} of {count}",
            partial(kafka.prepare, node=node), lambda server: kafka.is_ready(server.address, nodes=count),
        )
        for node in range(1, count + 1)
    ]  # fmt: skip


def members(settings: Settings) -> list[Embedded]:
    """The embedded MongoDB: a replica set of one member, or of three, ready as a whole."""
    count = settings.mongo.nodes
    return [
        Embedded(
            mongod.name_of(node), "MongoDB" if count == 1 else f"MongoDB {node} of {count}",
            partial(mongod.prepare, node=node),
            lambda server: mongod.is_ready(endpoints.embedded(settings)[1]),
        )
        for node in range(1, count + 1)
    ]  # fmt: skip


def check_parts(parts: Sequence[str]) -> list[str]:
    """The parts in their order of start. Raises BadInput for a name that is none."""
    for part in parts:
        if part not in PARTS:
            raise BadInput(f"there is no embedded part {part!r}: the parts are {', '.join(PARTS)}")
    return [part for part in PARTS if part in parts]


def up(settings: Settings, parts: Sequence[str], say: Say, seconds: float = DEADLINE) -> None:
    """Start the parts that settings do not point elsewhere and wait until each is ready.

    What already runs is left alone. Raises Unavailable, naming the log file, for a server that
    ends by itself or is late; what is late is left to go on starting, and run again waits on.
    """
    end = time.monotonic() + seconds
    with lock.held(settings.state, say, seconds):
        try:
            _start_parts(settings, check_parts(parts), say, end)
        finally:
            if supervisor.records(settings.state):
                _supervise(settings.state)


def down(settings: Settings, say: Say, seconds: float = 20.0) -> list[str]:
    """End the live processes and servers that are on record, the supervisor first; give their names.

    Each group gets `seconds` after SIGTERM before it is killed with all that it started. Only
    processes whose birth is the recorded one are touched. State stays.
    """
    state = settings.state
    if not (state / "servers").is_dir() and not live.records(settings):
        return []
    ended: list[str] = []
    with lock.held(state, say, 300):
        if keeper := supervisor.on_record(state):
            process.end([keeper], 5)
            launch.record_file(state, supervisor.NAME).unlink(missing_ok=True)
        ended += _end(live.records(settings), state, say, seconds)
        live.forget(settings)
        servers = supervisor.records(state)
        for names in _ORDER_OF_END:
            group = [server for server in servers if server.name in names]
            ended += _end(group, state, say, seconds)
        rest = [server for server in servers if not any(server.name in names for names in _ORDER_OF_END)]
        ended += _end(rest, state, say, seconds)
        for path in (state / "servers").glob("*.json"):
            path.unlink(missing_ok=True)
    return ended


_ORDER_OF_END = (
    ("airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"),  # tasks that end need the API
    ("airflow",),
    ("postgres",),
    tuple(endpoints.nth(name, node) for name in ("kafka", "mongod") for node in (1, 2, 3)),
)
"""Who needs another is ended before it."""


def _end(servers: Sequence[Server], state: Path, say: Say, seconds: float) -> list[str]:
    running = [server for server in servers if process.alive(server)]
    if running:
        say(f"ending {', '.join(server.name for server in running)}")
    signals = {s.name: kept.stop for s in servers if (kept := launch.load(state, s.name))}
    for name in process.end(servers, seconds, signals):
        say(f"{name} did not end within {seconds:.0f} s and was killed")
    return [server.name for server in running]


def _start_parts(settings: Settings, parts: Sequence[str], say: Say, end: float) -> None:
    ports = Ports(settings.state)
    first: list[Embedded] = []
    for part, title, servers, elsewhere in (
        ("kafka", "Kafka", brokers(settings), settings.kafka.bootstrap),
        ("mongo", "MongoDB", members(settings), settings.mongo.uri),
        ("airflow", "Airflow", [POSTGRES], settings.airflow.url),
    ):
        if part in parts and elsewhere:
            say(f"{title}: not started, settings name {shown_address(elsewhere)}")
        elif part in parts:
            first += servers
    start_all(settings, first, ports, say, end)
    if "mongo" in parts and not settings.mongo.uri:
        for line in migrate.migrate(endpoints.resolve(settings)):
            say(f"MongoDB: {line}")
    if POSTGRES in first:
        _start_airflow(settings, ports, say, end)


def _start_airflow(settings: Settings, ports: Ports, say: Say, end: float) -> None:
    """Airflow's four processes, once Kafka, MongoDB and PostgreSQL have their addresses."""
    database = endpoints.read_server(settings, POSTGRES.name)
    if database is None:
        raise Unavailable(f"PostgreSQL has left no record in {settings.state}: run `tapedeck up` again")
    airflow.keep_password(settings)
    if airflow.migrate(settings, database.address, end - time.monotonic()):
        say("Airflow: database made")
    titles = {airflow.API: "Airflow"} | {
        name: f"Airflow's {name.removeprefix('airflow-')}" for name in airflow.COMPONENTS
    }
    processes = [
        Embedded(name, title, airflow.preparer(name, database.address), airflow.is_ready, name == airflow.API)
        for name, title in titles.items()
    ]
    start_all(settings, processes, ports, say, end)
    url = endpoints.resolve(settings).airflow.url
    airflow.ensure_pool(settings, url)
    where = "as set" if settings.airflow.password else f"in {airflow.password_file(settings)}"
    say(f"Airflow: log in at {url} as {settings.airflow.user}, password {where}")


def start_all(settings: Settings, servers: Sequence[Embedded], ports: Ports, say: Say, end: float) -> None:
    """Start servers side by side and wait until all are ready (see `up`)."""
    begun = time.monotonic()
    started = {server.name: _start(settings, server, ports, say) for server in servers}
    for server in servers:
        record, is_new = started[server.name]
        record = _wait(settings, server, record, ports, end)
        took = f"ready after {time.monotonic() - begun:.1f} s" if is_new else "already running"
        say(f"{server.title}: {took}" + (f" at {record.address}" if server.shows_address else ""))


def _start(settings: Settings, server: Embedded, ports: Ports, say: Say) -> tuple[Server, bool]:
    """The running server's record, started where it does not run, and whether it was."""
    state = settings.state
    record = endpoints.read_server(settings, server.name)
    if record and process.alive(record):
        return record, False
    if record:
        process.end([record], 0)
    if server.name == kafka.name_of(1) and not kafka.folder(settings).is_dir():
        say(f"Kafka: fetching {kafka.VERSION} by Maven into {settings.cache}")
    try:
        how = server.prepare(settings, ports)
        launch.save(state, how)
    except OSError as e:
        raise Unavailable(
            f"{server.title}'s files can't be written in {state} ({e.strerror}: {e.filename}): "
            "make room or make it writable, then run `tapedeck up` again"
        ) from e
    say(f"{server.title}: starting (log {how.log})")
    return launch.start(state, server.name), True


def _wait(settings: Settings, server: Embedded, record: Server, ports: Ports, end: float) -> Server:
    """The record of the server once it is ready."""
    for attempt in range(_STARTS):
        while process.alive(record):
            if server.is_ready(record):
                return record
            if time.monotonic() > end:
                raise Unavailable(
                    f"{server.title} runs but is not ready in time: see {record.log}; "
                    "run `tapedeck up` again to wait on, or `tapedeck down` to end it"
                )
            time.sleep(0.1)
        if attempt + 1 < _STARTS and ports.is_lost(server.name):
            record = _start(settings, server, ports, lambda _: None)[0]
        else:
            break
    process.end([record], 0)
    launch.record_file(settings.state, server.name).unlink(missing_ok=True)
    raise Unavailable(f"{server.title} ended while it was starting: the reason is at the end of {record.log}")


def _supervise(state: Path) -> None:
    keeper = supervisor.on_record(state)
    if keeper is None or not process.alive(keeper):
        launch.save(state, supervisor.prepare(state))
        launch.start(state, supervisor.NAME)
