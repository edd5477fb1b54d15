"""What a report warns of. Every page and its JSON name those that were in force."""

from __future__ import annotations

from msgspec import Struct


class Thresholds(Struct, frozen=True, kw_only=True):
    """Shares are of 1, times as their names say. The defaults are first choices from the recorded markets."""

    crossed_share: float = 0.001
    """Quotes with bid > ask, where there is no baseline of the vendor's own days."""
    locked_share: float = 0.01
    """Quotes with bid = ask, likewise."""
    baseline_times: float = 3.0
    """How many times its own baseline a vendor's crossed or locked share may be."""
    baseline_days: int = 5
    """Trailing days that make a baseline; the newest 20 are used."""
    outlier_share: float = 0.005
    """Labelled ticks of a symbol: trades outside the quotes or far from their neighbours, or far mids."""
    q4_deviations: float = 10.0
    q4_half: int = 25
    q3_medians: float = 50.0
    bg_neighbours: int = 60
    bg_trim: float = 0.1
    granularity_ticks: float = 2.0
    """What moves less than so many ticks is no outlier (Brownlees and Gallo's gamma)."""
    off_tick_share: float = 0.001
    """Prices that may lie off a tick size for it still to be taken for the symbol's."""
    stale_seconds: float = 60.0
    """A quote that stands unchanged for longer, while other symbols move, is stale."""
    clock_ms: float = 50.0
    """Receipt before event by more than this, for 99 % of messages, is a wrong clock."""
    delay_p99_ms: float = 5000.0
    volume_low: float = 0.3
    volume_high: float = 3.0
    """A symbol's messages over the median of its trailing days."""
