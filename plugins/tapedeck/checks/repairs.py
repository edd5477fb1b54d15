"""What mends a finding, or does a job again: a DAG and what its form is filled in with, as a link.

Airflow 3.3 has no link that opens its own form filled in, so these lead to ours (`tapedeck.airflow.form`),
which start the run as whoever is logged in.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from tapedeck.checks import remedy
from tapedeck.checks.findings import Finding
from tapedeck.jobs.receipts import Receipt

PAGES = "/plugin/receipts/tapedeck"
"""Where Airflow shows tapedeck's pages inside its own (see `tapedeck_plugin`)."""


class Repair(Struct, frozen=True):
    """A run of this DAG, with this in its form."""

    dag: str
    conf: dict[str, Any]

    @property
    def page(self) -> str:
        """The form, filled in, below our own pages."""
        pairs = [
            (name, str(one))
            for name, value in self.conf.items()
            for one in (value if isinstance(value, (list, tuple)) else [value])
        ]
        return f"run/{self.dag}?{urlencode(pairs)}"

    @property
    def link(self) -> str:
        """The form, filled in, below Airflow's address."""
        return f"{PAGES}/{self.page}"


def again(receipt: Receipt) -> Repair | None:
    """The run that does once more what a receipt proves; None for a job that no form starts."""
    span = {"start_exact": receipt.start, "end_exact": receipt.end}
    if receipt.job == "replay" and not receipt.asked.get("tape"):
        known = ("to", "symbols", "kinds", "speed", "rate", "restamp", "skip_closed")
        asked = {name: receipt.asked[name] for name in known if name in receipt.asked}
        return Repair("replay", {"vendor": receipt.vendor, **span, **asked})
    if receipt.job in ("backfill", "history"):
        return Repair("nightly_backfill", {"vendors": [receipt.vendor], **span})
    if receipt.job == "reconcile":
        repair = bool(receipt.asked.get("repair"))
        return Repair("reconcile", {"vendors": [receipt.vendor], "repair": repair, **span})
    return None


def repair_of(one: Finding) -> Repair | None:
    """What mends a finding that is open; None where no run does, as for a payload in quarantine."""
    dag = remedy.job(one) if one.status in ("open", "repairing") else ""
    return Repair(dag, remedy.form(one)) if dag else None
