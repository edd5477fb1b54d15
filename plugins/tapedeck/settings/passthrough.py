"""Properties that settings and connections hand on to Kafka's and MongoDB's clients, and those that they
may not: the ones that tapedeck's guarantees rest on, or by which a setting could run somebody's code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl

from tapedeck.errors import BadInput


class Refused(NamedTuple):
    """A property that is refused but with these values (in lower case), which are what tapedeck sets."""

    why: str
    ours: tuple[str, ...] = ()


_ORDER = "nothing is lost, doubled or out of order only as tapedeck sets it"
_EXACT = "a reader reads exactly what was asked for only as tapedeck sets it"
_CODE = "it would run code that a setting names"
_OWN = "tapedeck decides it"
_CALLED = "it is a function, which a setting can't name"

KAFKA: Mapping[str, Refused] = MappingProxyType(
    {
        "bootstrap.servers": Refused("kafka.bootstrap says it"),
        "metadata.broker.list": Refused("kafka.bootstrap says it"),
        "acks": Refused(_ORDER, ("all", "-1")),
        "request.required.acks": Refused(_ORDER, ("all", "-1")),
        "enable.idempotence": Refused(_ORDER, ("true",)),
        "enable.gapless.guarantee": Refused(_ORDER, ("true",)),
        "max.in.flight": Refused(_ORDER),
        "max.in.flight.requests.per.connection": Refused(_ORDER),
        "message.send.max.retries": Refused(_ORDER),
        "retries": Refused(_ORDER),
        "message.timeout.ms": Refused(_ORDER, ("0",)),
        "delivery.timeout.ms": Refused(_ORDER, ("0",)),
        "queuing.strategy": Refused(_ORDER, ("fifo",)),
        "transactional.id": Refused(_ORDER),
        "partitioner": Refused("a symbol's partition is the same for every client"),
        "message.max.bytes": Refused("what is larger than tapedeck's limit goes into quarantine"),
        "allow.auto.create.topics": Refused("tapedeck makes every topic", ("false",)),
        "auto.offset.reset": Refused(_EXACT, ("error",)),
        "topic.auto.offset.reset": Refused(_EXACT, ("error",)),
        "isolation.level": Refused(_EXACT, ("read_uncommitted",)),
        "check.crcs": Refused(_EXACT, ("true",)),
        "enable.partition.eof": Refused(_EXACT),
        "enable.auto.commit": Refused(_EXACT, ("false",)),
        "auto.commit.enable": Refused(_EXACT, ("false",)),
        "enable.auto.offset.store": Refused(_EXACT),
        "group.id": Refused("writer.group says it"),
        "group.instance.id": Refused(_OWN),
        "group.protocol": Refused(_OWN, ("classic",)),
        "group.remote.assignor": Refused(_OWN),
        "partition.assignment.strategy": Refused(_OWN),
        "plugin.library.paths": Refused(_CODE),
        "ssl.engine.location": Refused(_CODE),
        "ssl.engine.id": Refused(_CODE),
        "ssl.providers": Refused(_CODE),
        "sasl.kerberos.kinit.cmd": Refused(_CODE),
    }
)
"""librdkafka's properties, with their other names."""

MONGO: Mapping[str, Refused] = MappingProxyType(
    {
        "w": Refused("a window is kept once a majority has it", ("majority",)),
        "journal": Refused("a window is kept once it is in the journal", ("true",)),
        "j": Refused("a window is kept once it is in the journal", ("true",)),
        "fsync": Refused("a window is kept once it is in the journal"),
        "wtimeout": Refused("a write that is not acknowledged is not done"),
        "wtimeoutms": Refused("a write that is not acknowledged is not done"),
        "retrywrites": Refused("a primary that changes must cost nothing", ("true",)),
        "readpreference": Refused("a secondary may be behind what was acknowledged", ("primary",)),
        "readpreferencetags": Refused("a secondary may be behind what was acknowledged"),
        "maxstalenessseconds": Refused("a secondary may be behind what was acknowledged"),
        "readconcernlevel": Refused("what was acknowledged must be read", ("local", "majority")),
        "serverselectiontimeoutms": Refused(_OWN),
        "connecttimeoutms": Refused(_OWN),
        "tz_aware": Refused(_OWN, ("true",)),
        "tzinfo": Refused(_OWN),
        "document_class": Refused(_OWN),
        "type_registry": Refused(_OWN),
        "unicode_decode_error_handler": Refused(_OWN, ("strict",)),
        "uuidrepresentation": Refused(_OWN),
        "datetime_conversion": Refused(_OWN),
        "host": Refused("mongo.uri says it"),
        "port": Refused("mongo.uri says it"),
        "connect": Refused(_OWN),
        "event_listeners": Refused(_CALLED),
        "server_selector": Refused(_CALLED),
        "auto_encryption_opts": Refused(_CALLED),
        "server_api": Refused(_CALLED),
    }
)
"""Options of MongoDB's driver, in lower case, since it takes them in any."""


def check_kafka(properties: Mapping[str, str], where: str) -> None:
    """Raises BadInput for the first property that is refused; `where` tells a person whose it is."""
    for name, value in properties.items():
        plain = name.strip().lower()
        if plain.endswith("_cb"):
            raise BadInput(_sentence(name, where, Refused(_CALLED)))
        _check(name, value, where, KAFKA.get(plain))


def check_mongo(options: Mapping[str, str], where: str) -> None:
    """As `check_kafka`, of the driver's options."""
    for name, value in options.items():
        _check(name, value, where, MONGO.get(name.strip().lower()))


def check_uri(uri: str, where: str) -> None:
    """As `check_mongo`, of the options that a MongoDB URI carries."""
    check_mongo(dict(parse_qsl(uri.partition("?")[2])), where)


def _check(name: str, value: str, where: str, refused: Refused | None) -> None:
    if refused is not None and value.strip().lower() not in refused.ours:
        raise BadInput(_sentence(name, where, refused))


def _sentence(name: str, where: str, refused: Refused) -> str:
    return f"{name!r} may not be set, in {where}: {refused.why}; remove it"
