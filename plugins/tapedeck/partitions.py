"""Which partition a symbol lives in: the Java client's murmur2 rule (DESIGN §2.2)."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka.cimpl import murmur2

PARTITIONER = "murmur2"


def partition_of(symbol: str, partitions: int) -> int:
    """`(murmur2(symbol utf-8) & 0x7fffffff) % partitions`, what any Kafka client computes."""
    return int(murmur2(symbol.encode(), partitions))


def numbers(values: Sequence[int]) -> str:
    """Numbers for a person: `0–15`, `0–3, 8`; of none `none`."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs) or "none"
