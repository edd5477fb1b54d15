"""Which partition a symbol lives in: the Java client's murmur2 rule (DESIGN §2.2)."""

from __future__ import annotations

from confluent_kafka.cimpl import murmur2

PARTITIONER = "murmur2"


def partition_of(symbol: str, partitions: int) -> int:
    """`(murmur2(symbol utf-8) & 0x7fffffff) % partitions`, what any Kafka client computes."""
    return int(murmur2(symbol.encode(), partitions))
