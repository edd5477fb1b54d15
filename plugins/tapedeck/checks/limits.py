"""The thresholds of what no sequence tells: silence, volume, clocks. `tapedeck drill` scores others."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """What ships was chosen by drills on recorded markets: docs/reliability.md has their figures."""

    silence_seconds: float = 5.0
    """No shorter silence is judged."""
    silence_times: float = 6.0
    """A silence is too long where it is so many times the longest that is usual, and"""
    silence_alpha: float = 1e-15
    """longer than a Poisson process of the usual rate leaves but once in 1 / alpha looks. (Messages come in
    clusters: of two and a half each, as in a drill's made market, it is once in 1 / alpha ** 0.4 looks.)"""
    gone_days: float = 3.0
    """After so many whole trading days on which nothing came of a symbol, but of others, it is gone."""
    volume_deviations: float = 6.0
    """A bucket's count lies beyond so many deviations, and"""
    volume_low: float = 0.3
    """below this, or"""
    volume_high: float = 3.0
    """above this share of the usual."""
    skew_ms: float = 50.0
    """A receipt this much before its event is a wrong clock, not a rounded stamp."""


LIMITS = Limits()
"""Those in force."""
