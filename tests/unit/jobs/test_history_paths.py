"""A symbol is whatever a vendor writes: no path that is made of it leads out of the folder of history."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapedeck.jobs.history.binance import BinanceFiles
from tapedeck.jobs.history.files import Files
from tapedeck.jobs.history.source import Want
from tapedeck.settings import FilesHistory, Settings
from tapedeck.slices import parse_slice

DAY = parse_slice("2024-08-08T00:00:00Z", "2024-08-09T00:00:00Z")


@pytest.mark.parametrize("symbol", ["../secret", "../../x/secret", "a/../../secret"])
def test_a_symbol_that_climbs_finds_nothing(tmp_path: Path, symbol: str) -> None:
    folder = tmp_path / "ticks"
    (folder / "a").mkdir(parents=True)
    for place in (tmp_path, tmp_path.parent / "x"):
        place.mkdir(exist_ok=True)
        (place / "secret-2024-08-08.csv").write_text("time,price,size\n1,1,1\n")
        (place / "secret-trades-2024-08-08.zip").write_bytes(b"PK")
    table = FilesHistory(
        at=str(folder), name="{symbol}-{day}.csv",
        columns={"ts_event": "time", "price": "price", "size": "size"},
    )  # fmt: skip
    want = Want(slice=DAY, symbol=symbol, id="w")
    assert Files("acme", table).find([want], []).found == ()
    source = BinanceFiles(Settings(), "binance_spot", str(folder))
    assert source.find([want], []).found == ()
