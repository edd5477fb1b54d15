"""Binance USD-M futures: `trade`, `bookTicker` → quote, `depthUpdate` → book.

A book change names the last update before it (`pu`); a best quote's `u` rises but is not chained.
"""

from __future__ import annotations

from tapedeck.vendors.binance import BinanceVendor

vendor = BinanceVendor("binance_usdm", "wss://fstream.binance.com", "BTCUSDT")
