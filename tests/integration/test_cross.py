"""Vendors against each other on the recorded markets: futures and spot of one coin, with clocks put wrong."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec import structs

from tapedeck.checks import findings
from tapedeck.checks.cross import compare, cross
from tapedeck.errors import BadInput
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, parse_time
from tapedeck.store.rebuild import rebuild
from tapedeck.tape import load as loading
from tests.recorded import SPOT_BEFORE, USDM_BTC, recorded

OF = Slice(parse_time("2024-08-08T23:50:00Z"), parse_time("2024-08-09T00:10:00Z"))


@pytest.mark.timeout(900)
def test_two_recorded_markets_of_one_coin_move_together_and_a_wrong_clock_shows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for vendor, name in (("binance_spot", SPOT_BEFORE), ("binance_usdm", USDM_BTC)):
        for file in loading.check(vendor, [recorded(name)], "BTCUSDT"):
            loading.load(settings, vendor, file, "BTCUSDT")
        rebuild(settings, vendor, OF)
    with pytest.raises(BadInput, match=r"no instrument 'btc'.*\[instruments.btc\]"):
        cross(settings, "btc", OF)
    deck = structs.replace(
        settings, instruments={"btc": {"binance_usdm": "BTCUSDT", "binance_spot": "BTCUSDT"}}
    )
    [pair] = cross(deck, "btc", OF)
    assert pair.lag_ns is not None, pair.said
    assert abs(pair.lag_ns) < NS // 4, pair.said
    assert not pair.wrong
    assert pair.correlation > 0.5
    assert pair.median_bp is not None
    assert pair.median_bp < 20
    assert findings.listed(deck, "binance_spot") == []
    monkeypatch.setattr("tapedeck.checks.cross.WRONG", -1)
    [kept] = [f for _ in cross(deck, "btc", OF) for f in findings.listed(deck, "binance_spot")]
    assert (kept.check, kept.severity, kept.evidence["lag_seconds"]) == ("cross", "warn", pair.lag_ns / NS)
    monkeypatch.undo()
    nobody = structs.replace(
        deck, instruments={"new": dict.fromkeys(("binance_usdm", "binance_spot"), "NEW")}
    )
    [unheard] = cross(nobody, "new", OF)  # an instrument of the settings that neither has sent yet
    assert (unheard.ticks, unheard.wrong) == ((0, 0), False)
    from tapedeck.checks.cross import _prices

    one, other = (_prices(deck, vendor, "BTCUSDT", OF) for vendor in ("binance_spot", "binance_usdm"))
    for seconds in (1.27, -1.27, 5 * 3600):
        moved = compare(("a", "b"), ("s", "s"), one, (other[0] + int(seconds * NS), other[1]))
        assert moved.lag_ns is not None, moved.said
        assert moved.lag_ns / NS == pytest.approx(seconds + pair.lag_ns / NS, abs=0.02)
        assert moved.wrong
    assert np.all(np.diff(one[0]) > 0)
