"""Making a vendor's topics, pinning them in md.meta, and refusing those that are not as pinned."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from confluent_kafka.error import KafkaError

from tapedeck import endpoints
from tapedeck.errors import BadInput, Mismatch
from tapedeck.log import client, identity, meta
from tapedeck.log.identity import Described
from tapedeck.log.meta import Meta, TopicPin, VendorTopics
from tapedeck.partitions import PARTITIONER
from tapedeck.settings import Settings
from tapedeck.slices import parse_duration

FOREVER = {"retention.ms": "-1", "retention.bytes": "-1"}
ROLES = ("live", "backfill", "quarantine")
VERIFIED_SECONDS = 5.0
_verified: dict[tuple[object, ...], tuple[float, VendorTopics]] = {}


def names(settings: Settings, vendor: str) -> dict[str, str]:
    """The vendor's first topics by role."""
    live = settings.live_topic(vendor)
    return {"live": live, "backfill": f"{live}.backfill", "quarantine": f"{live}.quarantine"}


def ensure(settings: Settings, vendor: str) -> VendorTopics:
    """The vendor's topics, made and pinned where they are missing, checked where they are there.

    Safe to run at once with itself, and again after a crash at any point. Raises Mismatch for a topic
    that is not as it was pinned, or that is not ours and holds records.
    """
    settings.vendor(vendor)
    with client.answering(settings):
        return _ensure(settings, vendor)


def _ensure(settings: Settings, vendor: str) -> VendorTopics:
    admin = client.admin(settings)
    create(admin, settings, meta.topic_name(settings), 1, meta.CONFIG)
    known = meta.read(settings)
    wanted = names(settings, vendor)
    ids = topic_ids(admin, wanted.values())
    fresh = []
    for role, name in wanted.items():
        if known.pin_of(name) is not None:
            continue
        if name not in ids:
            create(admin, settings, name, settings.kafka.partitions, _config(settings, role))
        elif not _empty(settings, name):
            if meta.read(settings).pin_of(name) is not None:
                continue  # somebody pinned it, and published, while we were looking
            raise Mismatch(
                f"the topic {name} holds records but {meta.topic_name(settings)} does not know it: "
                f"set vendors.{vendor}.topic to another name, or move that topic away"
            )
        topic_id, partitions = await_topic(admin, settings, name)
        fresh.append(
            TopicPin(
                id=topic_id, name=name, vendor=vendor, role=role, partitions=partitions,
                partitioner=PARTITIONER,
            )
        )  # fmt: skip
    if fresh:
        meta.put(settings, *fresh)
    return verify(settings, vendor)


def verified(settings: Settings, vendor: str) -> VendorTopics:
    """`verify`, whose answer stands for VERIFIED_SECONDS in this process."""
    key = (os.getpid(), endpoints.bootstrap(settings), settings.kafka.prefix, vendor)
    found = _verified.get(key)
    if found is None or time.monotonic() - found[0] > VERIFIED_SECONDS:
        found = _verified[key] = (time.monotonic(), verify(settings, vendor))
    return found[1]


def verify(settings: Settings, vendor: str, known: Meta | None = None) -> VendorTopics:
    """The vendor's topics, each still the one that was pinned. Creates nothing.

    Raises BadInput where nothing was ever recorded of the vendor, Mismatch where a topic was deleted,
    made again, resized or set to a retention or clock that tapedeck can't stand on.
    """
    settings.vendor(vendor)
    pinned = (known or meta.read(settings)).topics(vendor)
    admin = client.admin(settings)
    pins = (*pinned.log, pinned.quarantine)
    with client.answering(settings):
        described = describe(admin, [pin.name for pin in pins])
        config = configs(admin, [pin.name for pin in pins if pin.name in described])
    for pin in pins:
        if pin.name not in config:
            raise Mismatch(f"the topic {pin.name} is gone, with what it held: {_remedy(vendor)}")
        topic_id, partitions = described[pin.name]
        if topic_id != pin.id:
            raise Mismatch(
                f"the topic {pin.name} was deleted and made again (id {topic_id}, pinned {pin.id}): "
                f"{_remedy(vendor)}"
            )
        if pin.partitioner != PARTITIONER:
            raise Mismatch(
                f"the topic {pin.name} is pinned with the partitioner {pin.partitioner}, and this tapedeck "
                f"knows {PARTITIONER} only: it would look for symbols where they are not. Use the version "
                "that made it"
            )
        if partitions != pin.partitions:
            raise Mismatch(
                f"the topic {pin.name} has {partitions} partitions but was made with {pin.partitions}, so "
                f"symbols have changed partition in the middle: {_remedy(vendor)}"
            )
        _check_config(pin, config[pin.name])
    return pinned


def topic_ids(admin: AdminClient, topics: Iterable[str]) -> dict[str, str]:
    """The ids of those of the topics that exist."""
    return {name: topic_id for name, (topic_id, _) in describe(admin, list(topics)).items()}


def check_ids(settings: Settings, expected: dict[str, str]) -> None:
    """Raises Mismatch unless each topic (name → id) is still the one with that id."""
    checking_ids(settings, expected)()


def checking_ids(settings: Settings, expected: dict[str, str]) -> Callable[[], None]:
    """`check_ids` as a question that is asked now; what is given waits for the answer, and raises."""
    asked = identity.asking(client.admin(settings), list(expected))

    def check() -> None:
        found = {name: topic_id for name, (topic_id, _) in asked().items()}
        for name, topic_id in expected.items():
            if found.get(name) != topic_id:
                raise Mismatch(
                    f"the topic {name} is not the one expected (id {found.get(name, 'none')}, expected "
                    f"{topic_id}): it was deleted or made again, and what it held is gone"
                )

    return check


def _remedy(vendor: str) -> str:
    return f"restore it, or set vendors.{vendor}.topic to a new name and go on there"


def _config(settings: Settings, role: str) -> dict[str, str]:
    config = {"cleanup.policy": "delete", "message.timestamp.type": "CreateTime"}
    if role == "live":
        retention = parse_duration(settings.kafka.retention) // 1_000_000
        return {**config, "retention.ms": str(retention)}
    return {**config, **FOREVER}


def _check_config(pin: TopicPin, config: dict[str, str]) -> None:
    expected = {"cleanup.policy": "delete", "message.timestamp.type": "CreateTime"}
    if pin.role != "live":
        expected.update(FOREVER)
    for key, value in expected.items():
        if config.get(key) != value:
            raise Mismatch(
                f"the topic {pin.name} has {key}={config.get(key)} but needs {value}: set it back "
                f"(kafka-configs --alter --topic {pin.name} --add-config {key}={value})"
            )


def create(
    admin: AdminClient, settings: Settings, name: str, partitions: int, config: dict[str, str]
) -> None:
    """Make a topic unless it is there. Raises BadInput for a name that Kafka refuses."""
    new = NewTopic(
        name, num_partitions=partitions, replication_factor=settings.kafka.replication, config=config
    )
    if name in admin.list_topics(timeout=client.CONTACT_SECONDS).topics:
        return
    try:
        admin.create_topics([new], operation_timeout=30)[name].result()
    except KafkaException as e:
        if e.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return
        if e.args[0].code() == KafkaError.INVALID_TOPIC_EXCEPTION:
            raise BadInput(f"{name!r} can't be a topic's name ({e.args[0].str()}): choose another") from e
        raise client.unavailable(settings, f"making the topic {name}: {e.args[0].str()}") from e


def await_topic(admin: AdminClient, settings: Settings, name: str) -> tuple[str, int]:
    """(id, partition count) of a topic that was made just now."""
    deadline = time.monotonic() + client.CONTACT_SECONDS
    while time.monotonic() < deadline:
        if name in (described := describe(admin, [name])):
            return described[name]
        time.sleep(0.05)
    raise client.unavailable(settings, f"the topic {name} was made but did not appear")


def describe(admin: AdminClient, topics: list[str]) -> Described:
    """(id, partition count) of those topics that exist."""
    return identity.asking(admin, topics)()


def configs(admin: AdminClient, topics: list[str]) -> dict[str, dict[str, str]]:
    """The configuration in force of topics that exist."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
    found = {}
    futures = admin.describe_configs(resources, request_timeout=client.REQUEST_SECONDS) if resources else {}
    for resource, future in futures.items():
        try:
            found[resource.name] = {key: entry.value for key, entry in future.result().items()}
        except KafkaException as e:
            if e.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return found


def _empty(settings: Settings, name: str) -> bool:
    with client.consumer(settings) as consumer:
        topic = consumer.list_topics(name, timeout=client.CONTACT_SECONDS).topics[name]
        return not any(client.watermarks(settings, consumer, name, p)[1] for p in topic.partitions)
