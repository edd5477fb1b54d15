"""The published filters label what their papers define, and the quick way finds what the slow way does."""

from __future__ import annotations

import numpy as np
import pytest

from tapedeck.columns import Array
from tapedeck.reports import filters
from tapedeck.reports.series import Series


def q4_by_definition(mid: Array, half: int = 25, limit: float = 10.0) -> list[bool]:
    """BNHLS 2009, rule Q4, for ticks with whole neighbourhoods: slow and plain."""
    out = []
    for i in range(half, len(mid) - half):
        others = np.concatenate((mid[i - half : i], mid[i + 1 : i + half + 1]))
        median = np.median(others)
        out.append(bool(abs(mid[i] - median) > limit * np.abs(others - median).mean()))
    return out


def bg_by_definition(price: Array, k: int = 60, trim: float = 0.1, granularity: float = 0.02) -> list[bool]:
    """Brownlees and Gallo 2006, equation (1)."""
    out, cut = [], int(k * trim / 2)
    for i in range(k // 2, len(price) - k // 2):
        near = sorted([*price[i - k // 2 : i], *price[i + 1 : i + k // 2 + 1]])[cut : k - cut]
        out.append(not abs(price[i] - np.mean(near)) < 3 * np.std(near, ddof=1) + granularity)
    return out


@pytest.mark.parametrize("seed", range(5))
def test_the_quick_filters_are_the_papers(seed: int) -> None:
    random = np.random.default_rng(seed)
    walk = 100 + np.cumsum(random.normal(0, 0.01, 600))
    walk = np.round(walk, 2) if seed % 2 else walk
    spikes = random.integers(0, 600, 12)
    walk[spikes] += random.choice([-1, 1], 12) * random.uniform(0.05, 3.0, 12)
    assert filters.far_mids(walk)[25:-25].tolist() == q4_by_definition(walk)
    assert filters.far_prices(walk, granularity=0.02)[30:-30].tolist() == bg_by_definition(walk)
    assert filters.far_mids(walk).any()


def test_one_bad_tick_is_labelled_and_nothing_beside_it() -> None:
    mid = 100 + 0.01 * (np.arange(200) % 5)
    mid[120] = 101.0
    assert np.flatnonzero(filters.far_mids(mid)).tolist() == [120]
    assert np.flatnonzero(filters.far_prices(mid)).tolist() == [120]
    assert not filters.far_mids(mid, granularity=2.0).any()


def test_a_true_jump_survives_where_it_may() -> None:
    mid = np.concatenate((np.full(100, 100.0), np.full(100, 105.0))) + 0.01 * (np.arange(200) % 3)
    assert not filters.far_mids(mid, jumps_survive=True).any()
    mid[50] = 103.0
    assert np.flatnonzero(filters.far_mids(mid, jumps_survive=True)).tolist() == [50]


@pytest.mark.parametrize("n", [0, 1, 2, 10])
def test_few_ticks_are_no_outliers(n: int) -> None:
    prices = np.linspace(1, 1000, n)
    assert not filters.far_mids(prices).any()
    assert not filters.far_prices(prices).any()


def test_trades_outside_the_quotes_by_more_than_the_spread() -> None:
    price = np.array([100.0, 101.2, 101.3, 98.7, 99.0])
    bid, ask, spread = np.full(5, 99.5), np.full(5, 100.5), np.full(5, 0.75)
    assert filters.outside_quotes(price, bid, ask, spread).tolist() == [False, False, True, True, False]
    assert not filters.outside_quotes(price, bid * np.nan, ask, spread * np.nan).any()


def test_a_series_cut_anywhere_is_judged_as_if_it_came_at_once() -> None:
    random = np.random.default_rng(7)
    walk = 100 + np.cumsum(random.normal(0, 0.01, 1000))
    walk[random.integers(0, 1000, 20)] += 1.0
    for cuts in ([], [1, 2, 60, 61, 500], list(range(10, 1000, 10))):
        found: list[bool] = []

        def judge(columns: object, first: int, last: int, found: list[bool] = found) -> None:
            found += filters.far_mids(columns["mid"], first, last, jumps_survive=True).tolist()  # type: ignore[index]

        series = Series(judge)
        for part in np.split(walk, cuts):
            series.add({"mid": part})
        series.end()
        assert found == filters.far_mids(walk, jumps_survive=True).tolist()
