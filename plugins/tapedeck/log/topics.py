"""Making a vendor's topics, pinning them in md.meta, and refusing those that are not as pinned."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from confluent_kafka.error import KafkaError

from tapedeck import endpoints
from tapedeck.errors import BadInput, Mismatch, NothingRecorded
from tapedeck.log import client, identity, meta
from tapedeck.log.identity import Described
from tapedeck.log.meta import Meta, TopicPin, VendorTopics
from tapedeck.partitions import PARTITIONER
from tapedeck.settings import Settings
from tapedeck.slices import parse_duration

FOREVER = {"retention.ms": "-1", "retention.bytes": "-1"}
ROLES = ("live", "backfill", "quarantine")
VERIFIED_SECONDS = 5.0
_REFUSED = frozenset(
    {
        KafkaError.INVALID_PARTITIONS, KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_CONFIG, KafkaError.INVALID_REQUEST,
    }
)  # fmt: skip
"""What Kafka answers where it will never make a topic so."""
_verified: dict[tuple[object, ...], tuple[float, VendorTopics]] = {}


def names(settings: Settings, vendor: str) -> dict[str, str]:
    """The vendor's first topics by role."""
    live = settings.live_topic(vendor)
    return {"live": live, "backfill": f"{live}.backfill", "quarantine": f"{live}.quarantine"}


def ensure(settings: Settings, vendor: str) -> VendorTopics:
    """The vendor's topics, made and pinned where they are missing, checked where they are there.

    Safe to run at once with itself, and again after a crash at any point. Raises Mismatch for a topic
    that is not as it was pinned, or that is not ours and holds records, BadInput where settings name another
    topic than the one in which the vendor was begun.
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
    _check_name(known, vendor, wanted["live"])
    for role, name in wanted.items():
        if known.in_role(vendor, role) or known.pin_of(name) is not None:
            continue
        if name not in ids:
            create(admin, settings, name, _count(settings, known, vendor, role), config_of(settings, role))
        elif not is_empty(settings, name):
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
    try:
        return verify(settings, vendor)
    except NothingRecorded as e:  # it is recorded, but who answered lags behind
        name = meta.topic_name(settings)
        raise client.unavailable(settings, f"{name} does not say yet what was pinned there") from e


def _check_name(known: Meta, vendor: str, name: str) -> None:
    """Raises BadInput where the vendor's log lives in other topics than the one that settings name."""
    live = known.in_role(vendor, "live")
    before = [pin for pin in known.given_up if (pin.vendor, pin.role) == (vendor, "live")]
    if live and name not in {pin.name for pin in (*live, *before)}:
        raise BadInput(
            f"settings say that {vendor} lives in the topic {name}, but it was begun in {live[0].name}, and "
            f"its log is there: set vendors.{vendor}.topic back; if that topic is lost, first "
            f"`tapedeck topics forget {vendor} {live[0].name}`"
        )


def _count(settings: Settings, known: Meta, vendor: str, role: str) -> int:
    """The partitions of a topic that is made: as many as one had that was given up, or as settings say.

    A log's partition groups never change, and its live topics have a multiple of them.
    """
    lost = [pin for pin in known.given_up if (pin.vendor, pin.role) == (vendor, role)]
    groups = known.in_role(vendor, "backfill")
    if lost:
        return lost[-1].partitions
    return groups[-1].partitions if groups and role == "live" else settings.kafka.partitions


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
        if pin.name in described and pin.name not in config:  # another broker answered, which lags behind
            raise client.unavailable(settings, f"{pin.name}: a broker does not know of it yet")
        if pin.name not in config:
            raise Mismatch(f"the topic {pin.name} is gone, with what it held: {_remedy(pin)}")
        topic_id, partitions = described[pin.name]
        if topic_id != pin.id:
            raise Mismatch(
                f"the topic {pin.name} was deleted and made again (id {topic_id}, pinned {pin.id}): "
                f"{_remedy(pin)}"
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
                f"symbols have changed partition in the middle: {_remedy(pin)}"
            )
        if pin.role == "live" and pin.partitions % pinned.groups:
            raise Mismatch(
                f"the topic {pin.name} has {pin.partitions} partitions, no multiple of the {pinned.groups} "
                f"of {pinned.backfill.name}: kafka.partitions was changed while they were being made; delete "
                f"{pin.name} while it is empty, and give it up with `tapedeck topics forget {vendor} "
                f"{pin.name}`"
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


def _remedy(pin: TopicPin) -> str:
    return (
        f"restore it, or give it up with `tapedeck topics forget {pin.vendor} {pin.name}` and go on without "
        "what it held (what Arctic has of it stays)"
    )


def config_of(settings: Settings, role: str) -> dict[str, str]:
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
    admin: AdminClient, settings: Settings, name: str, partitions: int, config: dict[str, str],
    *, only_check: bool = False,
) -> None:  # fmt: skip
    """Make a topic unless it is there; or only ask Kafka whether it would.

    Raises BadInput for what Kafka refuses: a name, a number of partitions, a replication.
    """
    new = NewTopic(
        name, num_partitions=partitions, replication_factor=settings.kafka.replication, config=config
    )
    if name in admin.list_topics(timeout=client.CONTACT_SECONDS).topics:
        return
    try:
        admin.create_topics([new], operation_timeout=30, validate_only=only_check)[name].result()
    except KafkaException as e:
        if e.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return
        if e.args[0].code() == KafkaError.INVALID_TOPIC_EXCEPTION:
            raise BadInput(f"{name!r} can't be a topic's name ({e.args[0].str()}): choose another") from e
        if e.args[0].code() in _REFUSED:
            raise BadInput(
                f"Kafka does not make {name} with {partitions:,} partitions and replication "
                f"{settings.kafka.replication}: {e.args[0].str()}"
            ) from e
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


def is_empty(settings: Settings, name: str) -> bool:
    """Whether a topic never held a record."""
    with client.consumer(settings) as consumer:
        topic = consumer.list_topics(name, timeout=client.CONTACT_SECONDS).topics[name]
        return not any(client.watermarks(settings, consumer, name, p)[1] for p in topic.partitions)
