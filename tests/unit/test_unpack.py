"""The compiled reader against msgspec, which is the contract: whatever bytes it is given."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from tapedeck import message as m
from tapedeck.codec import POISON, decode_batch
from tapedeck.message import KIND_OF, TAG_OF
from tapedeck.packed import join, pack
from tapedeck.rows import messages_of
from tapedeck.unpack import LEFT, about, unpack
from tests.unit.strategies import MESSAGES

TRADE = m.encode(m.Trade("BTCUSDT", 1, 2, 3, 2, 1, 61_800.3, 0.006, -1))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message with a byte changed, a piece cut out or something put in."""
    value = bytearray(m.encode(draw(MESSAGES)))
    at = draw(st.integers(0, len(value)))
    how = draw(st.sampled_from(("change", "cut", "put", "end")))
    if how == "change" and at < len(value):
        value[at] = draw(st.integers(0, 255))
    elif how == "cut":
        del value[at : at + draw(st.integers(1, 9))]
    elif how == "put":
        value[at:at] = draw(st.binary(max_size=9))
    else:
        del value[at:]
    return bytes(value)


@given(st.lists(st.one_of(damaged(), MESSAGES.map(m.encode)), max_size=30))
@example([TRADE[:n] for n in range(len(TRADE))])
@example([TRADE.replace(b"\xa7BTCUSDT", b"\xdb\x00\x00\x00\x07BTCUSDT"), TRADE + b"\x00", b"\xdc" + TRADE])
def test_what_it_reads_is_what_msgspec_reads_and_nothing_else(values: list[bytes]) -> None:
    decoded = decode_batch(pack(values))
    bad = {position for position, _ in decoded.undecodable}
    back = {
        record: message
        for columns in decoded.columns.values()
        if columns.kind != "void"
        for record, message in zip(columns["record"].tolist(), messages_of(columns), strict=True)
    }
    for position, value in enumerate(values):
        try:
            truth = m.decode(value)
        except POISON:
            assert position in bad
            continue
        if m.breach(truth) is not None:
            assert position in bad
        elif KIND_OF[type(truth)] != "void":
            assert back[position] == truth


@given(st.lists(st.sampled_from("ABCDEFGH"), max_size=50))
def test_common_messages_are_read_by_it_and_not_left(symbols: list[str]) -> None:
    trades = [m.Trade(symbol * 8, 0, i + 1, i, 0, 1, 1.0, 2.0, 1) for i, symbol in enumerate(symbols)]
    found = unpack(pack(m.encode(trade) for trade in trades))
    assert not (found.kind == LEFT).any()
    assert [found.symbols[code] for code in found.symbol] == [trade.symbol for trade in trades]


@given(st.lists(st.lists(st.one_of(st.none(), st.binary(max_size=5)), max_size=8), max_size=5))
def test_packed_strings_are_the_strings_wherever_their_memory_begins(parts: list[list[bytes | None]]) -> None:
    whole = join([pack(part) for part in parts])
    plain = [value for part in parts for value in part]
    assert [whole.or_none(i) for i in range(len(whole))] == plain
    assert list(whole) == [value or b"" for value in plain]
    tail = whole.part(len(plain) // 2, len(plain))
    assert list(tail) == list(whole)[len(plain) // 2 :]
    order = list(range(len(tail)))[::-1]
    turned = tail.take(np.array(order, np.int64))
    assert [turned.or_none(i) for i in range(len(turned))] == plain[len(plain) // 2 :][::-1]
    assert list(join([tail, whole])) == [*list(tail), *list(whole)]


@given(
    st.lists(st.one_of(damaged(), MESSAGES.map(m.encode)), max_size=30), st.sampled_from(sorted(TAG_OF)),
    st.sampled_from([(), ("BTCUSDT",), ("*", "A"), ("ÄÖ", "BTCUSDT")]),
)  # fmt: skip
@example([TRADE[:n] for n in range(len(TRADE))], "trade", ("BTCUSDT",))
def test_no_record_that_a_reader_asks_for_is_passed_over(
    values: list[bytes], kind: str, symbols: tuple[str, ...]
) -> None:
    meant = about(pack(values), TAG_OF[kind], symbols).tolist()
    for value, is_meant in zip(values, meant, strict=True):
        try:
            found = m.decode(value)
        except POISON:
            continue
        if isinstance(found, m.Void) or (KIND_OF[type(found)] == kind and found.symbol in symbols):
            assert is_meant
    others = [m.encode(m.Trade("OTHER", 1, 2, 3, 2, 1, 1.0, 1.0)), m.encode(m.Heartbeat("*", 0, 1, 0, 0, 1))]
    assert about(pack(others), "t", ["BTCUSDT"]).tolist() == [False, False]
