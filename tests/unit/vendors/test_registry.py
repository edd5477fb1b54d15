"""Vendors are found by name."""

from __future__ import annotations

import pytest

from tapedeck import vendors
from tapedeck.errors import BadInput


def test_the_installed_vendors_are_known_by_their_names() -> None:
    assert {
        "binance_spot", "binance_usdm", "binance_coinm", "coinbase", "okx", "kraken_futures", "lseg",
    } <= set(vendors.names())  # fmt: skip
    for name in vendors.names():
        assert vendors.get(name).name == name


def test_an_unknown_vendor_is_bad_input_that_names_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"no vendor 'binance_usd' \(did you mean 'binance_usdm'\?\)"):
        vendors.get("binance_usd")


@pytest.mark.parametrize("name", ["coinbase", "okx", "kraken_futures", "lseg"])
def test_a_venue_that_is_asked_needs_symbols(name: str) -> None:
    with pytest.raises(BadInput, match=f"no symbols are set for {name}"):
        vendors.get(name).websocket_url([], "ws://127.0.0.1:9")


def test_a_vendor_that_says_nothing_of_websockets_can_not_be_asked_over_one() -> None:
    class Silent(vendors.Vendor):
        name = "silent"

        def normalise(
            self, payload: bytes, recv_ns: int, src: int, symbol: str | None = None
        ) -> vendors.Normalised:
            return []

    silent = Silent()
    with pytest.raises(BadInput, match="silent can't be asked over a WebSocket: set another bus"):
        silent.websocket_url(["A"])
    assert silent.websocket_opening(["A"], "") == silent.websocket_reply(b"", ["A"]) == []
    assert (silent.stream_of(b"x"), silent.websocket_ping, silent.websocket_subprotocol) == ("", "", "")


@pytest.mark.parametrize("name", ["binance_usdm", "binance_spot"])
def test_a_websocket_needs_symbols_and_not_more_than_a_connection_carries(name: str) -> None:
    vendor = vendors.get(name)
    with pytest.raises(BadInput, match="no symbols are set"):
        vendor.websocket_url([])
    vendor.websocket_url([f"S{n}" for n in range(341)])
    with pytest.raises(BadInput, match="at most 341 symbols"):
        vendor.websocket_url([f"S{n}" for n in range(342)])
