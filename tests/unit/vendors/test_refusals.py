"""What Binance's vendors can't normalise is refused with a short reason, and never raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapedeck import vendors
from tapedeck.message import KIND_OF, breach, decode, encode
from tapedeck.vendors import Chatter, Refusal, Vendor

BOTH = [vendors.get("binance_usdm"), vendors.get("binance_spot")]
RECV, SRC = 1_723_161_255_088_176_367, 7
LEVELS = [["1.5", "2"]]
DATA: dict[str, dict[str, Any]] = {
    "trade": {"e": "trade", "E": 5, "T": 5, "s": "BTCUSDT", "t": 3, "p": "1.5", "q": "2", "m": True},
    "bookTicker": {
        "e": "bookTicker", "E": 5, "T": 5, "s": "BTCUSDT", "u": 3, "b": "1", "B": "2", "a": "3", "A": "4",
    },
    "depth": {
        "e": "depthUpdate", "E": 5, "T": 5, "s": "BTCUSDT", "U": 3, "u": 4, "pu": 2, "b": LEVELS, "a": LEVELS,
    },
}  # fmt: skip


def envelope(kind: str, **changed: Any) -> bytes:
    return json.dumps({"stream": f"btcusdt@{kind}", "data": DATA[kind.split("@")[0]] | changed}).encode()


def reason(vendor: Vendor, payload: bytes) -> str:
    (refused,) = vendor.normalise(payload, RECV, SRC)
    assert isinstance(refused, Refusal), refused
    return refused.reason


@pytest.mark.parametrize("vendor", BOTH, ids=lambda v: v.name)
@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b'{"stream":"btcusdt@trade","data":{"e":"tr', "not JSON"),
        (b"[1]", "not as documented: Expected `object`, got `array`"),
        (b"{}", "neither a stream's message nor a snapshot"),
        (b'{"e":"trade","s":"BTCUSDT"}', "neither a stream's message nor a snapshot"),
        (b'{"error":{"code":2,"msg":"Invalid request"},"id":1}', "the venue answered with an error"),
        (b'{"code":-1121,"msg":"Invalid symbol."}', "the venue answered with an error"),
        (b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade"}}', "no such stream"),
        (b'{"stream":"btcusdt@depth5@100ms","data":{"lastUpdateId":1,"bids":[]}}', "no such stream"),
        (b'{"stream":"btcusdt","data":{}}', "no such stream"),
        (b'{"stream":"btcusdt@trade"}', "missing required field `data`"),
        (b'{"stream":"btcusdt@trade","data":null}', "Expected `object`, got `null`"),
        (b'{"stream":"\xff\xfe@trade","data":{}}', "not UTF-8"),
        (b'{"stream":"deepusdt@trade","data":' + b"[" * 200_000, "nested too deeply"),
        (b"[" * 200_000, "Expected `object`, got `array`"),
        (b'{"stream":"btcusdt@trade","x":' + b'{"a":' * 200_000, "nested too deeply"),
        (b'{"stream":"@snapshot","data":{"lastUpdateId":1,"bids":[],"asks":[]}}', "symbol is not 1 to 64"),
        (envelope("trade", s="ETHUSDT"), "another symbol"),
        (envelope("trade", e="bookTicker"), "another event"),
        (envelope("depth", e="depthSnapshot"), "another event"),
        (envelope("trade", p="nan"), "a price or size is not finite"),
        (envelope("trade", p="-inf"), "a price or size is not finite"),
        (envelope("depth", b=[["1", "Infinity"]]), "a price or size is not finite"),
        (envelope("trade", p="1e999"), "Number out of range"),
        (envelope("trade", p="12,5"), "Expected `float`, got `str`"),
        (envelope("trade", p=None), "Expected `float`, got `null`"),
        (envelope("trade", t=-1), "Expected `int` >= 0"),
        (envelope("trade", t=2**63), "Expected `int` <= 9223372036854775807"),
        (envelope("trade", t=10**4000), "Expected `int` <= 9223372036854775807"),
        (envelope("trade", E=1723161256322000), "Expected `int` <= 9223372036854"),
        (envelope("depth", a=[["1"]]), "Expected `array` of length 2"),
        (envelope("depth", u="x"), "Expected `int`, got `str`"),
    ],
)  # fmt: skip
def test_is_refused(vendor: Vendor, payload: bytes, why: str) -> None:
    found = reason(vendor, payload)
    assert why in found
    assert len(found) < 200


@pytest.mark.parametrize("vendor", BOTH, ids=lambda v: v.name)
@pytest.mark.parametrize("kind", ["trade", "bookTicker", "depth"])
def test_is_refused_as_well_once_its_stream_is_known(vendor: Vendor, kind: str) -> None:
    (message,) = vendor.normalise(envelope(kind), RECV, SRC)
    assert type(message) in KIND_OF
    text = json.dumps({"stream": f"btcusdt@{kind}", "data": DATA[kind]}, separators=(",", ":"))
    assert vendor.normalise(text.encode(), RECV, SRC) == [message]
    assert "another symbol" in reason(vendor, text.replace("BTCUSDT", "ETHUSDT").encode())
    assert "not JSON" in reason(vendor, text[:-1].encode())
    assert "finite" in reason(vendor, text.replace('"2"', '"nan"').encode())
    assert "not UTF-8" in reason(vendor, text.encode().replace(b'"BTCUSDT"', b'"BTC\xff"'))


def test_a_reason_never_quotes_the_payload() -> None:
    for vendor in BOTH:
        for payload in (
            envelope("trade", p="SECRET"),
            envelope("trade", e="SECRET"),
            b'{"stream":"SECRET@x"}',
        ):
            assert "SECRET" not in reason(vendor, payload)


def test_a_saved_snapshot_without_its_symbol_is_refused_by_both() -> None:
    for vendor in BOTH:
        assert reason(vendor, b'{"lastUpdateId":1,"bids":[],"asks":[]}').startswith(
            "snapshot names no symbol;"
        )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["nan", "inf", "1e400", "BTCUSDT", "trade", "-0", "1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(
    st.sampled_from(BOTH), st.sampled_from(["trade", "bookTicker", "depth", "depth@100ms"]), st.data(),
)  # fmt: skip
def test_whatever_stands_in_a_field_is_a_message_within_the_contract_or_a_refusal(
    vendor: Vendor, kind: str, data: st.DataObject
) -> None:
    fields = DATA[kind.split("@")[0]]
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), json_values, max_size=3))
    check(vendor, envelope(kind, **changed))


@given(st.sampled_from(BOTH), st.binary(max_size=60), st.integers(0, 150), st.integers(0, 150))
def test_a_payload_with_rubbish_anywhere_is_a_message_within_the_contract_or_a_refusal(
    vendor: Vendor, rubbish: bytes, at: int, length: int
) -> None:
    for kind in ("trade", "bookTicker", "depth"):
        whole = json.dumps({"stream": f"btcusdt@{kind}", "data": DATA[kind]}, separators=(",", ":")).encode()
        vendor.normalise(whole, RECV, SRC)
        check(vendor, whole[:at] + rubbish + whole[at + length :])
    check(vendor, rubbish)


def check(vendor: Vendor, payload: bytes) -> None:
    said = vendor.normalise(payload, RECV, SRC)
    assert len(said) == 1
    for one in said:
        if isinstance(one, Refusal):
            assert 0 < len(one.reason) < 200
        elif not isinstance(one, Chatter):
            assert breach(one) is None
            assert one.ts_recv == RECV
            assert decode(encode(one)) == one
    vendor.stream_of(payload)
