"""The topic that a replay goes to: one of tapedeck's making, or one that keeps what it is given."""

from __future__ import annotations

import re

from msgspec import Struct

from tapedeck.errors import BadInput
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import Meta
from tapedeck.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
_CONFIG = {"cleanup.policy": "delete", "message.timestamp.type": "CreateTime", **topics.FOREVER}
_WHY = {
    "cleanup.policy": "older messages of a symbol would be compacted away",
    "message.timestamp.type": "the broker would put its own clock in place of the receipt times",
    "retention.ms": "Kafka would delete the replayed records",
    "retention.bytes": "Kafka would delete the replayed records",
}


class Topic(Struct, frozen=True, kw_only=True):
    """A topic to replay into. `id` is empty where it does not exist yet."""

    topic: str
    partitions: int
    id: str = ""


def check_name(topic: str) -> str:
    """The topic's name. Raises BadInput where Kafka would not take it."""
    if not _NAME.fullmatch(topic) or topic in (".", ".."):
        raise BadInput(f"{topic!r} can't be a topic's name: use 1 to 249 of A-Z, a-z, 0-9, '.', '_' and '-'")
    return topic


def look(settings: Settings, topic: str, partitions: int, known: Meta) -> Topic:
    """The topic as it is, or as it would be made with so many partitions. Changes nothing.

    Raises BadInput for a topic of a vendor's or of the broker's own, and for one that would not keep
    what is replayed into it.
    """
    _refuse_own(settings, topic, known)
    admin = client.admin(settings)
    described = topics.describe(admin, [topic])
    if topic not in described:
        return Topic(topic=topic, partitions=partitions)
    config = topics.configs(admin, [topic])[topic]
    for key, needed in _CONFIG.items():
        if config.get(key) != needed:
            raise BadInput(
                f"the topic {topic} has {key}={config.get(key)}, so {_WHY[key]}: set it to {needed}, "
                "or replay to a topic that does not exist yet"
            )
    identity, count = described[topic]
    return Topic(topic=topic, partitions=count, id=identity)


def ensure(settings: Settings, target: Topic) -> Topic:
    """The topic, made where it does not exist. Safe to run at once with itself."""
    if target.id:
        return target
    admin = client.admin(settings)
    topics.create(admin, settings, target.topic, target.partitions, _CONFIG)
    topics.await_topic(admin, settings, target.topic)
    made = look(settings, target.topic, target.partitions, meta.read(settings))
    if made.partitions != target.partitions:
        raise BadInput(
            f"the topic {target.topic} was made by someone else meanwhile, with {made.partitions} partitions "
            f"in place of {target.partitions}: start the replay anew, it then follows that"
        )
    return made


def _refuse_own(settings: Settings, topic: str, known: Meta) -> None:
    reserved = {meta.topic_name(settings): "tapedeck's own"}
    for vendor in settings.vendors:
        for role, name in topics.names(settings, vendor).items():
            reserved[name] = f"the {role} topic of {vendor}"
    for pin in known.pins.values():
        reserved[pin.name] = f"the {pin.role} topic of {pin.vendor}"
    if topic.startswith("__"):
        reserved[topic] = "the broker's own"
    if topic in reserved:
        raise BadInput(
            f"the topic {topic} is {reserved[topic]}: replay to another topic, "
            f"for example kafka:replay.{topic.removeprefix(settings.kafka.prefix)}"
        )
