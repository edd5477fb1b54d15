"""What a check of a slice says, to a person and to a machine (DESIGN §9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from tapedeck.checks.findings import Finding, Verdict, verdict
from tapedeck.slices import Slice, format_time

Progress = Callable[[int, int], object]
"""Called with how much is done, of how much."""


class Report(Struct, frozen=True, kw_only=True):
    """What one run of a check found. `counts` says what was looked at, `notes` what could not be."""

    vendor: str
    slice: Slice
    findings: list[Finding]
    counts: dict[str, int]
    notes: list[str]
    balance: list[dict[str, int]] = []
    """Of a reconciliation, per partition: what the log and Arctic hold (DESIGN §2.5)."""
    receipt: str = ""

    @property
    def verdict(self) -> Verdict:
        """What was found weighs, but for what a person has accepted."""
        return verdict(self.findings)

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        more = {name: value for name in ("balance", "receipt") if (value := getattr(self, name))}
        return {
            "verdict": self.verdict,
            "findings": [one.to_json() for one in self.findings],
            "slice": {"start": format_time(self.slice.start), "end": format_time(self.slice.end)},
            "vendor": self.vendor,
            "counts": self.counts,
            "notes": self.notes,
            **more,
        }
