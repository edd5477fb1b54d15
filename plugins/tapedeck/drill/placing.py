"""Where in a tape a fault is put, and of what size: by a seed. Pure."""

from __future__ import annotations

import numpy as np

from tapedeck.columns import Array
from tapedeck.drill.played import INTERVAL
from tapedeck.drill.take import Take

Random = np.random.Generator
ABOUT = 40
"""About so many single faults are put into a tape at once."""


def span(take: Take, start: int, length: int) -> Array:
    inside: Array = (take.ts >= start) & (take.ts < start + length)
    return inside


def start_times(take: Take, random: Random, count: int, length: int) -> list[int]:
    """So many times, in order, well apart and from the ends, after each of which `length` is left."""
    first, last = take.of.start + 5 * INTERVAL, take.of.end - length - 5 * INTERVAL
    step = max(1, (last - first) // count)
    return [int(first + i * step + random.integers(0, max(1, step - length))) for i in range(count)]


def log_size(random: Random, low: float, high: float) -> float:
    """Between both, as often small as large by magnitude."""
    return float(np.exp(random.uniform(np.log(low), np.log(max(low * 1.01, high)))))


def log_sizes(random: Random, low: float, high: float, count: int) -> Array:
    found: Array = np.exp(random.uniform(np.log(low), np.log(high), count))
    return found
