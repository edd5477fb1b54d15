"""The encoder keeps every message bit for bit, and costs few bytes for what only tapedeck reads."""

from __future__ import annotations

import struct

import lz4.block
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck import digest
from tapedeck.columns import Columns, concat, empty, from_messages
from tapedeck.errors import Mismatch
from tapedeck.message import Book, Fields, Quote, Status, Trade
from tapedeck.store.decoder import decode, decode_all
from tapedeck.store.encoder import checksum, encode, encode_all

big = st.integers(-(2**63), 2**63 - 1)
time_ns = st.integers(1, 2**63 - 1)
number = st.floats(allow_nan=False, allow_infinity=False)
common = {
    "symbol": st.just("BTCUSDT"), "ts_event": st.integers(0, 2**63 - 1), "ts_recv": time_ns,
    "seq": big, "prev": big, "src": st.integers(1, 2**49),
}  # fmt: skip
levels = st.lists(st.tuples(number, number), max_size=4)
MESSAGES = {
    "trade": st.builds(Trade, **common, price=number, size=number, side=st.sampled_from([-1, 0, 1])),
    "quote": st.builds(Quote, **common, bid=number, ask=number, bid_size=number, ask_size=number),
    "book": st.builds(Book, **common, snapshot=st.sampled_from([0, 1]), bids=levels, asks=levels),
    "status": st.builds(Status, **common, code=big, text=st.text(max_size=20)),
    "fields": st.builds(
        Fields, **common, fields=st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,5}", fullmatch=True),
                                                 number, max_size=4)
    ),
}  # fmt: skip


def placed(kind: str, messages: list[object]) -> Columns:
    columns = from_messages(kind, messages)
    n = len(columns)
    return columns.with_arrays(
        topic=np.arange(n, dtype=np.int32) % 3, offset=np.arange(n, dtype=np.int64) * 7 + 2**40
    ).in_order()


def as_stored(columns: Columns) -> dict[str, object]:
    return {"_id": "0|BTCUSDT", "sy": "BTCUSDT", **encode(columns)}


def bits(column: np.ndarray) -> list[object]:
    if column.dtype == object:
        return [{k: struct.pack("<d", v) for k, v in x.items()} if isinstance(x, dict) else x for x in column]
    return [column.tobytes()]


@pytest.mark.parametrize("kind", MESSAGES)
def test_what_is_decoded_is_what_was_encoded_bit_for_bit(kind: str) -> None:
    @given(st.lists(MESSAGES[kind], min_size=1, max_size=12))
    def check(messages: list[object]) -> None:
        before = placed(kind, messages)
        after = decode(kind, as_stored(before))
        assert digest.digest(after) == digest.digest(before)
        for name, column in before.arrays.items():
            assert bits(after[name]) == bits(column), name
        if before.levels is not None:
            assert after.levels is not None
            assert after.levels.tobytes() == before.levels.tobytes()

    check()


@pytest.mark.parametrize("kind", MESSAGES)
def test_windows_that_are_encoded_or_decoded_together_are_as_each_alone(kind: str) -> None:
    @given(st.lists(st.lists(MESSAGES[kind], max_size=5), min_size=1, max_size=5))
    def check(windows: list[list[object]]) -> None:
        parts = [placed(kind, messages) if messages else empty(kind) for messages in windows]
        alone = [encode(part) for part in parts]
        assert encode_all(parts) == alone
        stored = [{"_id": f"{i}|BTCUSDT", "sy": "BTCUSDT", **one} for i, one in enumerate(alone)]
        together = decode_all(kind, stored)
        one_by_one = concat(kind, [decode(kind, one) for one in stored])
        assert len(together) == sum(map(len, windows))
        for name, column in one_by_one.arrays.items():
            assert bits(together[name]) == bits(column), name
        if one_by_one.levels is not None:
            assert together.levels is not None
            assert together.levels.tobytes() == one_by_one.levels.tobytes()

    check()


def test_a_document_whose_columns_have_another_length_is_damaged() -> None:
    stored = as_stored(trades(100))
    other = as_stored(trades(99))
    stored["cs"]["price"] = other["cs"]["price"]  # type: ignore[index]
    stored["crc"] = checksum(stored)
    with pytest.raises(Mismatch, match="damaged"):
        decode_all("trade", [as_stored(trades(5)), stored])


def trades(count: int) -> Columns:
    rng = np.random.default_rng(1)
    at = 1_723_161_256_000_000_000 + np.cumsum(rng.integers(1, 20_000_000, count))
    seq = 5_000_000_000 + np.arange(count)
    messages = [
        Trade("BTCUSDT", int(t) // 1_000_000 * 1_000_000, int(t), int(s), int(s) - 1, 1, 60_000.0, 0.001, 1)
        for t, s in zip(at, seq, strict=True)
    ]
    columns = from_messages("trade", messages)
    return columns.with_arrays(
        topic=np.full(count, 3, np.int32), offset=10**9 + np.cumsum(rng.integers(1, 30, count))
    )


def test_provenance_costs_at_most_two_bytes_a_message_of_a_steady_feed() -> None:
    stored = encode(trades(10_000))
    assert len(stored["own"]) < 2 * 10_000


SOME: dict[str, list[object]] = {
    "trade": [Trade("BTCUSDT", 5, 1_000_000 + i, i, i - 1, 1, 7.0 + i, 0.5, 1) for i in range(9)],
    "quote": [Quote("BTCUSDT", 5, 1_000_000 + i, i, 0, 1, 7.0 + i, 8.0 + i, 1.0, 2.0) for i in range(9)],
    "book": [Book("BTCUSDT", 5, 1_000_000 + i, i, 0, 1, 0, [(7.0, i)], [(8.0, 1.0)]) for i in range(5)],
    "status": [Status("BTCUSDT", 5, 1_000_000 + i, 0, 0, 1, i % 6, f"text {i}") for i in range(9)],
    "fields": [Fields("BTCUSDT", 5, 1_000_000 + i, i, 0, 1, {"bid": 7.0 + i}) for i in range(9)],
}


@pytest.mark.parametrize("kind", SOME)
def test_any_byte_of_any_stored_column_that_is_flipped_is_noticed(kind: str) -> None:
    """Values and masks, for a mask that hides a row hides it from stock arctic alone."""
    whole = as_stored(placed(kind, SOME[kind]))
    decode(kind, whole)
    for name, cell in whole["cs"].items():  # type: ignore[attr-defined]
        for part in ("d", "m"):
            for at in range(len(cell[part])):
                block = bytearray(cell[part])
                block[at] ^= 1 << at % 8
                flipped = whole | {"cs": whole["cs"] | {name: cell | {part: bytes(block)}}}  # type: ignore[operator]
                with pytest.raises(Mismatch, match="damaged"):
                    decode(kind, flipped)


def test_a_count_that_is_not_that_of_its_rows_is_noticed() -> None:
    for count in (99, 101, 2**60):
        with pytest.raises(Mismatch, match="hide rows"):
            decode("trade", as_stored(trades(100)) | {"c": count})


def test_a_mask_that_another_lz4_has_packed_is_as_good() -> None:
    whole = as_stored(trades(1000))
    for cell in whole["cs"].values():  # type: ignore[attr-defined]
        bits = lz4.block.decompress(cell["m"])
        cell["m"] = lz4.block.compress(bits, mode="high_compression", compression=9)
    assert len(decode("trade", whole)) == 1000


def test_a_book_message_without_levels_is_one_row_of_side_0() -> None:
    bare = Book("BTCUSDT", 0, 1_000_000, 5, 4, 1, 1)
    deep = Book("BTCUSDT", 0, 2_000_000, 6, 5, 1, 0, [(1.0, 2.0)], [(3.0, 4.0), (5.0, 0.0)])
    stored = as_stored(placed("book", [bare, deep]))
    assert stored["c"] == 4
    back = decode("book", stored)
    assert back["bids"].tolist() == [0, 1]
    assert back["asks"].tolist() == [0, 2]


def test_no_messages_make_a_document_of_no_rows() -> None:
    for kind in MESSAGES:
        stored = as_stored(empty(kind))
        assert stored["c"] == 0
        assert len(decode(kind, stored)) == 0
