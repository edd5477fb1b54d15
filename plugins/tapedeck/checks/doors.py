"""The checks as they are called: by `import tapedeck`, by the command, by tasks."""

from __future__ import annotations

import time

from tapedeck import endpoints
from tapedeck.checks import gap_check
from tapedeck.checks import reconcile as reconciliation
from tapedeck.checks.report import Progress, Report
from tapedeck.jobs.origin import Origin, person
from tapedeck.settings import Settings, load
from tapedeck.slices import Slice, make_slice, parse_time

Time = str | int
"""RFC 3339 text with a zone (or `5m` ago), or int ns since the epoch, UTC."""


def gaps(
    vendor: str,
    start: Time,
    end: Time,
    *,
    settings: Settings | None = None,
    progress: Progress = lambda done, total: None,
) -> Report:
    """What is missing of a vendor in [start, end), each with its reason; kept as findings.

    Raises BadInput for an unknown vendor or a slice that is none, Unavailable.
    """
    of = _slice(start, end)
    deck = endpoints.resolve(settings or load())
    return gap_check.gap_check(deck, vendor, of, run=f"gaps by {person()}", progress=progress)


def reconcile(
    vendor: str,
    start: Time,
    end: Time,
    *,
    repair: bool = False,
    quick: bool = False,
    settings: Settings | None = None,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Where the log and Arctic differ in the windows that meet [start, end); findings, and a receipt.

    `repair`: rebuild what differs, and look again. `quick`: read no payload where ledger and tallies prove
    that all is accounted for, so that a row altered on the disk stays unseen (`store check`).
    Raises as `gaps` does.
    """
    of = _slice(start, end)
    deck = endpoints.resolve(settings or load())
    origin = Origin(who=person(), started=time.time_ns())
    return reconciliation.reconcile(
        deck, vendor, of, origin=origin, repair=repair, quick=quick, progress=progress
    )


def _slice(start: Time, end: Time) -> Slice:
    now = time.time_ns()
    return make_slice(*(parse_time(t, now) if isinstance(t, str) else int(t) for t in (start, end)))
