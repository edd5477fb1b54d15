"""A Kafka with SASL_SSL, SCRAM and ACLs and a MongoDB with TLS and users, and who may do what in them."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tapedeck.embedded import kafka, mongod
from tapedeck.settings import Settings
from tests import certificates, servers

PATIENCE = 120.0
PLANTED = "planted-S3cret"
"""In every password: it must be found nowhere."""
REPLICA_SET = "secured"
VENDORS = ("binance_usdm",)
Rules = list[tuple[ResourceType, str, AclOperation]]
_BROKER = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
controller.listener.names=CONTROLLER
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
listeners=SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SASL_SSL://localhost:{port},CONTROLLER://127.0.0.1:{controller}
inter.broker.listener.name=SASL_SSL
listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="{password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={server}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
"""


def _topics(*operations: AclOperation) -> Rules:
    return [(ResourceType.TOPIC, "md.", operation) for operation in operations]


def _group(prefix: str, operation: AclOperation) -> Rules:
    return [(ResourceType.GROUP, prefix, operation)]


_READS = [
    *_topics(AclOperation.READ, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS),
    *_group("tapedeck-reader", AclOperation.DESCRIBE),
]
USERS: dict[str, Rules] = {
    "collector": [*_READS, *_topics(AclOperation.CREATE, AclOperation.WRITE)],
    "writer": [*_READS, *_group("tapedeck-writer", AclOperation.READ)],
    "research": _READS,
    "nobody": [],
}
"""What Kafka's users may do with what begins so; as docs/security.md says."""
ROLES: dict[str, list[dict[str, str]]] = {
    "writer": [
        {"role": "readWrite", "db": "tapedeck"},
        *({"role": "readWrite", "db": f"arctic_{vendor}"} for vendor in VENDORS),
        {"role": "readWrite", "db": "meta_db"},
    ],
    "research": [
        {"role": "read", "db": "tapedeck"},
        *({"role": "read", "db": f"arctic_{vendor}"} for vendor in VENDORS),
    ],
}
"""What MongoDB's users may; as docs/security.md says."""


def password(user: str) -> str:
    """Of a user of either server."""
    return f"{PLANTED}-{user}"


@dataclass(frozen=True, slots=True)
class Secured:
    """Both servers, and how their users reach them."""

    folder: Path
    bootstrap: str
    mongo: str
    """host:port"""
    authority: Path
    stranger: Path
    """An authority that has signed neither."""

    def kafka(self, user: str, **more: str) -> dict[str, str]:
        """A user's librdkafka properties."""
        return {
            "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": user,
            "sasl.password": password(user), "ssl.ca.location": str(self.authority),
        } | {name.replace("_", "."): value for name, value in more.items()}  # fmt: skip

    def mongo_uri(self, user: str, secret: str = "") -> str:
        """A user's MongoDB, without what says how its certificate is to be judged."""
        who = f"{user}:{secret or password(user)}"
        return f"mongodb://{who}@{self.mongo}/?authSource=admin&replicaSet={REPLICA_SET}"

    def tls(self) -> dict[str, str]:
        """Options for MongoDB's driver."""
        return {"tls": "true", "tlsCAFile": str(self.authority)}

    def root(self) -> MongoClient[dict[str, Any]]:
        """MongoDB as its administrator."""
        return MongoClient(self.mongo_uri("root"), tls=True, tlsCAFile=str(self.authority))


@contextmanager
def secured(folder: Path) -> Iterator[Secured]:
    """Both servers, on ports of their own, for the block."""
    trusted = certificates.authority(folder, "authority")
    stranger = certificates.authority(folder, "stranger")
    server = certificates.signed(trusted, folder, "server")
    port, controller, mongo_port = servers.free_port(2), 0, servers.free_port()
    controller = port + 1
    found = Secured(folder, f"localhost:{port}", f"localhost:{mongo_port}", trusted.file, stranger.file)
    with ExitStack() as stack:
        _start_kafka(stack, folder / "kafka", port, controller, server, trusted.file)
        _start_mongo(stack, folder / "mongo", mongo_port, server, trusted.file)
        _allow(found)
        _admit(found)
        yield found


def _start_kafka(
    stack: ExitStack, folder: Path, port: int, controller: int, server: Path, authority: Path
) -> None:
    """Formatted with an administrator: there is no other way in."""
    folder.mkdir()
    lib = kafka.jars(Settings())
    config = folder / "server.properties"
    config.write_text(
        _BROKER.format(
            port=port, controller=controller, data=folder / "data", password=password("admin"), server=server,
            authority=authority,
        )
    )  # fmt: skip
    config.chmod(0o600)
    cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
    subprocess.run(
        [
            "java", "-XX:TieredStopAtLevel=1", "-cp", f"{lib}/*", "kafka.tools.StorageTool", "format",
            f"--cluster-id={cluster}", "--standalone", "--config", str(config),
            "--add-scram", f"SCRAM-SHA-512=[name=admin,password={password('admin')}]",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    _run(stack, ["java", *kafka._JVM, "-cp", f"{lib}/*", "kafka.Kafka", str(config)], folder / "log")


def _start_mongo(stack: ExitStack, folder: Path, port: int, server: Path, authority: Path) -> None:
    folder.mkdir()
    key = folder.with_name("mongo.key")
    key.write_bytes(base64.b64encode(os.urandom(96)))
    key.chmod(0o400)
    _run(
        stack,
        [
            str(mongod.program()), "--replSet", REPLICA_SET, "--bind_ip", "127.0.0.1", "--port", str(port),
            "--dbpath", str(folder), "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64", "--nounixsocket",
            "--quiet", "--keyFile", str(key), "--tlsMode", "requireTLS",
            "--tlsCertificateKeyFile", str(server),
            "--tlsCAFile", str(authority), "--tlsAllowConnectionsWithoutCertificates",
            "--setParameter", "diagnosticDataCollectionEnabled=false",
        ],
        folder.with_name("mongo.log"),
    )  # fmt: skip


def _run(stack: ExitStack, command: list[str], log: Path) -> None:
    output = stack.enter_context(log.open("ab"))
    process = subprocess.Popen(command, stdout=output, stderr=output)
    stack.callback(process.wait)
    stack.callback(process.kill)


def _allow(of: Secured) -> None:
    """Kafka's users: a collector that writes, a writer that reads and joins its group, a researcher."""
    config = {"bootstrap.servers": of.bootstrap, "log_level": 0, **of.kafka("admin")}
    admin = AdminClient(config, error_cb=lambda _: None)
    _patiently(lambda: admin.list_topics(timeout=5), KafkaException)
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    for user in USERS:
        told = admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(user, scram, password(user).encode())]
        )
        told[user].result(60)
    rules = [
        AclBinding(
            kind,
            prefix,
            ResourcePatternType.PREFIXED,
            f"User:{user}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for user, rules in USERS.items()
        for kind, prefix, operation in rules
    ]
    for future in admin.create_acls(rules).values():
        future.result(60)


def _admit(of: Secured) -> None:
    """MongoDB's users; the first comes in by the exception that is made for localhost."""
    tls = {"tls": True, "tlsCAFile": str(of.authority)}
    with MongoClient[dict[str, Any]](f"mongodb://{of.mongo}/", directConnection=True, **tls) as first:
        config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": of.mongo}]}
        _patiently(lambda: first.admin.command("replSetInitiate", config), PyMongoError)
        _patiently(lambda: _must(first.admin.command("hello")["isWritablePrimary"]), PyMongoError)
        first.admin.command("createUser", "root", pwd=password("root"), roles=["root"])
    with of.root() as root:
        for user, roles in ROLES.items():
            root.admin.command("createUser", user, pwd=password(user), roles=roles)


def _must(true: bool) -> None:
    if not true:
        raise PyMongoError("not yet")


def _patiently(ask: Any, error: type[Exception]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            ask()
            return
        except error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
