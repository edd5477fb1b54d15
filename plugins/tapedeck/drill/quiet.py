"""A made market of symbols that are rarely heard, over many days: what no recorded tape is long enough for.

Messages come in clusters, as on real tapes: parents by a Poisson process whose rate follows the hours of a
day and differs from day to day, each with some that follow within seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapedeck.columns import Array, Columns
from tapedeck.slices import NS

DAY = 86_400 * NS
RATES = (60.0, 20.0, 6.0, 2.0, 0.6, 0.2)
"""Messages a minute of the symbols, over the day."""
OF_EACH = 3
"""So many symbols of each rate."""
CHILDREN = 1.5
"""So many messages follow a parent on average,"""
WITHIN = 5.0
"""exponentially distributed with this mean, in seconds."""
DAYS_DIFFER = 0.3
"""Standard deviation of the logarithm of a day's rate over the usual one, of all symbols together, and again
of each."""
_HOURS = np.array([
    0.6, 0.5, 0.5, 0.5, 0.5, 0.6, 0.8, 1.2, 1.4, 1.2, 1.0, 0.9,
    1.0, 1.5, 2.0, 1.9, 1.5, 1.2, 1.0, 1.0, 1.1, 0.9, 0.7, 0.6,
])  # fmt: skip
"""The rate by hour of the day, over the day's mean."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """The market of one seed: `symbols` with their `rates` (messages a minute)."""

    seed: int

    @property
    def symbols(self) -> dict[str, float]:
        """Rates by symbol, the liveliest first."""
        return {f"R{rate:g}-{k}": rate for rate in RATES for k in range(OF_EACH)}

    def day(self, n: int, start: int) -> Columns:
        """What came on the n-th day, which begins at `start` (UTC ns): trades without sequences, in order of
        receipt. The same seed and n give the same day."""
        random = np.random.default_rng((self.seed, n))
        whole = random.normal(0, DAYS_DIFFER)
        stamps, codes = [], []
        for k, rate in enumerate(self.symbols.values()):
            of_day = rate * np.exp(whole + random.normal(0, DAYS_DIFFER) - DAYS_DIFFER**2)
            times = _clustered(random, of_day * 60 / (1 + CHILDREN) * _HOURS / _HOURS.mean())
            stamps.append(start + times)
            codes.append(np.full(len(times), k, np.int32))
        ts, code = np.concatenate(stamps), np.concatenate(codes)
        order = np.argsort(ts, kind="stable")
        return Columns("trade", tuple(self.symbols), {"symbol": code[order], "ts_recv": ts[order]})


def _clustered(random: np.random.Generator, parents: Array) -> Array:
    """Times within a day (ns), by the number of parents that each hour has on average."""
    counts = random.poisson(parents)
    hour = np.repeat(np.arange(24), counts)
    at = (hour + random.random(len(hour))) * 3600
    children = random.poisson(CHILDREN, len(at))
    after = np.repeat(at, children) + random.exponential(WITHIN, int(children.sum()))
    found = np.concatenate((at, after))
    times: Array = np.sort((found[found < 86_400] * NS).astype(np.int64))
    return times
