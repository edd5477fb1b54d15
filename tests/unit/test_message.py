"""The wire format of DESIGN §3: golden bytes, a foreign decoder as oracle, old and new readers."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck import message as m
from tapedeck.codec import decode_batch
from tapedeck.packed import pack
from tapedeck.rows import messages_of
from tests.unit.strategies import MESSAGES

GOLDEN: list[tuple[m.Message, str]] = [
    (
        m.Trade("BTCUSDT", 1_723_161_256_322_000_000, 1_723_161_255_088_176_367, 5_266_583_935,
                5_266_583_934, 1, 61_800.3, 0.006, -1),
        "9aa174a742544355534454cf17e9e6086dc9e480cf17e9e608243f3cefcf0000000139"
        "e9b17fcf0000000139e9b17e01cb40ee2d099999999acb3f789374bc6a7efaff",
    ),
    (
        m.Quote("ES", 0, 1, 2, 0, 1001, 1.5, 2.5, 3.0, 4.0),
        "9ba171a2455300010200cd03e9cb3ff8000000000000cb4004000000000000cb4008000000000000"
        "cb4010000000000000",
    ),
    (
        m.Book("ES", 0, 1, 2, 1, 1, 1, [(1.0, 2.0)], []),
        "9aa162a24553000102010101" "9192cb3ff0000000000000cb4000000000000000" "90",
    ),
    (m.Status("*", 0, 1, 0, 0, 1, 4, "bus gone"), "99a173a12a00010000" "0104a862757320676f6e65"),
    (
        m.Fields("EUR=", 0, 1, 0, 0, 1, {"BID": 1.25}),
        "98a166a44555523d0001000001" "81a3424944cb3ff4000000000000",
    ),
    (m.Heartbeat("*", 0, 9, 0, 0, 1, 5, 7), "9ba168a12a000900000105" "070001"),
    (m.Void("*", 0, 5, 0, 0, 1, 9, 3, "x"), "9aa176a12a00050000010903a178"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "golden"), GOLDEN, ids=lambda v: type(v).__name__)
def test_the_bytes_on_the_wire_do_not_drift(message: m.Message, golden: str) -> None:
    assert m.encode(message).hex() == golden
    assert m.decode(bytes.fromhex(golden)) == message


@given(MESSAGES)
def test_a_stranger_reads_what_we_write_with_msgpack_alone(message: m.Message) -> None:
    letter, *values = msgpack.unpackb(m.encode(message), use_list=False)
    fields = [getattr(message, name) for name in message.__struct_fields__]
    plain = [tuple(map(tuple, v)) if isinstance(v, list) else v for v in fields]
    assert letter == type(message).__struct_config__.tag
    assert values == plain


@given(MESSAGES)
def test_what_a_stranger_writes_with_msgpack_is_read_as_it_was_meant(message: m.Message) -> None:
    plain = [type(message).__struct_config__.tag]
    plain += [getattr(message, name) for name in message.__struct_fields__]
    assert m.decode(msgpack.packb(plain)) == message


@given(MESSAGES, st.lists(st.one_of(st.integers(0, 9), st.text(max_size=3)), max_size=3))
def test_fields_appended_later_are_ignored(message: m.Message, later: list[Any]) -> None:
    whole = msgpack.unpackb(m.encode(message), strict_map_key=False) + later
    assert m.decode(msgpack.packb(whole)) == message


def test_missing_trailing_fields_take_their_defaults() -> None:
    common = ("A", 0, 1, 2, 3, 4)
    assert m.decode(msgpack.packb(["t", *common, 5.0, 6.0])) == m.Trade(*common, 5.0, 6.0, side=0)
    assert m.decode(msgpack.packb(["q", *common, 5.0, 6.0])) == m.Quote(*common, 5.0, 6.0, 0.0, 0.0)
    assert m.decode(msgpack.packb(["b", *common])) == m.Book(*common, 0, [], [])
    assert m.decode(msgpack.packb(["s", *common])) == m.Status(*common, 0, "")
    assert m.decode(msgpack.packb(["h", *common, 1, 2])) == m.Heartbeat(*common, 1, 2, closing=0, connected=1)


@pytest.mark.parametrize(
    "poison",
    [
        b"", b"\xc1", b"\x91\xa1t", msgpack.packb(["z", "A", 0, 1, 2, 3, 4]), msgpack.packb({"kind": "t"}),
        msgpack.packb(["t", "A", 0, 2**63, 0, 0, 1, 1.0, 1.0, 0]),
        msgpack.packb(["t", "A", 0, 1, 0, 0, 1, "1.0", 1.0, 0]),
        msgpack.packb(["f", "A", 0, 1, 0, 0, 1, {"$a": 1.0}]), b"\x91" * 5000,
    ],
)  # fmt: skip
def test_poison_is_refused_by_type(poison: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, RecursionError)):
        m.decode(poison)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_break_the_contract(number: float) -> None:
    common = ("A", 0, 1, 2, 3, 4)
    for message in (
        m.Trade(*common, number, 1.0), m.Trade(*common, 1.0, number), m.Quote(*common, 1.0, number),
        m.Book(*common, 0, [(1.0, 2.0)], [(number, 1.0)]), m.Fields(*common, {"a": 1.0, "b": number}),
    ):  # fmt: skip
        assert m.breach(message) == "a price or size is not finite"
        assert decode_batch(pack([m.encode(message)])).undecodable == [(0, "a price or size is not finite")]


def test_huge_but_finite_numbers_keep_the_contract() -> None:
    assert m.breach(m.Trade("A", 0, 1, 2, 3, 4, 1.7e308, 1.7e308)) is None


@given(st.lists(MESSAGES, max_size=20))
def test_a_batch_of_columns_holds_each_message_once_exactly(messages: list[m.Message]) -> None:
    decoded = decode_batch(pack(m.encode(message) for message in messages))
    assert decoded.undecodable == []
    back: dict[int, m.Message] = {}
    for kind, columns in decoded.columns.items():
        if kind != "void":
            back.update(zip(columns["record"].tolist(), messages_of(columns), strict=True))
    assert back == {i: one for i, one in enumerate(messages) if not isinstance(one, m.Void)}


@given(st.lists(st.one_of(MESSAGES.map(m.encode), st.binary(max_size=20)), max_size=20))
def test_every_record_is_either_a_message_or_undecodable(values: list[bytes]) -> None:
    decoded = decode_batch(pack(values))
    found = [p for columns in decoded.columns.values() for p in columns["record"].tolist()]
    assert sorted(found + [p for p, _ in decoded.undecodable]) == list(range(len(values)))
