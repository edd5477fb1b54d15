"""Coinbase Exchange: every field of every type, from payloads as the venue sends them."""

from __future__ import annotations

import json

import pytest

from tapedeck import vendors
from tapedeck.message import Book, Quote, Trade
from tapedeck.vendors import Chatter, Refusal

RECV = 1_723_161_254_087_896_568
coinbase = vendors.get("coinbase")
MATCH = (
    b'{"type":"match","trade_id":147587438,"maker_order_id":"3dbaddb1-3dcf-4511-b81c-89450a56deb4",'
    b'"taker_order_id":"421f3aaa-dfdd-4192-805a-bb73462ea6db","side":"sell","size":"0.00031874",'
    b'"price":"57786.82","product_id":"BTC-USD","sequence":22962703070,"time":"2021-03-21T03:47:27.112041Z"}'
)


def test_a_match_is_a_trade_whose_aggressor_is_on_the_other_side_than_its_maker() -> None:
    sold = Trade("BTC-USD", 1_616_298_447_112_041_000, RECV, 147587438, 147587437, 9, 57786.82, 0.00031874, 1)
    assert coinbase.normalise(MATCH, RECV, 9) == [sold]
    (bought,) = coinbase.normalise(MATCH.replace(b'"sell"', b'"buy"'), RECV, 9)
    assert isinstance(bought, Trade)
    assert bought.side == -1


def test_what_the_venue_repeats_on_subscribing_is_chatter_and_never_a_trade() -> None:
    assert coinbase.normalise(MATCH.replace(b'"match"', b'"last_match"'), RECV, 9) == [Chatter("last_match")]


def test_a_ticker_is_a_quote_whose_sequence_leaps() -> None:
    payload = (
        b'{"type":"ticker","sequence":37475248783,"product_id":"ETH-USD","price":"1285.22","open_24h":"1310.79",'
        b'"volume_24h":"245532.79269678","low_24h":"1280.52","high_24h":"1313.8","volume_30d":"9788783.60117027",'
        b'"best_bid":"1285.04","best_bid_size":"0.46688654","best_ask":"1285.27","best_ask_size":"1.56637040",'
        b'"side":"buy","time":"2022-10-19T23:28:22.061769Z","trade_id":370843401,"last_size":"11.4396987"}'
    )
    assert coinbase.normalise(payload, RECV, 9) == [
        Quote(
            "ETH-USD", 1_666_222_102_061_769_000, RECV, 37475248783, 0, 9,
            1285.04, 1285.27, 0.46688654, 1.5663704,
        )
    ]  # fmt: skip


def test_a_ticker_of_before_the_sizes_and_one_of_an_empty_side() -> None:
    said = {
        "type": "ticker", "sequence": 5, "product_id": "BTC-USD", "best_bid": "29940.90", "best_ask": "",
    }  # fmt: skip
    assert coinbase.normalise(json.dumps(said).encode(), RECV, 9) == [
        Quote("BTC-USD", 0, RECV, 5, 0, 9, 29940.9, 0.0, 0.0, 0.0)
    ]


def test_a_snapshot_is_a_whole_book_with_its_time_where_it_says_one() -> None:
    payload = (
        b'{"type":"snapshot","product_id":"BTC-USD","asks":[["37212.77","0.05724592"]],'
        b'"bids":[["37209.96","0.04016376"],["37209.32","0.00192256"]]}'
    )
    bids, asks = [(37209.96, 0.04016376), (37209.32, 0.00192256)], [(37212.77, 0.05724592)]
    assert coinbase.normalise(payload, RECV, 9) == [Book("BTC-USD", 0, RECV, 0, 0, 9, 1, bids, asks)]
    timed = payload[:-1] + b',"time":"2026-09-30T01:41:50Z"}'
    assert coinbase.normalise(timed, RECV, 9) == [
        Book("BTC-USD", 1_790_732_510_000_000_000, RECV, 0, 0, 9, 1, bids, asks)
    ]


def test_an_update_of_level_2_is_one_book_change_with_both_sides_in_their_order() -> None:
    payload = (
        b'{"type":"l2update","product_id":"BTC-USD","changes":[["buy","37378.26","0.02460000"],'
        b'["sell","37380.00","0.00000000"],["buy","37377.00","1"]],"time":"2021-06-02T09:02:09.048568Z"}'
    )
    assert coinbase.normalise(payload, RECV, 9) == [
        Book(
            "BTC-USD", 1_622_624_529_048_568_000, RECV, 0, 0, 9, 0,
            [(37378.26, 0.0246), (37377.0, 1.0)], [(37380.0, 0.0)],
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2021-03-21T03:47:27Z", 1_616_298_447_000_000_000),
        ("2021-03-21T03:47:27.1Z", 1_616_298_447_100_000_000),
        ("2021-03-21T03:47:27.112041999Z", 1_616_298_447_112_041_999),
        ("2021-03-21T05:17:27.000000001+01:30", 1_616_298_447_000_000_001),
        ("1970-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00.000000Z", 0),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_every_digit_of_a_time_is_kept(text: str, ns: int) -> None:
    (trade,) = coinbase.normalise(MATCH.replace(b"2021-03-21T03:47:27.112041Z", text.encode()), RECV, 9)
    assert isinstance(trade, Trade)
    assert trade.ts_event == ns


@pytest.mark.parametrize(
    "text",
    [
        "2021-03-21T03:47:27", "2021-03-21T03:47:27.1234567890Z", "2021-02-30T03:47:27Z", "1616298447", "5m",
        "2021-03-21 03:47:27Z", "1969-12-31T23:59:59Z", "2262-04-11T23:47:16.854775808Z",
        "9999-01-01T00:00:00Z", "2021-03-21T03:47:27.١Z", "0001-01-01T00:00:01Z", "0001-01-01T00:00:00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    (refused,) = coinbase.normalise(MATCH.replace(b"2021-03-21T03:47:27.112041Z", text.encode()), RECV, 9)
    assert isinstance(refused, Refusal)
    assert refused.reason.startswith("a time is ")


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (
            b'{"type":"subscriptions","channels":[{"name":"level2_50","product_ids":["BTC-USD"],'
            b'"account_ids":null},{"name":"matches","product_ids":["BTC-USD"],"account_ids":null}]}',
            "subscriptions",
        ),
        (
            b'{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD",'
            b'"time":"2014-11-07T08:19:28.464459Z"}',
            "heartbeat",
        ),
        (b'{"type":"status","products":[{"id":"BTC-USD","status":"online"}],"currencies":[]}', "status"),
    ],
)  # fmt: skip
def test_what_is_no_market_data_is_counted(payload: bytes, name: str) -> None:
    assert coinbase.normalise(payload, RECV, 9) == [Chatter(name)]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b'{"type":"error","message":"Failed to subscribe","reason":"..."}', "answered with an error"),
        (b'{"type":"open","product_id":"BTC-USD","sequence":10}', "none of those that are read: l2update,"),
        (b'{"product_id":"BTC-USD"}', "none of those that are read"),
        (MATCH.replace(b'"0.00031874"', b'"inf"'), "not finite"),
        (MATCH.replace(b'"sell"', b'"SECRET"'), "Unknown value - at `$.side`"),
        (MATCH.replace(b"BTC-USD", b"*"), "means the whole feed"),
        (MATCH.replace(b"BTC-USD", b""), "symbol is not 1 to 64"),
        (MATCH[:-2], "not JSON"),
    ],
)  # fmt: skip
def test_is_refused(payload: bytes, why: str) -> None:
    (refused,) = coinbase.normalise(payload, RECV, 9)
    assert isinstance(refused, Refusal)
    assert why in refused.reason
    assert "SECRET" not in refused.reason


def test_it_is_asked_for_its_channels() -> None:
    assert coinbase.websocket_url(["BTC-USD"]) == "wss://ws-feed.exchange.coinbase.com"
    assert coinbase.websocket_url(["BTC-USD"], "ws://127.0.0.1:9/") == "ws://127.0.0.1:9"
    (asked,) = coinbase.websocket_opening(["BTC-USD", "ETH-USD"], "")
    assert json.loads(asked) == {
        "type": "subscribe",
        "product_ids": ["BTC-USD", "ETH-USD"],
        "channels": ["matches", "ticker", "level2_batch", "heartbeat"],
    }
    assert coinbase.stream_of(MATCH) == "match BTC-USD"
