"""Kafka with SASL_SSL, SCRAM and ACLs, MongoDB with TLS and users: each does its part and no other's.

Who is refused is told so in one sentence, at every door; and no password is found anywhere afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tapedeck import settings as settings_module
from tapedeck.buses.captured import line_of
from tapedeck.cli.main import run
from tapedeck.slices import NS, format_time
from tests.published import T0, VENDOR
from tests.secured import PLANTED, Secured, secured
from tests.servers import PROGRAM, ROOT, free_port, tapedeck
from tests.tapes import payloads

SLICE = [format_time(T0), format_time(T0 + 3600 * NS)]
LIBRARY = f"{VENDOR}.trade"
PATIENCE = 120.0
SAID: list[str] = []
"""All that any command has printed."""
Tell = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("secured")) as found:
        yield found


@pytest.fixture(scope="module")
def bus(servers: Secured) -> str:
    """An address at which nobody speaks, with somebody's password in it."""
    return f"nats:nats://ada:{PLANTED}@127.0.0.1:{free_port()}/ticks"


def deck(
    of: Secured, bus: str, user: str, *, kafka: dict[str, str] | None = None, mongo: str = "",
    mongo_client: dict[str, str] | None = None,
) -> Path:  # fmt: skip
    """A settings file of a user's; `kafka` and `mongo` are in the place of what would be right."""
    place = of.folder / f"{user}-{time.monotonic_ns()}"
    place.mkdir()
    secret = place / "kafka.secret"
    properties = of.kafka(user) if kafka is None else kafka
    if "sasl.password" in properties:
        secret.write_text(properties["sasl.password"])
        secret.chmod(0o600)
        properties |= {"sasl.password": f"file:{secret}"}
    tables = {
        "kafka": {"bootstrap": of.bootstrap, "partitions": 2},
        "kafka.client": properties,
        "mongo": {"uri": mongo or of.mongo_uri(user if user == "writer" else "research")},
        "mongo.client": of.tls() if mongo_client is None else mongo_client,
        f"vendors.{VENDOR}": {"bus": bus, "symbols": ["BTCUSDT"]},
    }
    lines = [f"state_dir = {json.dumps(str(of.folder / f'state-{user}'))}"]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f'"{key}" = {json.dumps(value)}' for key, value in table.items())]
    file = place / "tapedeck.toml"
    file.write_text("\n".join(lines))
    return file


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tell:
    """Run a command with a settings file; its status and what it said."""

    def do(file: Path, *words: object) -> tuple[int, str]:
        monkeypatch.setenv("TAPEDECK_SETTINGS", str(file))
        status = run([str(word) for word in words])
        out, err = capfd.readouterr()
        SAID.append(out + err)
        return status, out + err

    return do


@contextmanager
def process(file: Path, *words: str) -> Iterator[Path]:
    """A live process during the block, ended by SIGTERM; gives where its words go."""
    said = file.with_name("said")
    with said.open("wb") as output:
        environ = {**os.environ, "TAPEDECK_SETTINGS": str(file)}
        child = subprocess.Popen([str(PROGRAM), *words], env=environ, stdout=output, stderr=output)
    try:
        yield said
    finally:
        child.terminate()
        try:
            child.wait(60)
        finally:
            child.kill()
            SAID.append(said.read_text())


def await_that(true: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def loaded(servers: Secured, bus: str) -> None:
    """What a collector's user has published, its topics made by it."""
    captured = servers.folder / "captured.txt"
    captured.write_bytes(b"".join(line_of(T0 + i * 1_000_000, p) for i, p in enumerate(payloads(400))))
    file = deck(servers, bus, "collector")
    done = tapedeck(
        "load", VENDOR, str(captured), state=servers.folder / "state-collector", settings_file=file
    )
    SAID.append(done.stdout + done.stderr)
    assert "400 messages published" in done.stdout, done.stderr


def test_each_user_does_its_part(servers: Secured, bus: str, tell: Tell, loaded: None) -> None:
    collector, writer = deck(servers, bus, "collector"), deck(servers, bus, "writer")
    research = deck(servers, bus, "research")
    live = settings_module.load({"TAPEDECK_SETTINGS": str(collector)}).state / "live"
    with process(writer, "write", VENDOR) as writes, process(collector, "collect", VENDOR) as collects:

        def stored() -> int:
            status, said = tell(
                research, "read", LIBRARY, "BTCUSDT", *SLICE, "--no-tail", "--count", "--json"
            )
            return int(json.loads(said)["messages"]) if status == 0 else 0

        def acknowledged() -> bool:
            return any(
                json.loads(record.read_bytes())["lag"] is not None for record in live.glob("collector-*.json")
            )

        await_that(acknowledged, collects.read_text)
        await_that(lambda: stored() > 0, writes.read_text)
        address = next(live.glob("collector-*.json")).read_text()
        assert "nats://********@127.0.0.1" in address
        arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert f"{PLANTED}@" not in arguments
    status, said = tell(research, "cat", VENDOR, *SLICE, "--count", "--json")
    assert (status, json.loads(said)["messages"]) == (0, 400)
    status, said = tell(writer, "gaps", VENDOR, *SLICE, "--json")
    assert (status, json.loads(said)["verdict"]) == (0, "pass")
    status, said = tell(writer, "backfill", VENDOR, *SLICE)
    assert (status, "receipt" in said) == (0, True), said
    status, said = tell(research, "status")
    assert (status, said.count("running")) == (0, 2), said


def test_what_a_user_may_not_do_is_one_sentence_and_changes_nothing(
    servers: Secured, bus: str, tell: Tell, loaded: None
) -> None:
    research = deck(servers, bus, "research")
    for words in (("backfill", VENDOR, *SLICE), ("replay", VENDOR, *SLICE, "--to", "kafka:md.mine")):
        status, said = tell(research, *words)
        assert (status, said.count("\n")) == (3, 1), said
        assert "does not let this user do that (not authorized on tapedeck to execute command" in said
        assert "lsid" not in said
    nobody = deck(servers, bus, "nobody")  # in a process that no other user has read anything in
    done = tapedeck("cat", VENDOR, *SLICE, "--count", state=nobody.parent, settings_file=nobody)
    SAID.append(done.stdout + done.stderr)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1), done.stderr
    assert "does not let this client's user do that (Broker: Topic authorization failed)" in done.stderr


def wrong_of_kafka(of: Secured, how: str) -> dict[str, str]:
    right = of.kafka("research")
    return {
        "password": {**right, "sasl.password": f"{PLANTED}-wrong"},
        "user": {**right, "sasl.username": "stranger"},
        "certificate": {**right, "ssl.ca.location": str(of.stranger)},
        "mechanism": {**right, "sasl.mechanism": "PLAIN"},
        "protocol": {},
        "no password": {"security.protocol": "SSL", "ssl.ca.location": str(of.authority)},
    }[how]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("password", ("cat", VENDOR, *SLICE, "--count")),
        ("password", ("replay", VENDOR, *SLICE, "--to", "kafka:x")),
        ("password", ("load", VENDOR, "captured.txt")),
        ("password", ("read", LIBRARY, "BTCUSDT", "5m", "now")),
        ("password", ("tail", VENDOR)),
        ("user", ("topics",)),
        ("certificate", ("cat", VENDOR, *SLICE, "--count")),
        ("mechanism", ("cat", VENDOR, *SLICE, "--count")),
        ("protocol", ("cat", VENDOR, *SLICE, "--count")),
        ("no password", ("cat", VENDOR, *SLICE, "--count")),
    ],
)
def test_kafka_that_refuses_is_one_sentence_at_every_door(
    servers: Secured, bus: str, tell: Tell, loaded: None, monkeypatch: pytest.MonkeyPatch, how: str,
    words: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.chdir(servers.folder)
    status, said = tell(deck(servers, bus, "research", kafka=wrong_of_kafka(servers, how)), *words)
    assert (status, said.count("\n")) == (3, 1), said
    assert said.startswith(f"tapedeck: Kafka at {servers.bootstrap} does not take this client (")
    assert "correct the credentials and certificates in [kafka.client]" in said


def test_mongodb_that_refuses_is_one_sentence_at_every_door(servers: Secured, bus: str, tell: Tell) -> None:
    wrong = deck(servers, bus, "research", mongo=servers.mongo_uri("research", f"{PLANTED}-wrong"))
    for words in (("read", LIBRARY, "BTCUSDT", *SLICE), ("backfill", VENDOR, *SLICE), ("receipts",)):
        status, said = tell(wrong, *words)
        assert (status, said.count("\n")) == (3, 1), said
        assert "does not take this client (Authentication failed.): correct the credentials" in said
    strange = deck(servers, bus, "research", mongo_client={"tls": "true", "tlsCAFile": str(servers.stranger)})
    status, said = tell(strange, "read", LIBRARY, "BTCUSDT", *SLICE)
    assert (status, said.count("\n")) == (3, 1), said
    assert "certificate verify failed" in said


def test_live_processes_say_it_and_go_on(servers: Secured, bus: str) -> None:
    """A password may be changed while they run: what the bus sends meanwhile is taped."""
    wrong = {**servers.kafka("writer"), "sasl.password": f"{PLANTED}-wrong"}
    sentence = f"Kafka at {servers.bootstrap} does not take this client ("
    with (
        process(deck(servers, bus, "writer", kafka=wrong), "write", VENDOR) as writes,
        process(deck(servers, bus, "collector", kafka=wrong), "collect", VENDOR) as collects,
    ):
        await_that(lambda: sentence in writes.read_text(), writes.read_text)
        await_that(lambda: sentence in collects.read_text(), collects.read_text)
        assert "going on as soon as it is possible" in writes.read_text()


TASK = """
import logging, os
logging.basicConfig(level=logging.INFO)
from tapedeck.airflow import connections, replaying
from tapedeck.airflow.tasks import in_one_sentence
from tapedeck.slices import parse_slice

@in_one_sentence
def plan():
    asked = {"vendor": os.environ["VENDOR"], "to": "kafka:md.mine"}
    return replaying.plan(connections.load(), asked, parse_slice(*os.environ["SLICE"].split()), logging.info)

kafka = os.environ["AIRFLOW_CONN_TAPEDECK_KAFKA"]
for password in (os.environ["RIGHT"] + "-wrong", os.environ["RIGHT"]):
    os.environ["AIRFLOW_CONN_TAPEDECK_KAFKA"] = kafka.replace("PASSWORD", password)
    try:
        plan()
    except SystemExit as e:
        print("STATUS", e.code)
"""


def test_a_task_of_airflow_says_it_too(servers: Secured, bus: str, loaded: None) -> None:
    file = deck(servers, bus, "writer")
    extra = {"bootstrap.servers": servers.bootstrap, **servers.kafka("writer"), "sasl.password": "PASSWORD"}
    kafka = {"conn_type": "kafka", "extra": extra}
    mongo = {
        "conn_type": "mongo", "host": servers.mongo, "login": "writer",
        "password": f"{PLANTED}-wrong", "extra": {"authSource": "admin", "replicaSet": "secured"},
    }  # fmt: skip
    environ = {
        **os.environ, "TAPEDECK_SETTINGS": str(file), "AIRFLOW_HOME": str(servers.folder / "airflow"),
        "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}", "VENDOR": VENDOR, "SLICE": " ".join(SLICE),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_TAPEDECK_KAFKA": json.dumps(kafka), "AIRFLOW_CONN_TAPEDECK_MONGO": json.dumps(mongo),
        "RIGHT": servers.kafka("writer")["sasl.password"],
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", TASK], env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    SAID.append(done.stdout + done.stderr)
    told = (done.stdout + done.stderr).splitlines()
    assert [line for line in told if line.startswith("STATUS")] == ["STATUS 3", "STATUS 3"], told
    kafka_says, mongo_says = [line for line in told if "does not take this client" in line]
    assert "does not take this client (sasl_ssl" in kafka_says
    assert "does not take this client (Authentication failed.)" in mongo_says


def test_no_password_is_found_anywhere(servers: Secured) -> None:
    """But in the settings, in the files of secrets, and where the servers themselves were told it."""
    assert SAID
    assert [text for text in SAID if PLANTED in text] == []
    allowed = {"kafka.secret", "tapedeck.toml", "server.properties"}
    holding = [
        path.relative_to(servers.folder)
        for path in servers.folder.rglob("*")
        if path.is_file() and path.name not in allowed and PLANTED.encode() in path.read_bytes()
    ]
    assert holding == []
    with servers.root() as root:
        for name in set(root.list_database_names()) - {"admin", "config", "local"}:
            for collection in root[name].list_collection_names():
                assert PLANTED not in repr(list(root[name][collection].find())), (name, collection)
    assert PLANTED.encode() not in b"".join(everything_in_kafka(servers))


def everything_in_kafka(of: Secured) -> Iterator[bytes]:
    config = {"bootstrap.servers": of.bootstrap, "group.id": "x", "enable.partition.eof": True}
    consumer = Consumer({**config, **of.kafka("admin")})
    places = [
        TopicPartition(name, partition, 0)
        for name, topic in consumer.list_topics(timeout=30).topics.items()
        for partition in topic.partitions
        if not name.startswith("__")
    ]
    consumer.assign(places)
    ends = 0
    while ends < len(places):
        message = consumer.poll(30)
        assert message is not None
        if message.error():
            ends += 1
        else:
            yield (message.key() or b"") + (message.value() or b"")
    consumer.close()
