"""`md.meta`, the compacted topic that says what topics, collectors and extents there are (DESIGN §2.2).

Records are JSON. A topic's number is the offset of its first pin, so that two processes that pin at
once can't give one number twice; pins have keys of their own and are never written over.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec
from msgspec import Struct, structs

from tapedeck import endpoints
from tapedeck.errors import BadInput, Mismatch, NothingRecorded
from tapedeck.log import client, identity
from tapedeck.settings import Settings

CONFIG = {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}


class TopicPin(Struct, frozen=True, kw_only=True, tag="topic"):
    """A topic as tapedeck made it. `number` is what windows store for it."""

    id: str
    name: str
    vendor: str
    role: str
    """`live`, `backfill` or `quarantine`."""
    partitions: int
    partitioner: str
    number: int = -1


class Life(Struct, frozen=True, kw_only=True, tag="life"):
    """One life of a collector: registered by its first publish, ended by its closing heartbeat.

    `since` is the taper's first stamp; `closed` the closing heartbeat's stamp, `closing` the offset
    after it in each partition. `retired`: nobody waits for it any more. All times UTC ns.

    Where the vendor grew while the taper lived, its life closes in the old topic and another begins at the
    same stamp in the new one, whose `moved` is the taper's first stamp; 0 where nothing moved.
    """

    vendor: str
    src: int
    since: int
    topic_id: str
    closed: int | None = None
    closing: dict[int, int] = {}
    retired: bool = False
    moved: int = 0

    @property
    def taper(self) -> int:
        """The taper's first stamp, which names the life on the tape."""
        return self.moved or self.since


class Extent(Struct, frozen=True, kw_only=True, tag="extent"):
    """A run of records of one source in a topic that is in no order of time.

    Per partition it holds offsets [start, next); open while `next` is None. `first` and `last` are
    the least and the greatest ts_recv (UTC ns, both inclusive) that it holds or voids.
    """

    id: str
    vendor: str
    topic_id: str
    src: int
    start: dict[int, int]
    next: dict[int, int] | None = None
    first: int = 0
    last: int = 0


class GivenUp(Struct, frozen=True, kw_only=True, tag="given-up"):
    """A topic that is lost (deleted, made again, resized): its pin stands no longer, nothing is read of it.

    What was built of it stays, since no log can answer for it any more (DESIGN §2.4).
    """

    topic_id: str
    vendor: str


Record = TopicPin | Life | Extent | GivenUp
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


@dataclass(frozen=True, slots=True)
class VendorTopics:
    """A vendor's topics: the live ones oldest first, the backfill and the quarantine topic.

    Collectors publish to the last live one; each one's partition count is a multiple of the one's before.
    """

    live: tuple[TopicPin, ...]
    backfill: TopicPin
    quarantine: TopicPin

    @property
    def log(self) -> tuple[TopicPin, ...]:
        """All topics that hold messages."""
        return (*self.live, self.backfill)

    @property
    def groups(self) -> int:
        """In how many partition groups the log is read (see `tapedeck.partitions`). It never changes."""
        return self.backfill.partitions

    def numbered(self, number: int) -> TopicPin | None:
        """The pin with that number."""
        return next((pin for pin in self.log if pin.number == number), None)


@dataclass(frozen=True, slots=True)
class Meta:
    """What `md.meta` said when it was read, in the order it was said."""

    pins: dict[str, TopicPin]
    """By topic id, those that stand."""
    lives: tuple[Life, ...]
    extents: tuple[Extent, ...]
    given_up: tuple[TopicPin, ...] = ()
    """Pins that stood once, oldest first."""

    def topics(self, vendor: str) -> VendorTopics:
        """The vendor's topics. Raises NothingRecorded where nothing ever was of it, BadInput where the last
        topic of a role was given up.

        Of two that let a vendor grow at once the first is heeded: a live topic counts only if its partition
        count is a multiple of the one's before.
        """
        live: list[TopicPin] = []
        for pin in self.in_role(vendor, "live"):
            if not live or pin.partitions % live[-1].partitions == 0:
                live.append(pin)
        backfill, quarantine = self.in_role(vendor, "backfill"), self.in_role(vendor, "quarantine")
        if not (live and backfill and quarantine):
            how = f"run `tapedeck collect {vendor}` or `tapedeck load {vendor} FILE…`"
            if lost := ", ".join(pin.name for pin in self.given_up if pin.vendor == vendor):
                raise BadInput(f"{lost} was given up, and nothing was made in its place yet: {how}")
            raise NothingRecorded(f"nothing is recorded of {vendor} yet: {how}")
        return VendorTopics(tuple(live), backfill[-1], quarantine[-1])

    def began(self, vendor: str) -> int | None:
        """The first time (UTC ns) that anything recorded of the vendor is of; None where nothing is."""
        lives = [life.since for life in self.lives if life.vendor == vendor]
        files = [e.first for e in self.extents if e.vendor == vendor and e.next is not None]
        return min([*lives, *files], default=None)

    def in_role(self, vendor: str, role: str) -> list[TopicPin]:
        """The vendor's pins of a role, oldest first."""
        pins = (pin for pin in self.pins.values() if (pin.vendor, pin.role) == (vendor, role))
        return sorted(pins, key=lambda pin: pin.number)

    def pin_of(self, name: str) -> TopicPin | None:
        """The newest pin of a topic of that name."""
        pins = [pin for pin in self.pins.values() if pin.name == name]
        return max(pins, key=lambda pin: pin.number) if pins else None


def topic_name(settings: Settings) -> str:
    """The name of the topic itself."""
    return f"{settings.kafka.prefix}meta"


def read(settings: Settings) -> Meta:
    """All that `md.meta` says now. What this process has read of it before is not read again.

    Raises Unavailable, and Mismatch for a record that is none of ours.
    """
    name = topic_name(settings)
    key = (os.getpid(), endpoints.bootstrap(settings), name)
    kept = _kept.get(key)
    with client.answering(settings):
        admin = client.admin(settings)
        described = identity.asking(admin, [name])
        ahead = client.asking(admin, {(name, 0): OffsetSpec.latest()}) if kept else None
        if not (found := described()):
            return Meta({}, (), ())
        topic_id = found[name][0]
        if kept is None or ahead is None or kept.topic_id != topic_id:
            kept, end = _Kept(topic_id), _end(settings, name)
        else:
            try:
                end = ahead()[name, 0]
            except KafkaException:  # without a leader just now
                end = _end(settings, name)
            if end < kept.next:  # cut, though nobody may: as if it were new
                kept = _Kept(topic_id)
        if end > kept.next:
            kept = kept.with_more(name, _records(settings, name, kept.next, end), end)
    _kept[key] = kept
    return kept.meta


@dataclass(frozen=True, slots=True)
class _Kept:
    """What `md.meta`, with that id, said below the offset `next`; compaction changes nothing of it."""

    topic_id: str
    next: int = 0
    pins: dict[str, TopicPin] = field(default_factory=dict)
    latest: dict[tuple[object, ...], Life | Extent | GivenUp] = field(default_factory=dict)
    meta: Meta = Meta({}, (), ())

    def with_more(self, name: str, records: Sequence[tuple[int, bytes]], end: int) -> _Kept:
        """With (offset, value) of what came since, up to `end`."""
        pins, latest = dict(self.pins), dict(self.latest)
        for offset, value in records:
            try:
                record = _decoder.decode(value)
            except msgspec.DecodeError as e:
                raise Mismatch(
                    f"{name} holds at offset {offset} what is no record of tapedeck ({e}): "
                    "find who writes there, then delete that record"
                ) from e
            if isinstance(record, TopicPin):
                pins.setdefault(record.id, structs.replace(record, number=offset))
            else:
                latest[_key(record)] = record
        lives = sorted((r for r in latest.values() if isinstance(r, Life)), key=lambda life: life.since)
        extents = tuple(r for r in latest.values() if isinstance(r, Extent))
        lost = {r.topic_id for r in latest.values() if isinstance(r, GivenUp)}
        stand = {topic_id: pin for topic_id, pin in pins.items() if topic_id not in lost}
        gone = tuple(pin for topic_id, pin in pins.items() if topic_id in lost)
        return _Kept(self.topic_id, end, pins, latest, Meta(stand, tuple(lives), extents, gone))


_kept: dict[tuple[object, ...], _Kept] = {}


def put(settings: Settings, *records: Record) -> None:
    """Write records; returns when Kafka has acknowledged all. A life or extent replaces its earlier self."""
    producer = client.producer(settings)
    failed: list[object] = []
    for record in records:
        key = "|".join(map(str, _key(record)))
        producer.produce(
            topic_name(settings), msgspec.json.encode(record), key=key, partition=0,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )  # fmt: skip
    if producer.flush(30) or failed:
        raise client.unavailable(
            settings, failed[0] if failed else f"{topic_name(settings)} not written in 30 s"
        )


def _key(record: Record) -> tuple[object, ...]:
    if isinstance(record, TopicPin):
        return ("topic", record.id, uuid.uuid4().hex)
    if isinstance(record, Life):
        return ("life", record.vendor, record.src, record.since, record.topic_id)
    if isinstance(record, GivenUp):
        return ("given-up", record.topic_id)
    return ("extent", record.id)


def _end(settings: Settings, name: str) -> int:
    return client.found(settings, [{(name, 0): OffsetSpec.latest()}])[0][name, 0]


def _records(settings: Settings, name: str, start: int, end: int) -> Sequence[tuple[int, bytes]]:
    """(offset, value) of what stands in [start, end); compaction leaves holes in the offsets."""
    found: list[tuple[int, bytes]] = []
    with client.consumer(settings) as consumer:
        low, _ = client.watermarks(settings, consumer, name, 0)
        consumer.assign([TopicPartition(name, 0, max(low, start))])
        deadline = time.monotonic() + 3 * client.CONTACT_SECONDS
        while time.monotonic() < deadline:
            first = consumer.poll(0.5)  # `consume` would wait out its whole timeout
            for message in [first, *consumer.consume(1000, 0)] if first is not None else []:
                error = message.error()
                ended = error is not None and error.name() == "_PARTITION_EOF"
                if error is not None and not ended:
                    raise client.unavailable(settings, f"reading {name}: {error.str()}")
                if not ended and message.value() is not None and message.offset() < end:
                    found.append((message.offset(), message.value()))
                if message.offset() >= (end if ended else end - 1):
                    return found
    raise client.unavailable(settings, f"{name} stands still before offset {end}")
