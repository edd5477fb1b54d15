"""The synthetic market: right sequences, plausible prices, the same bytes for the same seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice, pairwise
from typing import Any

import pytest

from tapedeck import vendors
from tapedeck.errors import BadInput
from tapedeck.message import KIND_OF, Book, Quote, Trade, breach
from tapedeck.simulate import market

START = 1_723_118_400_000_000_000
NS = 1_000_000_000
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SYM0003USDT"]
VENDORS = sorted(market.FORMATS)


def made(vendor: str, **changed: Any) -> list[tuple[int, bytes]]:
    arguments: dict[str, Any] = {
        "symbols": SYMBOLS, "rate": 3_000, "duration_s": 10, "seed": 5, "start_ns": START, "burst": 2,
    }  # fmt: skip
    return list(market.generate(vendor, **(arguments | changed)))


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_payload_is_normalised_by_its_vendor_and_no_sequence_breaks(vendor: str) -> None:
    last: dict[tuple[str, str], int] = {}
    updates: dict[str, int] = {}
    chained = 0
    for recv_ns, payload in made(vendor):
        (one,) = vendors.get(vendor).normalise(payload, recv_ns, 3)
        assert isinstance(one, Trade | Quote | Book), one
        assert breach(one) is None
        assert one.ts_recv == recv_ns
        kind = KIND_OF[type(one)]
        if (one.symbol, kind) in last:
            assert one.seq > last[one.symbol, kind]
            if one.prev:
                assert one.prev == last[one.symbol, kind]
                chained += 1
        last[one.symbol, kind] = one.seq
        if not isinstance(one, Trade):
            assert one.seq > updates.get(one.symbol, 0)  # quotes and book share one id
            updates[one.symbol] = one.seq
    assert chained > 5_000
    assert {symbol for symbol, _ in last} == set(SYMBOLS)


@pytest.mark.parametrize("vendor", VENDORS)
def test_prices_are_positive_on_a_grid_and_event_times_never_step_back_in_a_stream(vendor: str) -> None:
    quotes: dict[str, list[Quote]] = defaultdict(list)
    events: dict[tuple[str, str], list[int]] = defaultdict(list)
    for recv_ns, payload in made(vendor):
        (one,) = vendors.get(vendor).normalise(payload, recv_ns, 3)
        assert isinstance(one, Trade | Quote | Book)
        if isinstance(one, Quote):
            assert 0 < one.bid < one.ask
            assert one.bid_size > 0
            quotes[one.symbol].append(one)
        elif isinstance(one, Trade):
            assert one.price > 0
            assert one.size > 0
            assert one.side in (-1, 1)
        else:
            assert all(price > 0 and size >= 0 for price, size in (*one.bids, *one.asks))
            assert [p for p, _ in one.bids] == sorted({p for p, _ in one.bids}, reverse=True)
            assert [p for p, _ in one.asks] == sorted({p for p, _ in one.asks})
        if one.ts_event:
            events[one.symbol, KIND_OF[type(one)]].append(one.ts_event)
            assert 0 <= recv_ns - one.ts_event < NS // 100
    assert abs(quotes["BTCUSDT"][0].bid - 61_800) < 100
    assert all(round(quote.bid * 10) == pytest.approx(quote.bid * 10) for quote in quotes["BTCUSDT"])
    assert all(times == sorted(times) for times in events.values())


@pytest.mark.parametrize("vendor", VENDORS)
def test_kinds_come_in_the_mix_and_seconds_at_the_rate_and_the_burst(vendor: str) -> None:
    messages = made(vendor, rate=2_000, duration_s=20, burst=5, seed=11)
    kinds = Counter(payload.partition(b"@")[2][:5] for _, payload in messages)
    total = len(messages)
    assert kinds[b"trade"] / total == pytest.approx(0.25, abs=0.02)
    assert kinds[b"bookT"] / total == pytest.approx(0.65, abs=0.02)
    assert kinds[b"depth"] / total == pytest.approx(0.10, abs=0.02)
    seconds = Counter((recv_ns - START) // NS for recv_ns, _ in messages)
    assert set(seconds) == set(range(20))
    for second, count in seconds.items():
        assert count == pytest.approx(10_000 if second % 10 == 9 else 2_000, rel=0.15)


def test_receipt_times_strictly_increase_and_keep_within_the_duration() -> None:
    stamps = [recv_ns for recv_ns, _ in made("binance_usdm", rate=100_000, duration_s=0.5)]
    assert all(before < after for before, after in pairwise(stamps))
    assert stamps[0] >= START
    assert stamps[-1] < START + NS // 2


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others() -> None:
    assert made("binance_spot") == made("binance_spot")
    assert made("binance_spot") != made("binance_spot", seed=6)


def test_a_market_that_starts_later_uses_no_id_again() -> None:
    normalise = vendors.get("binance_usdm").normalise
    one = made("binance_usdm", duration_s=2)
    two = made("binance_usdm", duration_s=2, start_ns=START + 2 * NS)
    highest: dict[tuple[str, str], int] = {}
    for recv_ns, payload in one + two:
        (message,) = normalise(payload, recv_ns, 3)
        assert isinstance(message, Trade | Quote | Book)
        assert message.seq > highest.get((message.symbol, KIND_OF[type(message)]), 0)
        highest[message.symbol, KIND_OF[type(message)]] = message.seq


def test_without_a_duration_it_goes_on() -> None:
    endless = market.generate("binance_usdm", SYMBOLS, 1.0, None, 1, START)
    assert len(list(islice(endless, 20_000))) == 20_000


def test_odd_symbols_are_written_as_json() -> None:
    for vendor in VENDORS:
        for recv_ns, payload in made(vendor, symbols=['A%d"B', "ÄÖ"], rate=500, duration_s=1):
            (one,) = vendors.get(vendor).normalise(payload, recv_ns, 3)
            assert isinstance(one, Trade | Quote | Book), payload


def test_symbols_are_those_of_the_settings_and_then_numbered_by_place() -> None:
    assert market.symbol_names(["BTCUSDT", "ETHUSDT"], 4) == [
        "BTCUSDT",
        "ETHUSDT",
        "SYM0003USDT",
        "SYM0004USDT",
    ]
    assert market.symbol_names(["BTCUSDT", "ETHUSDT"], 1) == ["BTCUSDT"]


@pytest.mark.parametrize(
    "changed",
    [{"rate": 0}, {"rate": -1}, {"rate": float("nan")}, {"rate": float("inf")}, {"burst": 0},
     {"duration_s": 0}, {"symbols": []}, {"symbols": ["A", "A"]}, {"symbols": ["A\n"]}],
)  # fmt: skip
def test_what_makes_no_market_is_bad_input(changed: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        made("binance_usdm", **changed)


def test_a_vendor_whose_words_are_not_known_has_no_synthetic_market() -> None:
    with pytest.raises(BadInput, match="no synthetic market"):
        made("iex")
