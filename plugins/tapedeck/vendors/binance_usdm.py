"""Binance USD-M futures: `trade`, `bookTicker` → quote, `depthUpdate` → book.

A book change names the last update before it (`pu`); a best quote's `u` rises but is not chained. Since
2026-04-23 the venue has an entry each for kinds of streams; all that is read comes by `/public`
(developers.binance.com, USD-M futures, "Important WebSocket Change Notice").
"""

from __future__ import annotations

from tapedeck.vendors.binance import BinanceVendor

vendor = BinanceVendor("binance_usdm", "wss://fstream.binance.com/public", "BTCUSDT")
