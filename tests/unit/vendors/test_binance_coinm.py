"""Binance COIN-M futures: what differs from USD-M: contracts of a pair, a snapshot that names its symbol."""

from __future__ import annotations

import pytest

from tapedeck import vendors
from tapedeck.errors import BadInput
from tapedeck.message import Book, Quote, Trade
from tapedeck.vendors import Refusal

RECV = 1_780_563_999_231_000_123
MS = 1_000_000
coinm = vendors.get("binance_coinm")


def test_a_trade_names_its_contract_as_the_venue_writes_it() -> None:
    payload = (
        b'{"stream":"btcusd_perp@trade","data":{"e":"trade","E":1780563999230,"T":1780563999229,'
        b'"s":"BTCUSD_PERP","t":1003561208,"p":"63298.7","q":"58","X":"MARKET","m":true}}'
    )
    assert coinm.normalise(payload, RECV, 7) == [
        Trade("BTCUSD_PERP", 1780563999230 * MS, RECV, 1003561208, 1003561207, 7, 63298.7, 58.0, -1)
    ]


def test_a_best_quote_of_a_dated_contract() -> None:
    payload = (
        b'{"stream":"btcusd_220325@bookTicker","data":{"u":300683916630,"e":"bookTicker","s":"BTCUSD_220325",'
        b'"ps":"BTCUSD","b":"49387.1","B":"34","a":"49387.2","A":"577","T":1640247707198,"E":1640247707203}}'
    )
    assert coinm.normalise(payload, RECV, 7) == [
        Quote("BTCUSD_220325", 1640247707203 * MS, RECV, 300683916630, 0, 7, 49387.1, 49387.2, 34.0, 577.0)
    ]


def test_a_book_change_is_chained_by_pu() -> None:
    payload = (
        b'{"stream":"btcusd_perp@depth@100ms","data":{"e":"depthUpdate","E":1780563999230,"T":1780563999229,'
        b'"s":"BTCUSD_PERP","ps":"BTCUSD","U":1691890103301,"u":1691890108316,"pu":1691890103299,'
        b'"b":[["63298.6","5563"]],"a":[["63298.7","0"]]}}'
    )
    assert coinm.normalise(payload, RECV, 7) == [
        Book(
            "BTCUSD_PERP", 1780563999230 * MS, RECV, 1691890108316, 1691890103299, 7, 0,
            [(63298.6, 5563.0)], [(63298.7, 0.0)],
        )
    ]  # fmt: skip


def test_a_snapshot_names_its_symbol_itself_and_is_believed() -> None:
    image = (
        b'{"lastUpdateId":16769853,"symbol":"BTCUSD_PERP","pair":"BTCUSD","E":1591250106370,'
        b'"T":1591250106368,"bids":[["9638.0","431"]],"asks":[["9638.2","12"]]}'
    )
    expected = Book(
        "BTCUSD_PERP", 1591250106370 * MS, RECV, 16769853, 0, 7, 1, [(9638.0, 431.0)], [(9638.2, 12.0)]
    )
    assert coinm.normalise(image, RECV, 7) == [expected]
    assert coinm.normalise(image, RECV, 7, "ETHUSD_PERP") == [expected]
    taped = b'{"stream":"btcusd_perp@snapshot","data":' + image + b"}"
    assert coinm.normalise(taped, RECV, 7) == [expected]
    (refused,) = coinm.normalise(taped.replace(b"btcusd_perp@", b"ethusd_perp@"), RECV, 7)
    assert refused == Refusal("the stream names another symbol than its data")


@pytest.mark.parametrize("name", ["binance_spot", "binance_usdm", "binance_coinm"])
def test_every_market_reads_a_snapshot_by_the_envelope_that_names_its_symbol(name: str) -> None:
    image = b'{"lastUpdateId":7,"bids":[["1.5","2"]],"asks":[["1.6","0.5"]]}'
    taped = b'{"stream":"btcusd_perp@snapshot","data":' + image + b"}"
    vendor = vendors.get(name)
    for _ in range(2):
        assert vendor.normalise(taped, RECV, 7) == [
            Book("BTCUSD_PERP", 0, RECV, 7, 0, 7, 1, [(1.5, 2.0)], [(1.6, 0.5)])
        ]
    assert vendor.stream_of(taped) == "btcusd_perp@snapshot"


def test_a_connection_carries_fewer_streams_than_the_other_markets() -> None:
    host = "wss://dstream.binance.com/stream?streams=btcusd_perp@trade/"
    assert coinm.websocket_url(["BTCUSD_PERP"]).startswith(host)
    coinm.websocket_url([f"S{n}" for n in range(66)])
    with pytest.raises(BadInput, match="at most 66 symbols"):
        coinm.websocket_url([f"S{n}" for n in range(67)])
