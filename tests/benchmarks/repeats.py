"""Both sides of a benchmark in turn, so that what else the machine does falls on both alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

REPEATS = 3
SECONDS = 30.0
"""How long a benchmark goes on repeating; a busy machine gets fewer repeats, never none."""


def repeat(work: Callable[[], float]) -> float:
    """The median of what `work` returns."""
    return alternate(work, lambda: 0.0)[0]


def alternate(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float]:
    """Run both in turn and give the medians of what they return."""
    found: list[tuple[float, float]] = []
    began = time.monotonic()
    while len(found) < REPEATS and (not found or time.monotonic() - began < SECONDS):
        found.append((ours(), theirs()))
    return median(pair[0] for pair in found), median(pair[1] for pair in found)


def rate(count: int, work: Callable[[], object]) -> float:
    """How many a second, where `work` does so many."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)
