"""From the bus to Arctic: what was captured comes out again, message for message, price for price."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tapedeck.message import Trade
from tapedeck.settings import Settings
from tapedeck.simulate import capture, market
from tapedeck.slices import NS, Slice
from tapedeck.store.read import read
from tests.recorded import SPOT_AFTER, USDM_BTC, USDM_ETH, recorded
from tests.road import await_stored, expected, in_file, stored
from tests.tapes import VENDOR, Running, lines_on, until

MADE = "a synthetic market"
SPOT = "binance_spot"


@pytest.mark.parametrize(
    ("vendor", "name", "symbol"),
    [
        (VENDOR, MADE, "BTCUSDT"), (VENDOR, USDM_BTC, "BTCUSDT"), (VENDOR, USDM_ETH, "ETHUSDT"),
        (SPOT, SPOT_AFTER, "BTCUSDT"),
    ],
)  # fmt: skip
def test_a_market_played_live_is_in_arctic_message_for_message(
    settings: Settings, tmp_path: Path, vendor: str, name: str, symbol: str
) -> None:
    path = tmp_path / "market.zst" if name == MADE else recorded(name)
    if name == MADE:
        noon = 1_723_118_400 * NS
        capture.write(path, market.generate(VENDOR, ["BTCUSDT", "A", "B"], 1000.0, 10.0, 5, noon))
    ledger = tmp_path / "ledger.jsonl"
    faults = "drop=0.002,dup=0.002,reorder=0.002"
    start = time.time_ns()
    mongo = {"TAPEDECK_MONGO__URI": settings.mongo.uri, "TAPEDECK_MONGO__DATABASE": settings.mongo.database}
    with Running(settings, "write", vendor, **mongo) as writer:
        with Running(settings, "collect", vendor) as collector:
            player = Running(
                settings, "simulate", vendor, str(path), "--speed", "max", "--fault", faults, "--seed", "3",
                "--ledger", str(ledger), "--json",
            )  # fmt: skip
            with player:
                assert player.process.wait(120) == 0, player.said
            sent = json.loads(player.said.splitlines()[-1])["totals"]["sent"]
            until(lambda: len(lines_on(settings.tape_dir(vendor, 1))) == sent, 60)
            assert collector.end() == 0, collector.said
        of = Slice(start, time.time_ns())
        wanted = expected(vendor, path, ledger)
        assert stored(settings, vendor, wanted, of, tail=True) == wanted
        await_stored(settings, writer, wanted, of, 60, vendor)
        assert writer.end() == 0, writer.said
    dropped = {
        (line["symbol"], line["seq"])
        for line in map(json.loads, ledger.read_text().splitlines()[:-1])
        if line["fault"] == "drop" and line["kind"] == "trade"
    }
    trades = [m for part in in_file(vendor, path) for m in part if isinstance(m, Trade)]
    prices = {t.seq: (t.price, t.size, t.side, t.ts_event) for t in trades if t.symbol == symbol}
    frame = read(f"{vendor}.trade", symbol, of.start, of.end, tail=False, settings=settings)
    found = dict(
        zip(
            frame["seq"].tolist(),
            zip(frame["price"], frame["size"], frame["side"], frame["ts_event"].astype("int64"), strict=True),
            strict=True,
        )
    )
    assert found == {seq: row for seq, row in prices.items() if (symbol, seq) not in dropped}
