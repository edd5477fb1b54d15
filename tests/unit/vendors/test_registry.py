"""Vendors are found by name."""

from __future__ import annotations

import pytest

from tapedeck import vendors
from tapedeck.errors import BadInput


def test_the_installed_vendors_are_known_by_their_names() -> None:
    assert {"binance_spot", "binance_usdm"} <= set(vendors.names())
    for name in vendors.names():
        assert vendors.get(name).name == name


def test_an_unknown_vendor_is_bad_input_that_names_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"no vendor 'binance_usd' \(did you mean 'binance_usdm'\?\)"):
        vendors.get("binance_usd")


@pytest.mark.parametrize("name", ["binance_usdm", "binance_spot"])
def test_a_websocket_needs_symbols_and_not_more_than_a_connection_carries(name: str) -> None:
    vendor = vendors.get(name)
    with pytest.raises(BadInput, match="no symbols are set"):
        vendor.websocket_url([])
    vendor.websocket_url([f"S{n}" for n in range(341)])
    with pytest.raises(BadInput, match="at most 341 symbols"):
        vendor.websocket_url([f"S{n}" for n in range(342)])
