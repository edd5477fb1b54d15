"""An embedded Kafka 4.4: one node in KRaft mode, or three, its jars fetched by Maven once."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tapedeck import endpoints
from tapedeck.embedded import process
from tapedeck.embedded.launch import Launch, write_whole
from tapedeck.embedded.ports import Ports
from tapedeck.errors import BadInput, Unavailable
from tapedeck.settings import Settings

VERSION = "4.4.0"
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tapedeck</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version></dependency>
  </dependencies>
</project>
"""
_CONFIG = """\
process.roles=broker,controller
node.id={node}
{quorum}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dir={data}
default.replication.factor={replicas}
min.insync.replicas={insync}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={insync}
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={insync}
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=2097152
log.index.size.max.bytes=1048576
broker.session.timeout.ms={session}
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
"""
_QUORUM = "controller.quorum.voters="
_JVM = [
    "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
]  # fmt: skip


def folder(settings: Settings) -> Path:
    """Where Kafka's jars are, once they are fetched."""
    return settings.cache / f"kafka-{VERSION}"


def jars(settings: Settings) -> Path:
    """The folder of Kafka's jars, fetched by Maven where it is not there yet.

    It is made whole or not at all: a broken download never counts, and two that fetch at once end
    with one. Raises Unavailable with Maven's last words.
    """
    place = folder(settings)
    if place.is_dir():
        return place
    if not shutil.which("mvn"):
        raise Unavailable("Maven (mvn) is not on the PATH and Kafka is fetched by it: see `tapedeck doctor`")
    try:
        settings.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="kafka-", dir=settings.cache) as work:
            _fetch(Path(work))
            if not place.is_dir():
                (Path(work) / "jars").rename(place)
    except OSError as e:
        if not place.is_dir():  # else another process was quicker
            raise Unavailable(
                f"Kafka's jars can't be kept in {settings.cache} ({e.strerror}): "
                "make room or set TAPEDECK_CACHE_DIR to another folder"
            ) from e
    return place


def name_of(node: int) -> str:
    """The name on record of an embedded broker, by its number from 1."""
    return endpoints.nth("kafka", node)


def prepare(settings: Settings, ports: Ports, node: int = 1) -> Launch:
    """Fetch, format (once) and configure a broker; how it is to be started.

    Raises BadInput where this state directory's Kafka was made with another number of nodes.
    """
    lib = jars(settings)
    name = name_of(node)
    home = settings.state / name
    _check_nodes(settings)
    port = ports.choose(name, _wanted(settings, node))
    controller = _controller(settings, ports, node)
    config = home / "server.properties"
    values = _values(settings, ports, node, port, controller)
    _write_config(config, values, home / "data", settings.kafka.broker)
    if not (home / "data").is_dir():
        _format(lib, home, values, _cluster(settings))
    return Launch(
        name=name,
        argv=["java", *_JVM, "-cp", f"{lib}/*", "kafka.Kafka", str(config)],
        address=f"127.0.0.1:{port}",
        log=str(settings.state / "logs" / f"{name}.log"),
        cwd=str(home),
    )


def _wanted(settings: Settings, node: int) -> int:
    """The port that a node gets where it is free; its controller the next."""
    return min(settings.kafka.port + 2 * (node - 1), 65534)


def _controller(settings: Settings, ports: Ports, node: int) -> int:
    """The port of a node's controller; of one that runs, the one that it has."""
    name = f"{name_of(node)}-controller"
    running = endpoints.read_server(settings, name_of(node))
    kept = ports.kept(name)
    if kept is not None and running is not None and process.alive(running):
        return kept
    return ports.choose(name, _wanted(settings, node) + 1)


def _values(settings: Settings, ports: Ports, node: int, port: int, controller: int) -> dict[str, object]:
    """What differs between nodes, and between one and three."""
    count = settings.kafka.nodes
    if count == 1:
        quorum = f"controller.quorum.bootstrap.servers=127.0.0.1:{controller}"
    else:
        others = {n: _controller(settings, ports, n) for n in range(1, count + 1) if n != node}
        voters = sorted({**others, node: controller}.items())
        quorum = _QUORUM + ",".join(f"{n}@127.0.0.1:{at}" for n, at in voters)
    return {
        "node": node, "port": port, "controller": controller, "quorum": quorum,
        "replicas": count, "insync": max(1, count - 1),
        "session": 2000 if count == 1 else 4000,  # a machine that starts three is busy
    }  # fmt: skip


def _check_nodes(settings: Settings) -> None:
    """Raises BadInput where the first node was formatted for another number of them."""
    home = settings.state / name_of(1)
    if not (home / "data").is_dir():
        return
    file = home / "format.properties"
    made = file.read_text("utf-8") if file.exists() else ""
    count = made.partition(_QUORUM)[2].partition("\n")[0].count("@") or 1
    if count != settings.kafka.nodes:
        raise BadInput(
            f"kafka.nodes is {settings.kafka.nodes}, but the Kafka in {settings.state} was made with {count}"
            ": set it back, or set state_dir to another folder"
        )


def _cluster(settings: Settings) -> str:
    """The cluster's id: the one with which a node was formatted before, else a new one."""
    for node in range(1, settings.kafka.nodes + 1):
        with contextlib.suppress(OSError):
            made = (settings.state / name_of(node) / "data" / "meta.properties").read_text("utf-8")
            if "cluster.id=" in made:
                return made.partition("cluster.id=")[2].splitlines()[0]
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")


def is_ready(bootstrap: str, client: Mapping[str, str] | None = None, nodes: int = 1) -> bool:
    """Whether a broker of `host:port[,host:port…]` answers, and knows of so many; `client` are more
    librdkafka properties."""
    if not any(map(_takes_connections, bootstrap.split(","))):
        return False  # librdkafka would go on trying, aloud
    config = {**(client or {}), "bootstrap.servers": bootstrap, "log_level": 0}
    try:
        return len(AdminClient(config, error_cb=lambda _: None).list_topics(timeout=2).brokers) >= nodes
    except KafkaException:
        return False


def _takes_connections(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 1).close()
    except (OSError, ValueError):
        return False
    return True


def _fetch(work: Path) -> None:
    (work / "pom.xml").write_text(_POM.format(version=VERSION), "utf-8")
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(work / "pom.xml"), "dependency:copy-dependencies",
         f"-DoutputDirectory={work / 'jars'}", "-DincludeScope=runtime"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode or not (work / "jars" / f"kafka_2.13-{VERSION}.jar").is_file():
        words = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise Unavailable(
            f"Maven could not fetch Kafka {VERSION} ({(words or ['no jar came'])[0].strip()[:300]}): "
            "check the network and Maven's settings, then run it again"
        )


def _write_config(path: Path, values: dict[str, object], data: Path, more: dict[str, str]) -> None:
    lines = _CONFIG.format(data=data, **values) + "".join(f"{key}={value}\n" for key, value in more.items())
    write_whole(path, lines.encode())


def _format(lib: Path, home: Path, values: dict[str, object], cluster: str) -> None:
    """Format the log folder whole or not at all: beside its place, then renamed."""
    new = home / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    _write_config(home / "format.properties", values, new, {})
    alone = [] if _QUORUM in str(values["quorum"]) else ["--standalone"]
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{lib}/*", "kafka.tools.StorageTool", "format",
         f"--cluster-id={cluster}", *alone, "--config", str(home / "format.properties")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        log = home / "format.log"
        log.write_text(done.stdout + done.stderr, "utf-8")
        raise Unavailable(f"Kafka's storage could not be formatted, see {log}; then run `tapedeck up` again")
    new.rename(home / "data")
