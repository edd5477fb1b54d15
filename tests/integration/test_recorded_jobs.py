"""A recorded market as history: rebuilt as windows and replayed into a topic, whole."""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from pathlib import Path

import pytest

from tapedeck.jobs import backfill, replay
from tapedeck.jobs.origin import Origin
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import parse_slice
from tapedeck.tape import load
from tests.published import VENDOR
from tests.recorded import USDM_BTC, recorded
from tests.topics import contents

DAY = parse_slice("2024-08-08T00:00:00Z", "2024-08-09T00:00:00Z")
MESSAGES = 93_953


@pytest.fixture
def capture(settings: Settings) -> Path:
    """A recorded futures market, loaded as history."""
    path = recorded(USDM_BTC)
    (file,) = load.check(VENDOR, [path])
    load.load(settings, VENDOR, file)
    return path


def lines(path: Path) -> list[tuple[int, dict[str, object]]]:
    """The capture as a stranger reads it: receipt times and envelopes."""
    with gzip.open(path, "rt") as text:
        pairs = [line.split(" ", 1) for line in text]
    return [(int(stamp), json.loads(payload)) for stamp, payload in pairs]


def test_a_recorded_day_is_rebuilt_once_and_replayed_as_it_came(settings: Settings, capture: Path) -> None:
    def origin() -> Origin:
        return Origin(who="test", started=time.time_ns())

    rebuilt = backfill.backfill(settings, VENDOR, DAY, origin=origin())
    assert (rebuilt.counts["messages"], rebuilt.outcome) == (MESSAGES, "written")
    assert backfill.backfill(settings, VENDOR, DAY, origin=origin()).outcome == "unchanged"

    told = lines(capture)
    topic = f"{settings.kafka.prefix}replayed"
    done = replay.replay(settings, VENDOR, DAY, f"kafka:{topic}", origin=origin())
    assert (done.counts["messages"], done.counts["written"]) == (MESSAGES, MESSAGES)
    assert done.after == rebuilt.after
    held = contents(settings, topic)
    assert list(held) == [partition_of("BTCUSDT", 4)]
    (records,) = held.values()
    assert Counter(ms for _, ms, _ in records) == Counter(
        stamp // 1_000_000 for stamp, envelope in told if "stream" in envelope
    )
    assert {key for key, _, _ in records} == {b"BTCUSDT"}
