"""An embedded Kafka 4.4: one node in KRaft mode, its jars fetched by Maven once."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tapedeck.embedded.launch import Launch, write_whole
from tapedeck.embedded.ports import Ports
from tapedeck.errors import Unavailable
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
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dir={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=2097152
log.index.size.max.bytes=1048576
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""
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


def prepare(settings: Settings, ports: Ports) -> Launch:
    """Fetch, format (once) and configure the broker; how it is to be started."""
    lib = jars(settings)
    port = ports.choose("kafka", settings.kafka.port)
    controller = ports.choose("kafka-controller", min(settings.kafka.port + 1, 65535))
    home = settings.state / "kafka"
    config = home / "server.properties"
    values = {"port": port, "controller": controller}
    _write_config(config, values, home / "data", settings.kafka.broker)
    if not (home / "data").is_dir():
        _format(lib, home, values)
    return Launch(
        name="kafka",
        argv=["java", *_JVM, "-cp", f"{lib}/*", "kafka.Kafka", str(config)],
        address=f"127.0.0.1:{port}",
        log=str(settings.state / "logs" / "kafka.log"),
        cwd=str(home),
    )


def is_ready(bootstrap: str, client: Mapping[str, str] | None = None) -> bool:
    """Whether a broker of `host:port[,host:port…]` answers; `client` are more librdkafka properties."""
    if not any(map(_takes_connections, bootstrap.split(","))):
        return False  # librdkafka would go on trying, aloud
    config = {**(client or {}), "bootstrap.servers": bootstrap, "log_level": 0}
    try:
        return bool(AdminClient(config, error_cb=lambda _: None).list_topics(timeout=2).brokers)
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


def _write_config(path: Path, values: dict[str, int], data: Path, more: dict[str, str]) -> None:
    lines = _CONFIG.format(data=data, **values) + "".join(f"{key}={value}\n" for key, value in more.items())
    write_whole(path, lines.encode())


def _format(lib: Path, home: Path, values: dict[str, int]) -> None:
    """Format the log folder whole or not at all: beside its place, then renamed."""
    new = home / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    _write_config(home / "format.properties", values, new, {})
    cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{lib}/*", "kafka.tools.StorageTool", "format",
         f"--cluster-id={cluster}", "--standalone", "--config", str(home / "format.properties")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        log = home / "format.log"
        log.write_text(done.stdout + done.stderr, "utf-8")
        raise Unavailable(f"Kafka's storage could not be formatted, see {log}; then run `tapedeck up` again")
    new.rename(home / "data")
