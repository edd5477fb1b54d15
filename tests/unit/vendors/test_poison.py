"""Whatever a bus brings, a vendor says sound messages and refusals, and nothing it brought before matters."""

from __future__ import annotations

import copy
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapedeck import vendors
from tapedeck.message import KIND_OF, WHOLE_FEED, breach, decode, encode
from tapedeck.vendors import Chatter, Normalised, Refusal, Vendor
from tapedeck.vendors.decoding import MOST_BROKEN
from tests.unit.vendors.samples import SAID, samples

RECV, SRC = 1_723_161_255_088_176_367, 7
NAMES = sorted(SAID)
BIG = 10 * 2**20
SYMBOL = ("s", "product_id", "instId", "Name")
"""What vendors call it."""
POISON: list[Any] = [
    "nan", "-inf", "1e400", "*", "", "-0", "1", "\n", "\x00", "a\u202eb", "\ud800", "x" * 65, "buy", "update",
    "snapshot", "Refresh", "Login", "trades", "2021-02-30T00:00:00Z", None, True, False, 0, -1, 2**55, 2**63,
    2**64, 10**400, 1.5, 1e308, -1e308, float("nan"), float("inf"), [], {}, [[]], [["1"]], {"": ""}, [0] * 20,
]  # fmt: skip
RUBBISH = st.one_of(
    st.sampled_from(POISON), st.integers(), st.integers(2**62, 2**70), st.floats(), st.text(max_size=8),
    st.lists(st.integers(0, 9), max_size=3), st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
)  # fmt: skip


def check(vendor: Vendor, payload: bytes) -> Normalised:
    """What a payload says, every bit of it within the contract, twice the same."""
    said = vendor.normalise(payload, RECV, SRC)
    assert said
    k = 0
    for one in said:
        if isinstance(one, Chatter):
            assert 0 < len(one.name) < 100
            continue
        if isinstance(one, Refusal):
            assert 0 < len(one.reason) < 200
        else:
            assert breach(one) is None
            assert (one.ts_recv, one.src) == (RECV + k, SRC)
            assert one.symbol != WHOLE_FEED
            assert decode(encode(one)) == one
        k += 1
    assert k <= max(1, len(payload))
    assert vendor.normalise(payload, RECV, SRC) == said
    vendor.stream_of(payload)
    for answer in vendor.websocket_reply(payload, ["A"]):
        json.loads(answer)
    return said


def as_json(said: Any) -> bytes:
    """As venues write it, with what is no JSON in it where it holds NaN or half a surrogate pair."""
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def places(said: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    inside = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    return [path for key, value in inside for path in ((*above, key), *places(value, (*above, key)))]


def changed(said: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value there."""
    said = copy.deepcopy(said)
    inside = said
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return said


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_says_what_it_is(name: str) -> None:
    for payload in samples(name):
        assert not [one for one in check(vendors.get(name), payload) if isinstance(one, Refusal)]
    kinds = {KIND_OF.get(type(one)) for p in samples(name) for one in vendors.get(name).normalise(p, 1, 1)}
    assert kinds >= ({"fields", "status"} if name == "lseg" else {"trade", "quote", "book"})


@pytest.mark.parametrize("name", NAMES)
def test_every_poison_in_every_place(name: str) -> None:
    for said in SAID[name]:
        for path in places(said):
            for poison in POISON:
                check(vendors.get(name), as_json(changed(said, path, poison)))


@settings(max_examples=150)
@given(st.sampled_from(NAMES), st.data())
def test_whatever_stands_in_any_place(name: str, data: st.DataObject) -> None:
    said = data.draw(st.sampled_from(SAID[name]))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(said) or [()]))
        said = changed(said, path, data.draw(RUBBISH)) if path else said
    check(vendors.get(name), as_json(said))


@settings(max_examples=60)
@given(st.sampled_from(NAMES), st.data(), st.binary(max_size=40))
def test_bytes_cut_out_or_put_in_anywhere(name: str, data: st.DataObject, rubbish: bytes) -> None:
    payload = data.draw(st.sampled_from(samples(name)))
    at = data.draw(st.integers(0, len(payload)))
    check(vendors.get(name), payload[:at] + rubbish + payload[at + data.draw(st.integers(0, 60)) :])
    check(vendors.get(name), payload[:at])
    check(vendors.get(name), rubbish)


@pytest.mark.parametrize("name", NAMES)
def test_a_line_feed_is_space_between_words_and_no_part_of_a_name(name: str) -> None:
    vendor = vendors.get(name)
    for said, payload in zip(SAID[name], samples(name), strict=True):
        assert check(vendor, json.dumps(said, indent=1).encode()) == vendor.normalise(payload, RECV, SRC)
        for path in places(said):
            if path[-1] in SYMBOL:
                check(vendor, as_json(changed(said, path, "A\nB")))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bomb", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a":[' * 100_000])
def test_a_nested_bomb_is_refused_wherever_it_stands(name: str, bomb: bytes) -> None:
    vendor = vendors.get(name)
    for payload in (
        bomb,
        *(p[:-1] + b',"bomb":' + bomb for p in samples(name)),
        samples(name)[0][:-2] + bomb,
    ):
        (refused,) = check(vendor, payload)
        assert isinstance(refused, Refusal)


@pytest.mark.parametrize("name", NAMES)
def test_ten_megabytes_are_refused_or_one_message(name: str) -> None:
    vendor = vendors.get(name)
    first = samples(name)[0]
    at = first.rindex(b'"', 0, first.rindex(b'"'))
    for filling in (b"x" * BIG, b'","' * (BIG // 3), b"\xff" * BIG, b"\\n" * (BIG // 2)):
        assert len(check(vendor, first[:at] + filling + first[at:])) <= 10
    for path in places(SAID[name][0]):
        if path[-1] in SYMBOL:
            check(vendor, as_json(changed(SAID[name][0], path, "x" * BIG)))
    for nonsense in (b"0," * (BIG // 2), b"[]," * (BIG // 3), b"{}," * (BIG // 3), b" " * BIG):
        (refused,) = vendor.normalise(b"[" + nonsense + b"0]", RECV, SRC)
        assert isinstance(refused, Refusal)


@pytest.mark.parametrize(
    ("name", "head", "part", "tail"),
    [
        ("okx", b'{"arg":{"channel":"trades","instId":"A"},"data":[', b"0", b"]}"),
        ("lseg", b"[", b'{"Type":[]}', b"]"),
    ],
)
def test_a_payload_of_many_broken_parts_is_refused_once(
    name: str, head: bytes, part: bytes, tail: bytes
) -> None:
    vendor = vendors.get(name)
    for many in (MOST_BROKEN + 1, 9_000, 20_000, 2_000_000):
        payload = head + b",".join([part] * many) + tail
        tracemalloc.start()
        (refused,) = vendor.normalise(payload, RECV, SRC)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert isinstance(refused, Refusal)
        assert peak < 10 * len(payload) + 2**23
    assert len(check(vendor, head + b",".join([part] * MOST_BROKEN) + tail)) == MOST_BROKEN
