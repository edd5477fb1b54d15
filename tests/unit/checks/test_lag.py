"""How far clocks lie apart is told by the market, to the second over zones and to 10 ms nearby."""

from __future__ import annotations

import numpy as np
import pytest

from tapedeck.checks.lag import lag
from tapedeck.columns import Array
from tapedeck.slices import NS

T0 = 1_723_118_400 * NS


def market(hours: float, seed: int) -> tuple[Array, Array]:
    """A walk with a step each 50 ms."""
    rng = np.random.default_rng(seed)
    n = int(hours * 3600 * 20)
    return T0 + np.arange(n) * (NS // 20), 100 * np.exp(np.cumsum(rng.normal(0, 1e-5, n)))


def heard(stamps: Array, prices: Array, seed: int, each: int = 10) -> tuple[Array, Array]:
    """One feed's ticks: some of the walk, with noise and a little delay."""
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.choice(len(stamps), len(stamps) // each, replace=False))
    times = stamps[kept] + rng.integers(0, 5_000_000, len(kept))
    return np.sort(times), prices[kept] * np.exp(rng.normal(0, 2e-6, len(kept)))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("seconds", [0.0, -1.27, 1.27, 5 * 3600.0, -5 * 3600.0 - 1.27])
def test_zones_and_slow_clocks_are_found_exactly(seconds: float, seed: int) -> None:
    walk = market(8, seed)
    one, (stamps, prices) = heard(*walk, seed + 10), heard(*walk, seed + 20)
    found = lag(*one, stamps + int(seconds * NS), prices)
    assert found is not None
    assert found.ns / NS == pytest.approx(seconds, abs=0.05)
    assert found.correlation > 0.5
    assert found.correlation > 3 * found.beside


def test_two_different_instruments_fit_nowhere() -> None:
    found = lag(*heard(*market(4, 1), 3), *heard(*market(4, 2), 4))
    assert found is None or found.correlation < max(0.2, 3 * found.beside)


def test_what_does_not_move_or_is_too_short_tells_nothing() -> None:
    stamps = T0 + np.arange(1000) * NS
    assert lag(stamps, np.ones(1000), stamps, np.ones(1000)) is None
    assert lag(stamps[:1], np.ones(1), stamps, np.ones(1000)) is None
