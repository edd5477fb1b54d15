"""What mends a finding: the command for a person, and the job whose form a repair link opens. Pure."""

from __future__ import annotations

from tapedeck.checks.findings import WHOLE, Finding
from tapedeck.slices import format_time


def job(one: Finding) -> str:
    """The DAG that may mend it; empty where none can."""
    if one.check in ("rebuild", "fetched", "complete"):
        return "nightly_backfill"
    if one.reason == "writer":
        return "reconcile" if one.evidence.get("mendable", True) else ""
    if one.check in ("sequence", "collector", "publish", "expired", "lost"):
        return "nightly_backfill"  # it asks the vendor's history for what the log never had
    return ""


def form(one: Finding) -> dict[str, object]:
    """What its form is filled in with: vendor and slice."""
    end = max(one.end, one.at + 1, one.start + 1)  # a check of the slice must find it again
    return {
        "vendors": one.vendor, "start_exact": format_time(one.start), "end_exact": format_time(end),
        **({"repair": True, "quick": False} if job(one) == "reconcile" else {}),
    }  # fmt: skip


def remedy(one: Finding) -> str:
    """What a person does about it, in a sentence with the command."""
    where = f"{one.vendor} {format_time(one.start)} {format_time(max(one.end, one.start + 1))}"
    accept = f'tapedeck findings accept {one.id} --reason "…"'
    if one.status in ("closed", "accepted"):
        return "nothing"
    if one.check == "retention":
        return f"{one.evidence['raise']}; tapedeck retention {one.vendor} --repair"
    if one.check in ("rebuild", "fetched"):
        return f"look at the slice, then tapedeck backfill {where}: by hand it changes what was left"
    if one.check == "complete":
        return f"tapedeck backfill {where} once collector {one.evidence.get('src')} has come back"
    if job(one) == "reconcile":
        until = one.evidence.get("unrepairable_after", "")
        before = f", before {until} (to put that off: {one.evidence['raise']})" if until else ""
        return f"tapedeck reconcile {where} --repair{before}"
    if one.check == "quarantine":
        return f"tapedeck quarantine {one.vendor}: mend the normaliser, then --redrive; or {accept}"
    if one.check == "undecodable":
        return f"take the right to produce from whoever wrote it, then {accept}"
    if one.reason == "publish" and one.evidence.get("src"):
        return f"tapedeck load {one.vendor} with the tape of collector {one.evidence['src']}"
    if job(one):
        return f"tapedeck backfill {where} asks the vendor's history for it; else {accept}"
    where = "" if one.symbol == WHOLE else f" of {one.symbol}"
    return f"look at what was received{where}, then {accept}"
