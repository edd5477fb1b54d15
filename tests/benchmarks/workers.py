"""Two processes at work on a job's partitions, as Airflow's pool of two slots runs them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

COUNT = 2


@contextmanager
def workers() -> Iterator[ProcessPoolExecutor]:
    """Two spawned processes that have already imported what the caller's module imports."""
    with ProcessPoolExecutor(COUNT, get_context("spawn")) as pool:
        list(pool.map(time.sleep, [1.0] * COUNT))  # long enough that neither takes both
        yield pool
