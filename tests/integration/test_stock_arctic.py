"""Stock arctic, as it ships, reads our libraries at all times: also while windows are repaired under it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from arctic import Arctic
from arctic.date import DateRange
from msgspec import structs

from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import library
from tapedeck.store.rebuild import rebuild
from tests.published import T0, VENDOR, Published, trade

SECONDS = 300
ROUNDS = 12


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Windows of a minute."""
    return structs.replace(
        settings, vendors={VENDOR: structs.replace(settings.vendors[VENDOR], window={"trade": 60})}
    )


@pytest.fixture
def stock(settings: Settings) -> Iterator[Any]:
    """The trades as arctic gives them."""
    library.ensure(settings, VENDOR)
    arctic = Arctic(settings.mongo.uri, tz_aware=True, tzinfo=ZoneInfo("UTC"))
    yield arctic[f"{VENDOR}.trade"]
    arctic._conn.close()


def at(second: int) -> datetime:
    return datetime.fromtimestamp(T0 // NS + second, UTC)


@pytest.mark.filterwarnings("ignore:Passing a ArrayManager to DataFrame:DeprecationWarning")
def test_it_reads_lists_and_counts_while_every_window_is_replaced_again_and_again(
    settings: Settings, stock: Any
) -> None:
    log = Published(settings)
    of = Slice(T0, T0 + SECONDS * NS)
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(SECONDS)))
    rebuild(settings, VENDOR, of)
    done = threading.Event()

    def storm() -> None:
        """Each round something comes late in every window, so every window changes."""
        try:
            for n in range(1, ROUNDS + 1):
                log.publish(
                    *(trade(T0 + i * NS + n * 1_000_000, 10_000 * n + i) for i in range(0, SECONDS, 60))
                )
                rebuild(settings, VENDOR, of)
        finally:
            done.set()

    repairs = threading.Thread(target=storm)
    repairs.start()
    reads, seen = 0, SECONDS
    while not done.is_set() or not reads:
        frame = stock.read("BTCUSDT", date_range=DateRange(at(0), at(SECONDS)))
        assert frame.index.is_monotonic_increasing
        assert set(range(1, SECONDS + 1)) <= {int(seq) for seq in frame["seq"]}
        assert seen <= len(frame) <= SECONDS + 5 * ROUNDS
        assert stock.list_symbols() == ["BTCUSDT"]
        assert stock.min_date("BTCUSDT") == at(0)
        assert stock.max_date("BTCUSDT") == at(SECONDS - 1)
        assert stock.stats()["totals"]["count"] == 5
        reads, seen = reads + 1, len(frame)
    repairs.join(60)
    assert len(stock.read("BTCUSDT", date_range=DateRange(at(0), at(SECONDS)))) == SECONDS + 5 * ROUNDS
