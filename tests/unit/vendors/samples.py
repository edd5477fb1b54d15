"""One payload of each sort that a vendor reads, as the venue sends it."""

from __future__ import annotations

import json
from typing import Any

BINANCE_BOOK = {"e": "depthUpdate", "E": 5, "T": 5, "U": 3, "u": 4, "pu": 2, "b": [["1.5", "2"]], "a": []}
BINANCE_QUOTE = {"e": "bookTicker", "E": 5, "T": 5, "u": 3, "b": "1", "B": "2", "a": "3", "A": "4"}
BINANCE_TRADE = {"e": "trade", "E": 5, "T": 5, "t": 3, "p": "1.5", "q": "2", "m": True}
KRAKEN = {"product_id": "PF_XBTUSD", "seq": 4}
LSEG: dict[str, Any] = {"ID": 2, "Key": {"Name": "TRI.N", "Service": "ELEKTRON_DD"}, "SeqNumber": 8}


def _binance(symbol: str) -> list[Any]:
    kinds = {"trade": BINANCE_TRADE, "bookTicker": BINANCE_QUOTE, "depth@100ms": BINANCE_BOOK}
    said = [{"stream": f"{symbol.lower()}@{kind}", "data": d | {"s": symbol}} for kind, d in kinds.items()]
    image = {"lastUpdateId": 7, "E": 5, "bids": [["1.5", "2"]], "asks": [["1.6", "1"]]}
    return [*said, {"stream": f"{symbol.lower()}@snapshot", "data": image}]


def _okx(channel: str, *data: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"arg": {"channel": channel, "instId": "BTC-USDT"}, **more, "data": list(data)}


_TRADE = {
    "instId": "BTC-USDT", "tradeId": "130", "px": "42219.9", "sz": "0.1", "side": "buy", "ts": "16",
    "count": "3",
}  # fmt: skip
_DEPTH = {
    "asks": [["8476.98", "415", "0", "13"]], "bids": [["8476.97", "256", "0", "12"]], "ts": "15",
    "checksum": 0, "prevSeqId": 123456, "seqId": 123457,
}  # fmt: skip
_TICKER = {"instId": "BTC-USDT", "askPx": "9.9", "askSz": "11", "bidPx": "8.8", "bidSz": "5", "ts": "15"}

SAID: dict[str, list[Any]] = {
    "binance_spot": _binance("BTCUSDT"),
    "binance_usdm": _binance("BTCUSDT"),
    "binance_coinm": _binance("BTCUSD_PERP"),
    "coinbase": [
        {
            "type": "match", "trade_id": 10, "maker_order_id": "ac92", "side": "sell",
            "size": "5.23512", "price": "400.23", "product_id": "BTC-USD", "sequence": 50,
            "time": "2014-11-07T08:19:27.028459Z",
        },
        {
            "type": "ticker", "sequence": 50, "product_id": "BTC-USD", "price": "400.23", "best_bid": "400.1",
            "best_bid_size": "1", "best_ask": "400.3", "best_ask_size": "2",
            "time": "2014-11-07T08:19:27.028459Z",
        },
        {"type": "snapshot", "product_id": "BTC-USD", "bids": [["10.1", "0.45"]], "asks": [["10.2", "0.55"]]},
        {
            "type": "l2update", "product_id": "BTC-USD",
            "changes": [["buy", "10.1", "0.1"], ["sell", "11", "0"]], "time": "2019-08-14T20:42:27.265Z",
        },
        {"type": "heartbeat", "sequence": 90, "product_id": "BTC-USD", "time": "2014-11-07T08:19:28.464459Z"},
    ],
    "okx": [
        _okx("trades", _TRADE, _TRADE | {"tradeId": "131", "count": "1"}),
        _okx("tickers", _TICKER),
        _okx("bbo-tbt", {"asks": [["1.2", "3", "0", "1"]], "bids": [], "ts": "15", "seqId": 3}),
        _okx("books", _DEPTH | {"prevSeqId": -1}, action="snapshot"),
        _okx("books", _DEPTH, action="update"),
        _okx("books", _DEPTH | {"seqId": 3}, action="update"),
        _okx("books over HTTP", {"code": "0", "msg": "", "data": [_DEPTH]}),
    ],
    "kraken_futures": [
        KRAKEN | {"feed": "trade", "side": "sell", "type": "fill", "time": 5, "qty": 440, "price": 34893.5},
        KRAKEN | {"feed": "ticker", "time": 5, "bid": 1.5, "ask": 2.5, "bid_size": 3, "ask_size": 4.0},
        KRAKEN | {"feed": "ticker_lite", "bid": 1.5, "ask": 2.5},
        KRAKEN | {"feed": "book_snapshot", "timestamp": 5, "bids": [{"price": 1, "qty": 2.5}], "asks": []},
        KRAKEN | {"feed": "book", "side": "buy", "price": 1.5, "qty": 0, "timestamp": 5},
        {"event": "subscribed", "feed": "book", "product_ids": ["PF_XBTUSD"]},
    ],
    "lseg": [
        [
            LSEG | {"Type": "Refresh", "Fields": {"52WK_HIGH": 48.6, "BID": None, "CURRENCY": "USD"},
                    "State": {"Stream": "Open", "Data": "Suspect", "Text": "stale"}},
            LSEG | {"Type": "Update", "Fields": {"BID": 44.3, "QUOTIM": "05:49:53"}},
            LSEG | {"Type": "Status", "State": {"Stream": "Closed", "Data": "Suspect", "Text": "gone"}},
            {"Type": "Ping"},
        ],
        LSEG | {"Type": "Update", "Fields": {"BID": 44.3, "ASK": 44.4}},
    ],
}  # fmt: skip


def samples(vendor: str) -> list[bytes]:
    """The vendor's payloads, spaced as venues space them."""
    return [json.dumps(said, separators=(",", ":")).encode() for said in SAID[vendor]]
