"""The drill over days: what three weeks teach, held against a day that did not teach."""

from __future__ import annotations

import numpy as np

from tapedeck.checks.limits import Limits
from tapedeck.drill.days import FEED, FIRST, RATES, drill
from tapedeck.drill.quiet import DAY, Quiet

VENDOR = "binance_usdm"


def test_a_made_day_is_as_lively_as_it_says_in_clusters_and_the_same_each_time() -> None:
    market = Quiet(1)
    days = [market.day(n, FIRST + n * DAY) for n in range(20)]
    for code, rate in enumerate(market.symbols.values()):
        if rate >= 2:
            of_day = np.mean([(columns["symbol"] == code).sum() for columns in days])
            assert 0.6 < of_day / (rate * 1440) < 1.6, rate
    ts = days[0]["ts_recv"][days[0]["symbol"] == 0]
    counts = np.bincount((ts - FIRST) // (60 * 10**9), minlength=1440)[600:900]
    assert counts.var() > 1.5 * counts.mean()  # a Poisson process has as much of both
    assert (np.diff(days[0]["ts_recv"]) >= 0).all()
    again = market.day(3, FIRST + 3 * DAY)
    assert again["ts_recv"].tolist() == days[3]["ts_recv"].tolist()


def test_long_silences_of_lively_symbols_are_found_and_a_stricter_threshold_cries_wolf() -> None:
    made = drill(VENDOR, 1, seeds=1)
    assert len(made.scores) == len((FEED, *RATES))
    assert sum(one.injected for one in made.scores) == 8  # one in each three hours
    assert all(one.false == 0 for one in made.scores), made.scores
    strict = drill(VENDOR, 1, seeds=1, limits=Limits(silence_times=1.5, silence_alpha=1e-3))
    assert sum(one.false for one in strict.scores) > 20
    assert sum(one.found for one in strict.scores) >= sum(one.found for one in made.scores)
