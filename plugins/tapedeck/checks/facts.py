"""What short-lived jobs left in MongoDB, as metrics: open findings, and when each job was done last.

A job of minutes can't be scraped, and what it pushed would stand for ever once it ends; its receipts and
findings stand in MongoDB anyway, so each writer reads them now and then and shows them beside its own.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import get_args

from tapedeck import metrics
from tapedeck.checks import findings, reconcile, retention
from tapedeck.errors import TapedeckError
from tapedeck.jobs import backfill, receipts
from tapedeck.metrics import Values
from tapedeck.settings import Settings
from tapedeck.store import database

EVERY_SECONDS = 30.0
JOBS = (backfill.JOB, reconcile.JOB)


def facts(settings: Settings, vendor: str) -> Values:
    """Open findings by reason, the newest receipt of each job, hours until Kafka deletes what is unproven,
    what is left on MongoDB's disk; what there is none of is left out. Raises Unavailable."""
    open_ones = Counter(one.reason for one in findings.listed(settings, vendor, "open"))
    newest = {job: receipts.recent(settings, 1, vendor, job) for job in JOBS}
    hours = retention.hours_left(settings, vendor)
    return {
        **({} if hours is None else {metrics.RETENTION_LEFT: hours}),
        metrics.FINDINGS: {reason: float(open_ones[reason]) for reason in get_args(findings.Reason)},
        metrics.RECEIPTS: {
            job: datetime.fromisoformat(found[0].ended).timestamp() for job, found in newest.items() if found
        },
        **_disk(settings),
    }


def _disk(settings: Settings) -> Values:
    with database.answering(settings):
        said = database.database(settings).command("dbStats")
    if "fsTotalSize" not in said:  # a storage engine that has no disk of its own
        return {}
    return {metrics.MONGO_FREE: said["fsTotalSize"] - said["fsUsedSize"]}


class Looking(threading.Thread):
    """Looks again and again, so that no scrape waits for MongoDB. `values` is what was seen last; where
    MongoDB does not answer it is empty, so that nobody takes what was for what is."""

    def __init__(self, look: Callable[[], Values]) -> None:
        super().__init__(name="facts", daemon=True)
        self._look = look
        self.values: Values = {}

    def run(self) -> None:
        """Never ends by itself: the process ends it."""
        pause = threading.Event()
        while True:
            try:
                self.values = self._look()
            except TapedeckError:
                self.values = {}
            pause.wait(EVERY_SECONDS)
