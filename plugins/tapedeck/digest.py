"""The digest: a sum mod 2**128 of a named, versioned hash over each message's DESIGN §3 fields.

Order does not matter and parts add up, so a day's digest is the sum of its windows'. The hash,
`tapedeck-1`, is two 64-bit lanes; each lane folds the message's fields, in the order of DESIGN §3, as
64-bit words (integers two's complement, floats as IEEE 754 bits) through the finaliser of SplitMix64
(Steele, Lea and Flood 2014): `h = mix(h ^ word)`. Strings enter as their 64-bit BLAKE2b, a book's
levels as the wrapping sum of `mix(price ^ mix(size ^ position))` over its levels.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from tapedeck import native
from tapedeck.columns import COMMON, OWN, Array, Columns

NAME = "tapedeck-1"
_SEEDS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
_MASK = 2**128 - 1


def digest(columns: Columns) -> int:
    """The digest of these messages; 0 for none."""
    if not len(columns):
        return 0
    high, low = (_sum64(lane) for lane in hashes(columns))
    return ((high << 64) + low) & _MASK


def add(*digests: int) -> int:
    """The digest of parts taken together."""
    return sum(digests) & _MASK


def subtract(whole: int, part: int) -> int:
    """The digest of what is left of a whole without a part."""
    return (whole - part) & _MASK


def to_hex(value: int) -> str:
    """32 hexadecimal digits, as digests are stored and printed."""
    return f"{value:032x}"


def from_hex(text: str) -> int:
    """The digest that `to_hex` wrote."""
    return int(text, 16)


def hashes(columns: Columns) -> tuple[Array, Array]:
    """Both 64-bit lanes of each message's hash, shape (n,) each."""
    words = [_symbol_words(columns)]
    words += [columns[name] for name in COMMON]
    words += _own_words(columns)
    words = [np.ascontiguousarray(word) for word in words]
    assert all(word.itemsize == 8 for word in words)  # noqa: S101 - else other memory would be hashed
    n, at = len(columns), native.at
    seeds = np.array([seed ^ _text_word(columns.kind) for seed in _SEEDS], np.uint64)
    high, low = np.empty(n, np.uint64), np.empty(n, np.uint64)
    places = np.array([at(word) for word in words], np.int64)
    native.hashes(at(places), len(words), n, at(seeds), at(high), at(low))
    return high, low


def _own_words(columns: Columns) -> list[Array]:
    words = []
    for name in OWN[columns.kind]:
        column = columns[name]
        if name == "text":
            column = np.array([_text_word(text) for text in column], np.uint64)
        elif name == "fields":
            column = np.array([_fields_word(values) for values in column], np.uint64)
        words.append(column)
    if columns.levels is not None:
        words.append(_level_words(columns))
    return words


def _symbol_words(columns: Columns) -> Array:
    table = np.array([_text_word(symbol) for symbol in columns.symbols], np.uint64)
    words: Array = table[columns["symbol"]]
    return words


def _level_words(columns: Columns) -> Array:
    counts = columns.level_counts()
    starts = np.cumsum(counts) - counts
    assert columns.levels is not None  # noqa: S101 - only books come here
    bits = np.ascontiguousarray(columns.levels).view(np.uint64)
    place = (np.arange(len(bits)) - np.repeat(starts, counts)).astype(np.uint64)
    lane = bits[:, 1] ^ place
    _mix(lane)
    lane ^= bits[:, 0]
    _mix(lane)
    running = np.concatenate((np.zeros(1, np.uint64), np.cumsum(lane, dtype=np.uint64)))
    words: Array = running[starts + counts] - running[starts]
    return words


def _fields_word(values: dict[str, float]) -> int:
    total = 0
    for name, value in values.items():
        number = np.array([value], np.float64).view(np.uint64)
        number ^= np.uint64(_text_word(name))
        _mix(number)
        total += int(number[0])
    return total & (2**64 - 1)


@lru_cache(maxsize=65_536)
def _text_word(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(lane: Array) -> None:
    """SplitMix64's finaliser, in place."""
    lane ^= lane >> np.uint64(30)
    lane *= np.uint64(0xBF58476D1CE4E5B9)
    lane ^= lane >> np.uint64(27)
    lane *= np.uint64(0x94D049BB133111EB)
    lane ^= lane >> np.uint64(31)


def _sum64(lane: Array) -> int:
    low = int((lane & np.uint64(0xFFFFFFFF)).sum(dtype=np.uint64))
    high = int((lane >> np.uint64(32)).sum(dtype=np.uint64))
    return (high << 32) + low
