"""Which partition a symbol lives in: the Java client's murmur2 rule (DESIGN §2.2).

A log that has grown has topics of several partition counts, each a multiple of the least, which is its
backfill topic's. It is read, written and checked in that many *partition groups*: group g is every partition
p of every topic with p mod groups = g. A symbol's hash leaves the same remainder by every count's divisor, so
all that was ever published of it lies in one group, whatever topic it is in.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from confluent_kafka.cimpl import murmur2
from numpy.typing import NDArray

PARTITIONER = "murmur2"
MOST = 10_000
"""Partitions of a topic: Kafka makes no more at once."""


def partition_of(symbol: str, partitions: int) -> int:
    """`(murmur2(symbol utf-8) & 0x7fffffff) % partitions`, what any Kafka client computes."""
    return int(murmur2(symbol.encode(), partitions))


def homes(symbols: Sequence[str], codes: NDArray[Any], partitions: int) -> NDArray[np.int64]:
    """The partition of each message: `codes` are places in the table `symbols`. As long as `codes`."""
    table = np.array([partition_of(symbol, partitions) for symbol in symbols], np.int64)
    return np.take(table, codes)


def of_groups(chosen: Collection[int], groups: int, partitions: int) -> list[int]:
    """The partitions of a topic of so many that belong to the chosen ones of `groups` partition groups."""
    return [p for p in range(partitions) if p % groups in chosen]


def numbers(values: Sequence[int]) -> str:
    """Numbers for a person: `0–15`, `0–3, 8`; of none `none`."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs) or "none"
