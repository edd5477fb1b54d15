"""The checks as they are called: by `import tapedeck`, by the command, by tasks."""

from __future__ import annotations

from tapedeck import endpoints
from tapedeck.checks import findings as book
from tapedeck.checks import gap_check, undone
from tapedeck.checks import reconcile as reconciliation
from tapedeck.checks.fill import fill
from tapedeck.checks.findings import Finding
from tapedeck.checks.report import Progress, Report
from tapedeck.jobs import backfill as rebuilding
from tapedeck.jobs.origin import asked_here, person
from tapedeck.jobs.receipts import Receipt
from tapedeck.settings import Settings, load
from tapedeck.slices import Time, slice_of


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
    of = slice_of(start, end)
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
    of = slice_of(start, end)
    deck = endpoints.resolve(settings or load())
    origin = asked_here()
    return reconciliation.reconcile(
        deck, vendor, of, origin=origin, repair=repair, quick=quick, progress=progress
    )


def backfill(
    vendor: str,
    start: Time,
    end: Time,
    *,
    settings: Settings | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Receipt]:
    """Rebuild from the log every window that meets [start, end), then, where the settings name sources of
    history, fetch what the log never had; the receipt of each. Repeated, it writes nothing.

    Raises as `gaps` does.
    """
    of = slice_of(start, end)
    deck = endpoints.resolve(settings or load())
    origin = asked_here()
    done = [rebuilding.backfill(deck, vendor, of, origin=origin, progress=progress)]
    undone.settle(deck, vendor, of, done[0].complete, f"backfill by {origin.who}")
    if deck.vendor(vendor).history:
        done.append(fill(deck, vendor, of, origin=origin))
    return done


def findings(vendor: str = "", status: str = "", *, settings: Settings | None = None) -> list[Finding]:
    """What checks have found, by vendor and time; only of a vendor or in a state where they are named.

    Raises BadInput for a vendor or a state that is none, Unavailable.
    """
    deck = endpoints.resolve(settings or load())
    if vendor:
        deck.vendor(vendor)
    return book.listed(deck, vendor, status)
