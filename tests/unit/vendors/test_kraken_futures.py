"""Kraken Futures: every field of every feed, from payloads as the venue sends them."""

from __future__ import annotations

import json

import pytest

from tapedeck import vendors
from tapedeck.message import Book, Quote, Trade
from tapedeck.vendors import Chatter, Refusal

RECV = 1_723_161_254_087_896_568
MS = 1_000_000
kraken = vendors.get("kraken_futures")
TRADE = (
    b'{"product_id":"PF_XBTUSD","feed":"trade","uid":"896cb851-8322-4946-a123-945c453aa17f","side":"sell",'
    b'"type":"fill","time":1786046342957,"qty":0.0046,"price":64401.0,"seq":45847}'
)


def test_a_trade_has_its_takers_side_and_is_chained_by_its_count() -> None:
    expected = Trade("PF_XBTUSD", 1786046342957 * MS, RECV, 45847, 45846, 9, 64401.0, 0.0046, -1)
    assert kraken.normalise(TRADE, RECV, 9) == [expected]
    (bought,) = kraken.normalise(TRADE.replace(b'"sell"', b'"buy"').replace(b"fill", b"liquidation"), RECV, 9)
    assert isinstance(bought, Trade)
    assert bought.side == 1


def test_the_trades_that_the_venue_repeats_on_subscribing_are_chatter() -> None:
    payload = b'{"feed":"trade_snapshot","product_id":"PF_XBTUSD","trades":[' + TRADE + b"]}"
    assert kraken.normalise(payload, RECV, 9) == [Chatter("trade_snapshot")]


def test_a_ticker_is_a_quote() -> None:
    payload = (
        b'{"time":1676393235406,"product_id":"PI_XBTUSD","funding_rate":-6.2604214e-11,"feed":"ticker",'
        b'"bid":21978.5,"ask":21987.0,"bid_size":2536.0,"ask_size":13948.0,"volume":31403908.0,"dtm":0,'
        b'"leverage":"50x","index":21984.54,"premium":-0.0,"last":21983.5,"suspended":false,"post_only":false}'
    )
    assert kraken.normalise(payload, RECV, 9) == [
        Quote("PI_XBTUSD", 1676393235406 * MS, RECV, 0, 0, 9, 21978.5, 21987.0, 2536.0, 13948.0)
    ]
    empty = payload.replace(b'"bid":21978.5', b'"bid":null').replace(b'"bid_size":2536.0,', b"")
    assert kraken.normalise(empty, RECV, 9) == [
        Quote("PI_XBTUSD", 1676393235406 * MS, RECV, 0, 0, 9, 0.0, 21987.0, 0.0, 13948.0)
    ]


def test_a_light_ticker_is_a_quote_without_sizes_and_time() -> None:
    payload = (
        b'{"premium":0.0,"product_id":"PF_XBTUSD","feed":"ticker_lite","bid":64401.0,"ask":64402.0,'
        b'"change":-0.68,"volume":3669.9134,"tag":"perpetual","pair":"XBT:USD","dtm":0,"maturityTime":0,'
        b'"volumeQuote":236982977.0066}'
    )
    assert kraken.normalise(payload, RECV, 9) == [Quote("PF_XBTUSD", 0, RECV, 0, 0, 9, 64401.0, 64402.0)]


def test_a_book_begins_with_a_snapshot_and_its_changes_count_up_from_there() -> None:
    snapshot = (
        b'{"feed":"book_snapshot","product_id":"PI_XBTUSD","timestamp":1646478671000,"seq":270511410,'
        b'"tickSize":null,"bids":[{"price":39253.0,"qty":34400.0},{"price":39252.5,"qty":28812.0}],'
        b'"asks":[{"price":39279.5,"qty":24550.0}]}'
    )
    change = (
        b'{"feed":"book","product_id":"PI_XBTUSD","side":"%s","seq":270511411,"price":39080.5,"qty":0.0,'
        b'"timestamp":1646479025941}'
    )
    assert kraken.normalise(snapshot, RECV, 9) == [
        Book(
            "PI_XBTUSD", 1646478671000 * MS, RECV, 270511410, 0, 9, 1,
            [(39253.0, 34400.0), (39252.5, 28812.0)], [(39279.5, 24550.0)],
        )
    ]  # fmt: skip
    event = 1646479025941 * MS
    assert kraken.normalise(change % b"buy", RECV, 9) == [
        Book("PI_XBTUSD", event, RECV, 270511411, 270511410, 9, 0, [(39080.5, 0.0)], [])
    ]
    assert kraken.normalise(change % b"sell", RECV, 9) == [
        Book("PI_XBTUSD", event, RECV, 270511411, 270511410, 9, 0, [], [(39080.5, 0.0)])
    ]


def test_what_is_left_out_is_not_known_and_less_than_nothing_takes_a_level_out() -> None:
    change = b'{"feed":"book","product_id":"PI_XBTUSD","side":"buy","price":39080.5,"qty":-1.0}'
    assert kraken.normalise(change, RECV, 9) == [Book("PI_XBTUSD", 0, RECV, 0, 0, 9, 0, [(39080.5, 0.0)], [])]
    image = b'{"feed":"book_snapshot","product_id":"A","seq":7,"bids":[{"price":1,"qty":-2}],"asks":[]}'
    assert kraken.normalise(image, RECV, 9) == [Book("A", 0, RECV, 7, 0, 9, 1, [(1.0, 0.0)], [])]
    quote = b'{"feed":"ticker","product_id":"A","bid":1.5,"ask":2.5}'
    assert kraken.normalise(quote, RECV, 9) == [Quote("A", 0, RECV, 0, 0, 9, 1.5, 2.5)]


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (b'{"event":"info","version":1}', "info"),
        (b'{"event":"subscribed","feed":"ticker","product_ids":["PI_XBTUSD"]}', "subscribed"),
        (b'{"event":"subscribed ","feed":"trade","product_ids":["PI_XBTUSD"]}', "subscribed"),
        (b'{"feed":"heartbeat","time":1534262350627}', "heartbeat"),
        (b'{"event":"pong"}', "pong"),
        (b'{"event":"unsubscribed","feed":"book","product_ids":["PI_XBTUSD"]}', "unsubscribed"),
    ],
)
def test_what_is_no_market_data_is_counted(payload: bytes, name: str) -> None:
    assert kraken.normalise(payload, RECV, 9) == [Chatter(name)]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b'{"event":"error","message":"Invalid product id"}', "answered with an error"),
        (b'{"event":"alert","message":"Bad request"}', "answered with an error"),
        (b'{"event":"subscribed_failed","feed":"book"}', "answered with an error"),
        (b'{"feed":"open_orders","order":{}}', "none of those that are read: book, book_snapshot, ticker"),
        (TRADE.replace(b"1786046342957", b"1786046342957000"), "Expected `int` <= 9223372036854 - at"),
        (TRADE.replace(b"64401.0", b"NaN"), "not JSON"),
        (TRADE.replace(b"64401.0", b'"nan"'), "not finite"),
        (TRADE.replace(b"45847", b"-1"), "Expected `int` >= 0"),
        (TRADE.replace(b"PF_XBTUSD", b"PF\\nXBT"), "symbol is not 1 to 64"),
    ],
)  # fmt: skip
def test_is_refused(payload: bytes, why: str) -> None:
    (refused,) = kraken.normalise(payload, RECV, 9)
    assert isinstance(refused, Refusal)
    assert why in refused.reason


def test_it_is_asked_for_its_feeds_and_heartbeats() -> None:
    assert kraken.websocket_url(["PF_XBTUSD"]) == "wss://futures.kraken.com/ws/v1"
    assert kraken.websocket_url(["PF_XBTUSD"], "ws://127.0.0.1:9/") == "ws://127.0.0.1:9/ws/v1"
    asked = [json.loads(text) for text in kraken.websocket_opening(["PF_XBTUSD", "PI_ETHUSD"], "")]
    assert [one["feed"] for one in asked] == ["trade", "ticker", "book", "heartbeat"]
    assert asked[0] == {"event": "subscribe", "feed": "trade", "product_ids": ["PF_XBTUSD", "PI_ETHUSD"]}
    assert kraken.stream_of(TRADE) == "trade PF_XBTUSD"
