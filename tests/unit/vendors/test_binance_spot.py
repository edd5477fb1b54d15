"""Binance spot: what differs from the futures: quotes without a time, books chained by U - 1."""

from __future__ import annotations

from tapedeck import vendors
from tapedeck.message import Book, Quote, Trade

RECV = 1_723_161_254_087_896_568
MS = 1_000_000
spot = vendors.get("binance_spot")


def test_a_trade_is_read_with_its_eight_digits() -> None:
    payload = (
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
        b'"p":"61837.63000000","q":"0.02000001","T":1723161255342,"m":true,"M":true}}'
    )
    assert spot.normalise(payload, RECV, 9) == [
        Trade("BTCUSDT", 1723161255343 * MS, RECV, 3735683259, 3735683258, 9, 61837.63, 0.02000001, -1)
    ]


def test_a_best_quote_has_no_time_of_the_venue() -> None:
    payload = (
        b'{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000",'
        b'"B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}'
    )
    assert spot.normalise(payload, RECV, 9) == [
        Quote("BTCUSDT", 0, RECV, 50093239212, 0, 9, 61837.63, 61837.64, 3.78826, 1.54698)
    ]


def test_a_book_change_is_chained_to_the_update_before_its_first_one() -> None:
    payload = (
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT",'
        b'"U":50093239189,"u":50093239202,"b":[["61737.63000000","0.00000000"]],"a":[]}}'
    )
    assert spot.normalise(payload, RECV, 9) == [
        Book("BTCUSDT", 1723161255208 * MS, RECV, 50093239202, 50093239188, 9, 0, [(61737.63, 0.0)], [])
    ]


def test_a_snapshot_has_no_time_of_the_venue() -> None:
    image = b'{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[]}'
    assert spot.normalise(image, RECV, 9, "BTCUSDT") == [
        Book("BTCUSDT", 0, RECV, 50093239218, 0, 9, 1, [(61837.63, 3.78826)], [])
    ]


def test_the_venues_address_can_be_another_host() -> None:
    url = spot.websocket_url(["BTCUSDT"], "ws://127.0.0.1:9")
    assert url == "ws://127.0.0.1:9/stream?streams=btcusdt@trade/btcusdt@bookTicker/btcusdt@depth@100ms"
    assert spot.websocket_url(["BTCUSDT"]).startswith("wss://stream.binance.com:9443/stream?streams=btcusdt@")
