"""OKX: every field of every channel, from pushes as the venue sends them."""

from __future__ import annotations

import json

import pytest

from tapedeck import vendors
from tapedeck.message import SEQUENCE_RESET, Book, Quote, Status, Trade
from tapedeck.vendors import Chatter, Refusal

RECV = 1_723_161_254_087_896_568
MS = 1_000_000
okx = vendors.get("okx")
TRADE = (
    b'{"instId":"BTC-USDT","tradeId":"130639474","px":"42219.9","sz":"0.12060306","side":"buy",'
    b'"ts":"1630048897897","count":"3","source":"0","seqId":1234}'
)
EVENT = 1597026383085 * MS


def push(channel: str, *parts: bytes, action: str = "", symbol: str = "BTC-USDT") -> bytes:
    arg = f'{{"arg":{{"channel":"{channel}","instId":"{symbol}"}},'
    arg += f'"action":"{action}",' if action else ""
    return arg.encode() + b'"data":[' + b",".join(parts) + b"]}"


def depth(prev: int, seq: int, *, action: str = "update", levels: bool = True) -> bytes:
    asks = b'[["8476.98","415","0","13"],["8477","7","0","2"]]' if levels else b"[]"
    bids = b'[["8476.97","256","0","12"]]' if levels else b"[]"
    part = b'{"asks":%s,"bids":%s,"ts":"1597026383085","checksum":0,"prevSeqId":%d,"seqId":%d}'
    return push("books", part % (asks, bids, prev, seq), action=action)


def test_a_trade_is_chained_to_the_one_before_those_that_it_sums_up() -> None:
    expected = Trade("BTC-USDT", 1630048897897 * MS, RECV, 130639474, 130639471, 9, 42219.9, 0.12060306, 1)
    assert okx.normalise(push("trades", TRADE), RECV, 9) == [expected]
    (sold,) = okx.normalise(
        push("trades", TRADE.replace(b'"buy"', b'"sell"').replace(b'"count":"3",', b"")), RECV, 9
    )
    assert isinstance(sold, Trade)
    assert (sold.side, sold.prev) == (-1, 130639473)


def test_one_push_of_several_trades_gives_each_its_stamp_and_a_broken_one_spoils_no_other() -> None:
    second = TRADE.replace(b"130639474", b"130639475").replace(b'"3"', b'"1"')
    first, other = okx.normalise(push("trades", TRADE, second), RECV, 9)
    assert isinstance(first, Trade)
    assert isinstance(other, Trade)
    assert (first.ts_recv, first.seq) == (RECV, 130639474)
    assert (other.ts_recv, other.seq, other.prev) == (RECV + 1, 130639475, 130639474)
    broken = TRADE.replace(b'"42219.9"', b'"nan"')
    a, refused, c = okx.normalise(push("trades", TRADE, broken, second), RECV, 9)
    assert a == first
    assert refused == Refusal("a price or size is not finite")
    assert isinstance(c, Trade)
    assert (c.ts_recv, c.seq) == (RECV + 2, 130639475)


def test_a_best_quote_has_its_seq_and_an_empty_side_is_nothing_at_nothing() -> None:
    part = (
        b'{"asks":[["111.06","55154","0","2"]],"bids":[["111.05","57745","0","2"]],'
        b'"ts":"1670324386802","seqId":363996337}'
    )
    event = 1670324386802 * MS
    assert okx.normalise(push("bbo-tbt", part, symbol="BCH-USDT-SWAP"), RECV, 9) == [
        Quote("BCH-USDT-SWAP", event, RECV, 363996337, 0, 9, 111.05, 111.06, 57745.0, 55154.0)
    ]
    empty = part.replace(b'[["111.05","57745","0","2"]]', b"[]")
    assert okx.normalise(push("bbo-tbt", empty, symbol="BCH-USDT-SWAP"), RECV, 9) == [
        Quote("BCH-USDT-SWAP", event, RECV, 363996337, 0, 9, 0.0, 111.06, 0.0, 55154.0)
    ]


def test_a_ticker_is_a_quote_without_seq() -> None:
    part = (
        b'{"instType":"SPOT","instId":"BTC-USDT","last":"9999.99","lastSz":"0.1","askPx":"9999.99",'
        b'"askSz":"11","bidPx":"8888.88","bidSz":"5","open24h":"9000","ts":"1597026383085"}'
    )
    assert okx.normalise(push("tickers", part), RECV, 9) == [
        Quote("BTC-USDT", EVENT, RECV, 0, 0, 9, 8888.88, 9999.99, 5.0, 11.0)
    ]
    empty = part.replace(b'"8888.88"', b'""').replace(b'"5"', b'""')
    assert okx.normalise(push("tickers", empty), RECV, 9) == [
        Quote("BTC-USDT", EVENT, RECV, 0, 0, 9, 0.0, 9999.99, 0.0, 11.0)
    ]


def test_the_venues_own_example_of_a_book_snapshot_change_quiet_and_reset() -> None:
    bids, asks = [(8476.97, 256.0)], [(8476.98, 415.0), (8477.0, 7.0)]
    assert okx.normalise(depth(-1, 10, action="snapshot"), RECV, 9) == [
        Book("BTC-USDT", EVENT, RECV, 10, 0, 9, 1, bids, asks)
    ]
    assert okx.normalise(depth(10, 15), RECV, 9) == [Book("BTC-USDT", EVENT, RECV, 15, 10, 9, 0, bids, asks)]
    assert okx.normalise(depth(15, 15, levels=False), RECV, 9) == [
        Book("BTC-USDT", EVENT, RECV, 15, 15, 9, 0, [], [])
    ]
    reset, book = okx.normalise(depth(15, 3), RECV, 9)
    assert reset == Status(
        "BTC-USDT", EVENT, RECV, 0, 0, 9, SEQUENCE_RESET, "seqId is below prevSeqId: the venue counts anew"
    )
    assert book == Book("BTC-USDT", EVENT, RECV + 1, 3, 15, 9, 0, bids, asks)
    assert okx.normalise(depth(3, 5), RECV, 9) == [Book("BTC-USDT", EVENT, RECV, 5, 3, 9, 0, bids, asks)]


def test_an_image_that_was_asked_for_over_http_is_a_snapshot_of_the_book_that_was_asked_for() -> None:
    book = (
        b'{"asks":[["41006.8","0.60038921","0","1"]],"bids":[["41006.3","0.30178218","0","2"]],'
        b'"ts":"1629966436396","seqId":3235851742}'
    )
    answer = push("books over HTTP", b'{"code":"0","msg":"","data":[%s]}' % book)
    event = 1629966436396 * MS
    assert okx.normalise(answer, RECV, 9) == [
        Book(
            "BTC-USDT", event, RECV, 3235851742, 0, 9, 1,
            [(41006.3, 0.30178218)], [(41006.8, 0.60038921)],
        )
    ]  # fmt: skip
    none = push("books over HTTP", b'{"code":"51001","msg":"Instrument ID does not exist","data":[]}')
    assert okx.normalise(none, RECV, 9) == [Refusal("the answer is no image of a book")]


def test_the_tick_by_tick_books_are_read_alike() -> None:
    for channel in (b"books-l2-tbt", b"books50-l2-tbt"):
        payload = depth(10, 15).replace(b'"books"', b'"%s"' % channel)
        assert okx.normalise(payload, RECV, 9) == okx.normalise(depth(10, 15), RECV, 9)


def test_a_push_is_read_alike_however_it_is_spaced_and_ordered() -> None:
    spaced = json.dumps(dict(reversed(json.loads(push("trades", TRADE)).items())), indent=1)
    assert okx.normalise(spaced.encode(), RECV, 9) == okx.normalise(push("trades", TRADE), RECV, 9)
    assert okx.stream_of(spaced.encode()) == okx.stream_of(push("trades", TRADE)) == "trades BTC-USDT"


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (b"pong", "pong"),
        (
            b'{"id":"1512","event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"a4d3ae55"}',
            "subscribe",
        ),
        (
            b'{"event":"notice","code":"64008","msg":"The connection will soon be closed.",'
            b'"connId":"a4d3ae55"}',
            "notice",
        ),
        (push("trades"), "nothing"),
    ],
)  # fmt: skip
def test_what_is_no_market_data_is_counted(payload: bytes, name: str) -> None:
    assert okx.normalise(payload, RECV, 9) == [Chatter(name)]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b'{"event":"error","code":"60012","msg":"Invalid request"}', "answered with an error"),
        (push("books5", b"{}"), "of no channel that is read: bbo-tbt, books"),
        (b"{}", "of no channel that is read"),
        (b"ping", "not JSON"),
        (push("trades", TRADE, symbol="ETH-USDT"), "another symbol than its data"),
        (depth(1, 2, action="partial"), "neither snapshot nor update"),
        (depth(1, 2).replace(b'"ts"', b'"instId":"ETH-USDT","ts"'), "names another symbol"),
        (b'{"event":"channel-conn-count-error","channel":"books","connCount":"31"}', "with an error"),
        (push("trades", TRADE)[:-1] + b',"arg":{"channel":"books"}}', "names two channels"),
        (push("trades", TRADE).replace(b'"buy"', b'"SECRET"'), "Unknown value - at `$.side`"),
        (push("trades", TRADE.replace(b"BTC-USDT", b"*"), symbol="*"), "means the whole feed"),
        (push("trades", TRADE)[:-3], "not JSON"),
    ],
)  # fmt: skip
def test_is_refused(payload: bytes, why: str) -> None:
    (refused,) = okx.normalise(payload, RECV, 9)
    assert isinstance(refused, Refusal)
    assert why in refused.reason
    assert "SECRET" not in refused.reason


def test_it_is_asked_in_requests_that_are_not_too_long_and_pinged_in_its_words() -> None:
    assert okx.websocket_url(["BTC-USDT"]) == "wss://ws.okx.com:8443/ws/v5/public"
    assert okx.websocket_url(["BTC-USDT"], "ws://127.0.0.1:9/") == "ws://127.0.0.1:9/ws/v5/public"
    assert okx.websocket_ping == "ping"
    (asked,) = okx.websocket_opening(["BTC-USDT"], "")
    assert json.loads(asked) == {
        "op": "subscribe",
        "args": [{"channel": name, "instId": "BTC-USDT"} for name in ("trades", "bbo-tbt", "books")],
    }
    symbols = [f"BTC-USD-220304-{strike}-C" for strike in range(10_000, 10_501)]
    asks = okx.websocket_opening(symbols, "")
    assert all(len(ask) < 65_536 for ask in asks)
    args = [(arg["channel"], arg["instId"]) for ask in asks for arg in json.loads(ask)["args"]]
    assert args == [(name, symbol) for symbol in symbols for name in ("trades", "bbo-tbt", "books")]
