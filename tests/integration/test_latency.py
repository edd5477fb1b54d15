"""Latencies from receipt on: noted by several writers, added up, read by day."""

from __future__ import annotations

import time

import numpy as np

from tapedeck.settings import Settings
from tapedeck.store import latency
from tapedeck.store.latency import DAY, Latencies
from tests.published import VENDOR

HOUR = 3600 * 10**9


def test_what_writers_note_adds_up_by_day_of_receipt(settings: Settings) -> None:
    day = (time.time_ns() // DAY - 3) * DAY
    one, other = Latencies(settings, VENDOR), Latencies(settings, VENDOR)
    for _ in range(3):
        one.note("kafka", np.array([day - HOUR, day + 23 * HOUR]))
        other.note("kafka", np.full(5000, day + 2 * HOUR))
        other.note("arctic", np.array([day]))
    one.note("arctic", np.array([], np.int64))
    one.flush()
    one.flush()
    other.flush()
    assert latency.read(settings, VENDOR, day + DAY) == {}
    assert {hop: len(s) for hop, s in latency.read(settings, VENDOR, day - DAY).items()} == {"kafka": 3}
    found = latency.read(settings, VENDOR, day)
    assert {hop: len(spread) for hop, spread in found.items()} == {"kafka": 1503, "arctic": 3}
    kafka, since = found["kafka"], (time.time_ns() - day) / 1000
    hour = HOUR / 1000
    assert kafka.least <= since - 23 * hour < kafka.quantile(0.5) <= kafka.greatest <= since - 2 * hour
    assert kafka.quantile(0.5) > 0.97 * (since - 2 * hour) - 600e6
