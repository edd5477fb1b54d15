"""The recorded markets beside the repository, for tests that want real input; skipped where absent."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "binance"

USDM_BTC = "usdm/btcusdt_20240808.gz"
USDM_ETH = "usdm/ethusdt_20240808.gz"
SPOT_BEFORE = "spot/btcusdt_20240808.gz"
SPOT_AFTER = "spot/btcusdt_20240809.gz"


def recorded(name: str) -> Path:
    """The path of one recorded market. Skips the test, saying so, where it is not there."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"the recorded market {name} is not beside the repository")
    return path
