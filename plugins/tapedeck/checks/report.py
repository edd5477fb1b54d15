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
    judged: int | None = None
    """Of a reconciliation, how many windows of its slice could be judged, over kinds and partitions."""

    @property
    def verdict(self) -> Verdict:
        """What was found weighs, but for what a person has accepted."""
        return verdict(self.findings)

    @property
    def headline(self) -> str:
        """The first line for a person: the verdict, or that there was nothing to judge."""
        found = len(self.findings)
        said = "nothing was judged" if self.judged == 0 and not found else self.verdict
        return f"{self.vendor} {self.slice}: {said}, {found:,} finding{'' if found == 1 else 's'}"

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`."""
        more = {name: value for name in ("balance", "receipt") if (value := getattr(self, name))}
        if self.judged is not None:
            more["judged"] = self.judged
        return {
            "verdict": self.verdict,
            "findings": [one.to_json() for one in self.findings],
            "slice": {"start": format_time(self.slice.start), "end": format_time(self.slice.end)},
            "vendor": self.vendor,
            "counts": self.counts,
            "notes": self.notes,
            **more,
        }
