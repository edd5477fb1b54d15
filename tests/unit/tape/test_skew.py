"""Drift against the vendor's clock is what the least delayed message shows."""

from __future__ import annotations

import pytest

from tapedeck import vendors
from tapedeck.tape import skew
from tapedeck.tape.follow import Chunk
from tapedeck.tape.segment import Place, Segment
from tapedeck.tape.skew import Skew

MS = 1_000_000
START = Place(Segment(1, 0), 0)
TRADE = b'{"stream":"a@trade","data":{"e":"trade","E":%d,"T":1,"s":"A","t":1,"p":"1","q":"1","m":true}}'


def chunk(*pairs: tuple[int, int]) -> Chunk:
    """Trades of (receipt, event) times in ms, between lines that say no time."""
    lines = [b"!heartbeat {}", b"5 rubbish", b"damaged"]
    lines += [b"%d %b" % (recv * MS, TRADE % event) for recv, event in pairs]
    return Chunk(START, b"".join(line + b"\n" for line in lines))


def test_the_least_delayed_message_of_the_last_minutes_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("tapedeck.tape.skew.time.monotonic", lambda: now)
    found = Skew(vendors.get("binance_usdm"))
    assert found.seconds is None
    found.look(chunk((1000, 990), (2000, 1995), (3000, 2950)))
    assert found.seconds == 0.005
    found.look(chunk((1000, 2000)))
    assert found.seconds == 0.005, "at most once a second"
    now += skew.LOOK_SECONDS
    found.look(chunk((1000, 2270)))
    assert found.seconds == -1.27
    for _ in range(2):
        now += skew.MINUTE
        found.look(chunk((1000, 980)))
    assert found.seconds == 0.02, "what is over a minute old is forgotten"
