"""Columns keep every message through takes and joins; the digest is a sum that no order changes."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tapedeck import digest
from tapedeck import message as m
from tapedeck.columns import concat, from_messages
from tapedeck.rows import messages_of
from tests.unit.strategies import BOOKS, FIELDS, QUOTES, STATUSES, TRADES

ONE_KIND = st.one_of(
    *(
        st.tuples(st.just(kind), st.lists(some, min_size=1, max_size=12))
        for kind, some in [
            ("trade", TRADES), ("quote", QUOTES), ("book", BOOKS), ("status", STATUSES), ("fields", FIELDS),
        ]
    )
)  # fmt: skip


@given(ONE_KIND, st.data())
def test_take_and_concat_keep_messages_whole(batch: tuple[str, list[m.Message]], data: st.DataObject) -> None:
    kind, messages = batch
    columns = from_messages(kind, messages)
    assert list(messages_of(columns)) == messages
    index = data.draw(st.lists(st.integers(0, len(messages) - 1)))
    taken = columns.take(np.array(index, np.int64))
    assert list(messages_of(taken)) == [messages[i] for i in index]
    assert list(messages_of(concat(kind, [columns, taken]))) == messages + [messages[i] for i in index]


@given(ONE_KIND, st.randoms())
def test_parts_of_a_digest_add_up_in_any_order(batch: tuple[str, list[m.Message]], random: object) -> None:
    kind, messages = batch
    whole = digest.digest(from_messages(kind, messages))
    shuffled = list(messages)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    cut = len(shuffled) // 2
    parts = [digest.digest(from_messages(kind, part)) for part in (shuffled[:cut], shuffled[cut:]) if part]
    assert digest.add(*parts) == whole
    assert digest.subtract(whole, parts[0]) == digest.add(*parts[1:])
    assert digest.from_hex(digest.to_hex(whole)) == whole


@given(
    TRADES, st.sampled_from(["symbol", "ts_event", "ts_recv", "seq", "prev", "src", "price", "size", "side"])
)
def test_every_field_of_a_message_counts(trade: m.Trade, name: str) -> None:
    fields = {field: getattr(trade, field) for field in trade.__struct_fields__}
    old = fields[name]
    fields[name] = "x" + old[1:] + "y" if name == "symbol" else (1.0 if old != 1.0 else 2.0)
    if name not in ("symbol", "price", "size"):
        fields[name] = int(fields[name])
    other = m.Trade(**fields)
    assert digest.digest(from_messages("trade", [trade])) != digest.digest(from_messages("trade", [other]))


def test_levels_count_by_place_and_side() -> None:
    common = ("A", 0, 1, 2, 3, 4, 0)
    books = [
        m.Book(*common, [(1.0, 2.0), (3.0, 4.0)], []), m.Book(*common, [(3.0, 4.0), (1.0, 2.0)], []),
        m.Book(*common, [(1.0, 2.0)], [(3.0, 4.0)]), m.Book(*common, [], [(1.0, 2.0), (3.0, 4.0)]),
        m.Book(*common, [(2.0, 1.0), (3.0, 4.0)], []),
    ]  # fmt: skip
    assert len({digest.digest(from_messages("book", [book])) for book in books}) == len(books)


def test_the_digest_does_not_drift() -> None:
    trade = m.Trade("BTCUSDT", 1, 2, 3, 4, 5, 6.5, 7.5, 1)
    assert digest.NAME == "tapedeck-1"
    assert digest.to_hex(digest.digest(from_messages("trade", [trade]))) == "cc33d212989849231d537df00d975955"


def mixed(h: int) -> int:
    """SplitMix64's finaliser, in words of docs/formats.md."""
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    h = (h ^ h >> 27) * 0x94D049BB133111EB % 2**64
    return h ^ h >> 31


def word(value: int | float | str) -> int:
    if isinstance(value, str):
        return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little")
    return int.from_bytes(struct.pack("<d" if isinstance(value, float) else "<q", value), "little")


@given(st.lists(TRADES, min_size=1, max_size=5))
def test_the_digest_is_what_its_description_says(trades: list[m.Trade]) -> None:
    total = 0
    for trade in trades:
        for seed, shift in ((0x9E3779B97F4A7C15, 64), (0xC2B2AE3D27D4EB4F, 0)):
            h = seed ^ word("trade")
            for name in ("symbol", "ts_event", "ts_recv", "seq", "prev", "src", "price", "size", "side"):
                h = mixed(h ^ word(getattr(trade, name)))
            total += h << shift
    assert digest.digest(from_messages("trade", trades)) == total % 2**128
