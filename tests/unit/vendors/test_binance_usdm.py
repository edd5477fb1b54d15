"""Binance USD-M futures: every field of every kind, from payloads as the venue sends them."""

from __future__ import annotations

from tapedeck import vendors
from tapedeck.message import Book, Quote, Trade
from tapedeck.vendors import Chatter

RECV = 1_723_161_255_088_176_367
MS = 1_000_000
usdm = vendors.get("binance_usdm")


def test_a_trade_keeps_its_id_price_and_the_sellers_side_when_the_buyer_is_the_maker() -> None:
    payload = (
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256321,"s":"BTCUSDT",'
        b'"t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":true}}'
    )
    assert usdm.normalise(payload, RECV, 7) == [
        Trade("BTCUSDT", 1723161256322 * MS, RECV, 5266583935, 5266583934, 7, 61800.30, 0.006, -1)
    ]
    (bought,) = usdm.normalise(payload.replace(b'"m":true', b'"m":false'), RECV, 7)
    assert isinstance(bought, Trade)
    assert bought.side == 1


def test_a_best_quote_has_its_update_id_as_seq_and_chains_nothing() -> None:
    payload = (
        b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT",'
        b'"b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256314}}'
    )
    assert usdm.normalise(payload, RECV, 7) == [
        Quote("BTCUSDT", 1723161256314 * MS, RECV, 5123107839020, 0, 7, 61800.2, 61800.3, 2.507, 2.51)
    ]


def test_a_book_change_is_chained_by_pu_at_any_speed_of_its_stream() -> None:
    payload = (
        b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,'
        b'"s":"BTCUSDT","U":5123107832006,"u":5123107837557,"pu":5123107831937,'
        b'"b":[["58710.20","0.014"],["61510.90","0.000"]],"a":[["61810.10","1.5"]]}}'
    )
    expected = Book(
        "BTCUSDT", 1723161256299 * MS, RECV, 5123107837557, 5123107831937, 7, 0,
        [(58710.2, 0.014), (61510.9, 0.0)], [(61810.1, 1.5)],
    )  # fmt: skip
    for stream in (b"depth", b"depth@0ms", b"depth@100ms", b"depth@500ms"):
        assert usdm.normalise(payload.replace(b"depth@0ms", stream), RECV, 7) == [expected]


def test_a_snapshot_is_a_book_only_where_its_symbol_is_said() -> None:
    image = b'{"lastUpdateId":5123,"E":1723161256501,"T":1723161256493,"bids":[["1.5","2"]],"asks":[]}'
    (refused,) = usdm.normalise(image, RECV, 7)
    assert refused == vendors.Refusal("snapshot names no symbol; load it with --symbol")
    expected = Book("ETHUSDT", 1723161256501 * MS, RECV, 5123, 0, 7, 1, [(1.5, 2.0)], [])
    assert usdm.normalise(image, RECV, 7, symbol="ETHUSDT") == [expected]
    taped = b'{"stream":"ethusdt@snapshot","data":' + image + b"}"
    assert usdm.normalise(taped, RECV, 7, symbol="BTCUSDT") == [expected]


def test_answers_to_a_subscription_are_chatter() -> None:
    assert usdm.normalise(b'{"result":null,"id":1}', RECV, 7) == [Chatter("answer")]


def test_the_same_message_is_read_alike_the_first_time_and_ever_after_and_however_it_is_spaced() -> None:
    payload = (
        b'{"stream":"newusdt@trade","data":'
        b'{"e":"trade","E":1,"T":1,"s":"NEWUSDT","t":0,"p":"1","q":"2","m":true}}'
    )
    first = usdm.normalise(payload, RECV, 7)
    assert first == [Trade("NEWUSDT", MS, RECV, 0, 0, 7, 1.0, 2.0, -1)]
    assert usdm.normalise(payload, RECV, 7) == first
    assert usdm.normalise(payload.replace(b":", b" : ").replace(b",", b"\n,"), RECV, 7) == first
    assert usdm.stream_of(payload) == usdm.stream_of(payload.replace(b":", b" : ")) == "newusdt@trade"


def test_the_venues_address_names_all_streams_of_all_symbols() -> None:
    of_btc = "btcusdt@trade/btcusdt@bookTicker/btcusdt@depth@100ms"
    streams = f"{of_btc}/{of_btc.replace('btc', 'eth')}"
    assert (
        usdm.websocket_url(["BTCUSDT", "ETHUSDT"])
        == f"wss://fstream.binance.com/public/stream?streams={streams}"
    )
