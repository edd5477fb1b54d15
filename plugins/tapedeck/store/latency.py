"""How long after their receipt messages are seen in Kafka and stand in Arctic, noted by the live writers.

A Kafka record's time is that of receipt, so the log itself can't tell. Counts by day of receipt, in cells
2 % wide, in the collection `latencies`. What a writer noted in the last seconds before it was killed is lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np
from pymongo import UpdateOne

from tapedeck.columns import Array
from tapedeck.settings import Settings
from tapedeck.spread import Spread
from tapedeck.store import database

COLLECTION = "latencies"
EVERY_SECONDS = 10.0
SAMPLED = 500
"""Of a batch about so many messages are looked at, evenly; its oldest is one of them."""
US = 1000
DAY = 86_400 * 10**9

Hop = Literal["kafka", "arctic"]
"""From receipt until a writer has read it from Kafka; from a window's last receipt until it is in Arctic."""


class Latencies:
    """Notes one vendor's latencies. Of one thread; the writer's clock is compared with the taper's."""

    def __init__(self, settings: Settings, vendor: str) -> None:
        self.settings, self.vendor = settings, vendor
        self.pending: dict[tuple[Hop, int], Spread] = {}
        self.flushed = time.monotonic()

    def note(self, hop: Hop, stamps: Array) -> None:
        """Messages received at these times, UTC ns, are there now."""
        if not len(stamps):
            return
        now = time.time_ns()
        step = max(1, len(stamps) // SAMPLED)
        some = stamps[::step]
        days = some // DAY
        for day in np.unique(days).tolist():
            spread = self.pending.setdefault((hop, day), Spread())
            spread.add((now - some[days == day]) / US)

    def flush_due(self) -> None:
        """Add what was noted to what stands, where that is some seconds ago. Raises Unavailable."""
        if time.monotonic() - self.flushed >= EVERY_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Add what was noted to what stands. Raises Unavailable, and then keeps it."""
        updates = [_update(self.vendor, hop, day, one) for (hop, day), one in self.pending.items()]
        if updates:
            with database.answering(self.settings):
                database.collection(self.settings, COLLECTION).bulk_write(updates, ordered=False)
        self.pending.clear()
        self.flushed = time.monotonic()


def read(settings: Settings, vendor: str, day: int) -> dict[Hop, Spread]:
    """By hop, the latencies in µs of messages received on the day that begins at `day` (UTC ns)."""
    names: tuple[Hop, ...] = get_args(Hop)
    ids = {_name(vendor, hop, day // DAY): hop for hop in names}
    with database.answering(settings):
        found: Iterable[dict[str, Any]] = list(
            database.collection(settings, COLLECTION).find({"_id": {"$in": list(ids)}})
        )
    spreads: dict[Hop, Spread] = {}
    for document in found:
        spread = spreads[ids[document["_id"]]] = Spread()
        for cell, count in document["cells"].items():
            spread.cells[0, int(cell)] = count
        spread.least, spread.greatest = document["least"], document["greatest"]
    return spreads


def _update(vendor: str, hop: Hop, day: int, spread: Spread) -> UpdateOne:
    filled = np.flatnonzero(spread.cells[0]).tolist()
    return UpdateOne(
        {"_id": _name(vendor, hop, day)},
        {
            "$inc": {f"cells.{cell}": int(spread.cells[0, cell]) for cell in filled},
            "$min": {"least": spread.least}, "$max": {"greatest": spread.greatest},
        },
        upsert=True,
    )  # fmt: skip


def _name(vendor: str, hop: Hop, day: int) -> str:
    return f"{vendor}|{day}|{hop}"
