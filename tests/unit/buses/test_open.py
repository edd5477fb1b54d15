"""A bus's address says what kind it is; anything else is bad input with the right form."""

from __future__ import annotations

import pytest

from tapedeck import buses, vendors
from tapedeck.errors import BadInput

usdm = vendors.get("binance_usdm")


@pytest.mark.parametrize(
    "address",
    [
        "", "tcp://127.0.0.1:5601", "zmq", "zmq:", "zmq:tcp://127.0.0.1", "zmq:tcp://:5601", "zmq:ipc:///tmp/x",
        "zmq:tcp://127.0.0.1:99999", "zmq:tcp://127.0.0.1:x", "zmq:tcp://127.0.0.1:5601/path",
        "websocket:", "websocket:https://example.org", "websocket:wss://", "websockets", "nats://x",
        "websocket:wss://host:x",
    ],
)  # fmt: skip
def test_what_is_no_address_is_bad_input_that_shows_the_form(address: str) -> None:
    with pytest.raises(BadInput, match=r"write it as zmq:tcp://host:port"):
        buses.open(address, usdm, ["BTCUSDT"])


def test_a_websocket_without_symbols_is_bad_input() -> None:
    with pytest.raises(BadInput, match="no symbols are set for binance_usdm"):
        buses.open("websocket", usdm, [])
    with pytest.raises(BadInput, match="no symbols are set for binance_usdm"):
        buses.open("websocket:ws://127.0.0.1:1", usdm, [])


def test_another_host_hears_the_vendors_streams_and_a_whole_url_is_used_as_it_stands() -> None:
    for address, heard in (
        ("websocket:ws://127.0.0.1:1", "ws://127.0.0.1:1/stream?streams=btcusdt@trade/btcusdt@bookTicker/"),
        ("websocket:ws://127.0.0.1:1/", "ws://127.0.0.1:1/stream?streams=btcusdt@trade/btcusdt@bookTicker/"),
        ("websocket:ws://127.0.0.1:1/ws/one", "ws://127.0.0.1:1/ws/one"),
    ):
        bus = buses.open(address, usdm, ["BTCUSDT"])
        bus.close()
        assert bus.address.startswith(f"websocket:{heard}")
