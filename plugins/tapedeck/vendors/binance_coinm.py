"""Binance COIN-M futures: the streams of USD-M, symbols like BTCUSD_PERP and BTCUSD_260925.

Sizes are contracts. Data name the pair too (`ps`), and the REST snapshot names its symbol. A connection
carries 200 streams:
https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams
"""

from __future__ import annotations

from tapedeck.vendors.binance import BinanceVendor

vendor = BinanceVendor(
    "binance_coinm", "wss://dstream.binance.com", "BTCUSD_PERP", max_streams=200, image_path="/dapi/v1/depth"
)
