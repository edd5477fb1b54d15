"""The partition of a symbol is what the Java client computes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck.partitions import partition_of


def java_murmur2(data: bytes) -> int:
    """Kafka's `Utils.murmur2`, written from the algorithm's published definition, as a second opinion."""
    mask, m, seed = 0xFFFFFFFF, 0x5BD1E995, 0x9747B28C
    h = (seed ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k ^= k >> 24
        h = (h * m & mask) ^ (k * m & mask)
    rest = data[whole:]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = h * m & mask
    h ^= h >> 13
    h = h * m & mask
    return h ^ (h >> 15)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64), st.integers(1, 512))
def test_any_kafka_client_agrees_on_the_partition(symbol: str, partitions: int) -> None:
    assert partition_of(symbol, partitions) == (java_murmur2(symbol.encode()) & 0x7FFFFFFF) % partitions


@pytest.mark.parametrize(("symbol", "partitions", "partition"), [("BTCUSDT", 12, 2)])
def test_the_sign_bit_is_cleared(symbol: str, partitions: int, partition: int) -> None:
    assert partition_of(symbol, partitions) == partition
