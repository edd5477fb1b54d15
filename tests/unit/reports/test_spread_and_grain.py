"""Quantiles to 2 %, and the tick size that prices show."""

from __future__ import annotations

import numpy as np
import pytest

from tapedeck.reports.axis import axis
from tapedeck.reports.grain import Grain
from tapedeck.slices import NS, Slice
from tapedeck.spread import Spread


def test_quantiles_are_within_a_cell_of_the_exact_ones() -> None:
    values = np.random.default_rng(1).lognormal(8, 2, 50_000)
    spread = Spread()
    for part in np.array_split(values, 7):
        spread.add(part)
    assert len(spread) == 50_000
    assert (spread.least, spread.greatest) == (values.min(), values.max())
    for q in (0.01, 0.5, 0.95, 0.99):
        assert spread.quantile(q) == pytest.approx(np.quantile(values, q), rel=0.025)


def test_about_a_great_offset_quantiles_stay_fine() -> None:
    values = -1_270_000 + np.random.default_rng(2).uniform(0, 30_000, 10_000)
    spread = Spread(centred=True)
    spread.add(values)
    assert spread.quantile(0.5) == pytest.approx(np.median(values), abs=400)
    assert spread.below(0) == 10_000
    rows = Spread(2, centred=True)
    rows.add(values, (values > -1_255_000).astype(int))
    low, high = rows.quantiles(0.5)
    assert low < -1_255_000 < high
    assert np.isnan(Spread(2).quantiles(0.5)).all()


@pytest.mark.parametrize(("tick", "base"), [(0.1, 61_700), (0.25, 4_500), (0.00001, 1.1), (5.0, 900)])
def test_the_tick_is_the_coarsest_that_fits(tick: float, base: float) -> None:
    grain = Grain()
    prices = base + tick * np.random.default_rng(3).integers(0, 500, 5000)
    grain.add(np.round(prices, 9))
    grain.add(np.array([base + tick * 10.37]))
    found = grain.inferred(0.001)
    assert found is not None
    assert found[:2] == (tick, 1)
    assert found[2] == base + tick * 10.37


def test_few_prices_show_no_tick() -> None:
    grain = Grain()
    grain.add(np.array([100.0, 101.0]))
    assert grain.inferred(0.001) is None


def test_a_day_has_240_bins_and_ten_minutes_whole_seconds() -> None:
    day = axis(Slice(0, 86_400 * NS))
    assert (day.bins, day.step) == (240, 360 * NS)
    short = axis(Slice(600 * NS, 1200 * NS))
    assert (short.start, short.step, short.bins) == (600 * NS, 5 * NS, 120)


def test_parts_that_are_packed_and_merged_tell_what_the_whole_tells() -> None:
    values = np.random.default_rng(3).lognormal(8, 1, 4000) + 1_270_000
    rows = np.arange(4000) % 6
    whole, merged = Spread(6, centred=True), Spread(6, centred=True)
    whole.add(values, rows)
    for part in range(4):
        own = Spread(6, centred=True)
        own.add(values[part::4], rows[part::4])
        merged.merge(Spread.of(own.packed()))
    assert (len(merged), merged.least, merged.greatest) == (4000, whole.least, whole.greatest)
    for q in (0.01, 0.5, 0.99):
        exact = np.quantile(values, q)
        far = np.abs(exact - values).max()
        assert abs(merged.quantile(q) - exact) < 0.04 * far
        assert np.abs(merged.quantiles(q) - whole.quantiles(q)).max() < 0.04 * far


def test_one_part_merged_into_nothing_is_that_part() -> None:
    own, merged = Spread(2, centred=True), Spread(2, centred=True)
    own.add(np.array([5.0, 7.0, 900.0]), np.array([0, 1, 1]))
    merged.merge(Spread.of(own.packed()))
    merged.merge(Spread(2, centred=True))
    assert (merged.cells == own.cells).all()
    assert merged.quantile(0.5) == own.quantile(0.5)
