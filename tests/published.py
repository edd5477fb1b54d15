"""A vendor's log as collectors and loaders would have written it, on the tests' real broker."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from msgspec import structs

from tapedeck import message as m
from tapedeck.log import client, meta, topics
from tapedeck.log.growth import grow
from tapedeck.log.meta import Extent, Life, TopicPin, VendorTopics
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import NS

VENDOR = "binance_usdm"
HOUR = 3600 * NS
T0 = (time.time_ns() // NS // 3600 - 6) * HOUR
"""A whole hour within the live topic's retention."""


def trade(ts: int, seq: int = 0, symbol: str = "BTCUSDT", src: int = 1) -> m.Trade:
    """A trade whose price tells its seq."""
    return m.Trade(symbol, ts - 5_000_000, ts, seq, max(seq - 1, 0), src, 100.0 + seq / 10, 1.0, 1)


@dataclass
class Published:
    """The log of one vendor."""

    settings: Settings
    vendor: str = VENDOR
    topics: VendorTopics = field(init=False)
    lives: dict[int, Life] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.topics = topics.ensure(self.settings, self.vendor)

    @property
    def live(self) -> TopicPin:
        return self.topics.live[0]

    def grow(self, partitions: int) -> TopicPin:
        """One more live topic, to which nobody has moved yet."""
        self.topics = grow(self.settings, self.vendor, partitions)
        return self.topics.live[-1]

    def move(self, at: int, src: int = 1) -> None:
        """A collector closes its life in the first topic and goes on in the newest, at this stamp."""
        old, new = self.lives[src], self.topics.live[-1]
        life = Life(vendor=self.vendor, src=src, since=at, topic_id=new.id, moved=old.since)
        meta.put(self.settings, life)
        self.close(at, src)
        self.lives[src] = life
        self.publish(m.Heartbeat("*", 0, at, 0, 0, src, at), to=new)

    def partition(self, symbol: str = "BTCUSDT") -> int:
        return partition_of(symbol, self.live.partitions)

    def publish(self, *messages: m.Message, to: TopicPin | None = None) -> None:
        """In the order given; "*" records go to every partition."""
        pin = to or self.live
        producer = client.producer(self.settings)
        for message in messages:
            home = partition_of(message.symbol, pin.partitions)
            whole = message.symbol == m.WHOLE_FEED
            for p in range(pin.partitions) if whole else [home]:
                self.record(producer, pin, p, message)
        assert producer.flush(20) == 0

    @staticmethod
    def record(producer: client.Producer, pin: TopicPin, partition: int, message: m.Message) -> None:
        producer.produce(
            pin.name, m.encode(message), key=message.symbol, partition=partition,
            timestamp=message.ts_recv // 1_000_000,
        )  # fmt: skip

    def garbage(self, ts: int, symbol: str = "BTCUSDT", to: TopicPin | None = None) -> None:
        """A record that is no message."""
        producer, pin = client.producer(self.settings), to or self.live
        producer.produce(
            pin.name, b"\xc1 no message", key=symbol, partition=partition_of(symbol, pin.partitions),
            timestamp=ts // 1_000_000,
        )  # fmt: skip
        assert producer.flush(20) == 0

    def register(self, since: int, src: int = 1) -> None:
        """A collector that begins at `since`."""
        life = Life(vendor=self.vendor, src=src, since=since, topic_id=self.live.id)
        meta.put(self.settings, life)
        self.lives[src] = life
        self.beat(since, src)

    def beat(self, ts: int, src: int = 1, closing: int = 0) -> None:
        """Its heartbeat in every partition."""
        since = self.lives[src].since
        self.publish(m.Heartbeat("*", 0, ts, 0, 0, src, since, 0, closing))

    def close(self, ts: int, src: int = 1) -> None:
        """Its closing heartbeat."""
        self.beat(ts, src, closing=1)
        life = structs.replace(self.lives[src], closed=ts, closing=self.ends(self.live))
        meta.put(self.settings, life)

    def load(self, messages: Iterable[m.Message], src: int = 1007) -> None:
        """Messages of a file, into the backfill topic, in an extent."""
        messages = list(messages)
        extent = Extent(
            id=uuid.uuid4().hex, vendor=self.vendor, topic_id=self.topics.backfill.id, src=src,
            start=self.ends(self.topics.backfill),
        )  # fmt: skip
        meta.put(self.settings, extent)
        self.publish(*messages, to=self.topics.backfill)
        times = [message.ts_recv for message in messages] + [
            message.end for message in messages if isinstance(message, m.Void)
        ]
        meta.put(
            self.settings,
            structs.replace(extent, next=self.ends(self.topics.backfill), first=min(times), last=max(times)),
        )

    def ends(self, pin: TopicPin) -> dict[int, int]:
        """The next offset of each partition."""
        with client.consumer(self.settings) as consumer:
            return {
                p: consumer.get_watermark_offsets(TopicPartition(pin.name, p), 10)[1]
                for p in range(pin.partitions)
            }

    def configure(self, pin: TopicPin | None = None, **config: object) -> None:
        """Alter the topic's configuration, of the live one unless it is said: `retention_ms=1000`."""
        entries = [
            ConfigEntry(name.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        name = (pin or self.live).name
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        for future in client.admin(self.settings).incremental_alter_configs([resource]).values():
            future.result(10)

    def delete(self) -> None:
        """Delete the live topic; returns when the broker knows of it no more."""
        admin = client.admin(self.settings)
        admin.delete_topics([self.live.name])[self.live.name].result(30)
        deadline = time.monotonic() + 60
        while topics.topic_ids(admin, [self.live.name]):
            assert time.monotonic() < deadline, "the topic is still there"
            time.sleep(0.05)

    def cut(self, before: int, symbol: str = "BTCUSDT") -> None:
        """Delete the records below an offset of the symbol's partition of the live topic."""
        tp = TopicPartition(self.live.name, self.partition(symbol), before)
        client.admin(self.settings).delete_records([tp])[tp].result(10)


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which another process has these settings."""
    table = msgspec.to_builtins(settings)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TAPEDECK_")}
    return kept | {
        "TAPEDECK_STATE_DIR": settings.state_dir,
        "TAPEDECK_VENDORS": json.dumps(table["vendors"]),
        **{
            f"TAPEDECK_{part}__{name}".upper(): str(value)
            for part in ("kafka", "mongo", "writer")
            for name, value in table[part].items()
            if not isinstance(value, dict) and value != ""
        },
    }
