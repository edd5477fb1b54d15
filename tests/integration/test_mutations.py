"""The checkers themselves: what is done to the tape turns exactly the right finding red, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from tapedeck.checks import reconcile
from tapedeck.checks.gap_check import gap_check
from tapedeck.columns import Columns
from tapedeck.jobs.origin import Origin
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import documents, library
from tapedeck.store.encoder import encode
from tapedeck.store.rebuild import rebuild
from tests.integration.test_gap_check import Collector
from tests.published import T0, VENDOR, Published

OF = Slice(T0, T0 + 600 * NS)
Found = list[tuple[str, str, str, str, str, int]]


@pytest.fixture
def log(settings: Settings) -> Published:
    return Published(settings)


def heard(log: Published, *lives: tuple[float, float]) -> None:
    """Ten trades and quotes a second of two symbols, by one collector in these lives; all in Arctic."""
    collector = Collector(log)
    for first, last in lives:
        collector.hear(first, last)
    collector.end(lives[-1][1])
    rebuild(log.settings, VENDOR, OF)


def both(settings: Settings) -> Found:
    """What the gap check and the reconciliation find, every row decoded."""
    origin = Origin(who="test", started=time.time_ns())
    reports = (gap_check(settings, VENDOR, OF), reconcile.reconcile(settings, VENDOR, OF, origin=origin))
    return sorted(
        (f.check, f.reason, f.severity, f.symbol, f.kind, f.messages) for r in reports for f in r.findings
    )


def rewritten(settings: Settings, change: Callable[[Columns], Columns]) -> None:
    one = library.ensure(settings, VENDOR)["trade"]
    found = one.collection.find_one({"_id": documents.document_id(T0, "ETHUSDT")})
    rows = change(documents.stored(found or {}).rows("trade"))
    one.collection.update_one({"_id": documents.document_id(T0, "ETHUSDT")}, {"$set": encode(rows)})


def altered(rows: Columns) -> Columns:
    size = rows["size"].copy()
    size[33] *= 2
    return rows.with_arrays(size=size)


ROWS: dict[str, Callable[[Columns], Columns]] = {
    "deleted": lambda rows: rows.take(np.arange(len(rows)) != 33),
    "doubled": lambda rows: rows.take(np.sort(np.append(np.arange(len(rows)), 33))),
    "altered": altered,
}


def test_a_row_that_is_deleted_doubled_or_altered_is_the_writers_alone(
    settings: Settings, log: Published
) -> None:
    heard(log, (-5, 130))
    assert both(settings) == []
    for name, change in ROWS.items():
        rewritten(settings, change)
        assert both(settings) == [("windows", "writer", "fail", "ETHUSDT", "trade", 1)], name
        origin = Origin(who="test", started=time.time_ns())
        reconcile.reconcile(settings, VENDOR, OF, origin=origin, repair=True)
        assert both(settings) == [], name


def test_offsets_that_kafka_deletes_are_expired_alone(settings: Settings, log: Published) -> None:
    heard(log, (-5, 130))
    log.cut(400)
    assert both(settings) == [("expired", "expired", "warn", "*", "*", 0)]


def test_a_collector_that_is_away_for_three_seconds_is_the_collectors_alone(
    settings: Settings, log: Published
) -> None:
    heard(log, (-5, 60), (63, 130))
    gaps = [("sequence", "collector", "fail", symbol, "trade", 30) for symbol in ("BTCUSDT", "ETHUSDT")]
    assert both(settings) == [("collector", "collector", "fail", "*", "*", 0), *gaps]
