"""The nightly `store check` of a slice: what the disk no longer holds as it was written becomes a finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tapedeck.checks import findings
from tapedeck.checks.findings import WHOLE, Finding, identity
from tapedeck.checks.report import Progress, Report
from tapedeck.message import KINDS
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import check
from tapedeck.store.check import Checked, Fault

CHECK = "store"


def stored(
    settings: Settings,
    vendor: str,
    of: Slice,
    *,
    run: str,
    kinds: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
) -> Report:
    """Decode and check all windows that meet the slice, and keep what is wrong; Kafka is not asked.

    Raises BadInput for an unknown vendor, Unavailable. Changes no window.
    """
    settings.vendor(vendor)
    done = check.check(settings, vendor, of, kinds, progress)
    found = [_finding(vendor, fault) for fault in _each_once(done.faults)]
    judged = Slice(min([of.start, *(one.at for one in found)]), of.end)
    stands = findings.record(settings, vendor, [CHECK], judged, found, run, kinds or None)
    return Report(
        vendor=vendor, slice=of, findings=stands, counts=counts(done), notes=list(done.notes),
    )  # fmt: skip


def again(settings: Settings, vendor: str, of: Slice, run: str) -> list[Finding]:
    """Look once more at what stands as a finding of this check in the slice; gives what is still wrong."""
    known = [
        one
        for one in findings.listed(settings, vendor)
        if one.check == CHECK and one.status in ("open", "repairing") and of.meets(one.start, one.end)
    ]
    left: list[Finding] = []
    for span in sorted({Slice(one.start, one.end) for one in known}):
        left += stored(settings, vendor, span, run=run).findings
    return left


def counts(done: Checked) -> dict[str, int]:
    """What was looked at."""
    return {"documents": done.documents, "messages": done.messages, "blocks": done.blocks}


def _each_once(faults: Iterable[Fault]) -> Iterable[Fault]:
    """The first fault of each window or block."""
    return {(one.library, one.symbol, one.start): one for one in reversed(list(faults))}.values()


def _finding(vendor: str, fault: Fault) -> Finding:
    kind = fault.library.partition(".")[2]
    of_ledger = kind not in KINDS
    why = fault.why
    if of_ledger:
        why = (
            f"the ledger's block {fault.symbol}: {why}; where Kafka still holds its offsets remove it from "
            "the collection `ledger`, and `tapedeck reconcile` enters it again"
        )
    return Finding(
        id=identity(CHECK, vendor, fault.library, fault.symbol, fault.start), check=CHECK, reason="writer",
        vendor=vendor, symbol=WHOLE if of_ledger or not fault.symbol else fault.symbol,
        kind=WHOLE if of_ledger else kind, start=fault.start, end=fault.end, at=fault.start, messages=1,
        evidence={"why": why, "mendable": not of_ledger},
    )  # fmt: skip
