"""What topics hold, and what they should hold."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import TopicPartition

from tapedeck import message as m
from tapedeck.log import client
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings

Row = tuple[bytes | None, int, bytes]
"""A record's key, CreateTime (ms, UTC) and value."""


def contents(settings: Settings, topic: str) -> dict[int, list[Row]]:
    """All records of a topic by partition, in order; empty partitions are left out."""
    found: dict[int, list[Row]] = {}
    with client.consumer(settings) as consumer:
        count = len(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, p, 0) for p in range(count)])
        ends = 0
        while ends < count:
            for record in consumer.consume(1000, 0.1):
                if record.error() is not None:
                    assert record.error().name() == "_PARTITION_EOF"
                    ends += 1
                    continue
                row = (record.key(), record.timestamp()[1], record.value())
                found.setdefault(record.partition(), []).append(row)
    return found


def row(message: m.Message) -> Row:
    """The record that a message is in any topic."""
    return message.symbol.encode(), message.ts_recv // 1_000_000, m.encode(message)


def rows(messages: Iterable[m.Message], partitions: int) -> dict[int, list[Row]]:
    """The records of messages by partition, in order of receipt, in a topic of so many partitions."""
    found: dict[int, list[Row]] = {}
    for message in sorted(messages, key=lambda message: message.ts_recv):
        found.setdefault(partition_of(message.symbol, partitions), []).append(row(message))
    return found
