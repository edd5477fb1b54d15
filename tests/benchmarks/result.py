"""What a benchmark found: a figure, its baseline's, and what their ratio must be."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Must(Struct, frozen=True):
    """What the ratio of value to baseline must reach, or where `at_most` must not pass."""

    ratio: float
    at_most: bool = False

    def met(self, ratio: float) -> bool:
        """Whether a ratio is good enough."""
        return ratio <= self.ratio if self.at_most else ratio >= self.ratio

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.ratio:g}"


class Result(Struct, frozen=True, kw_only=True):
    """One figure of tapedeck's beside one of somebody else's, both in `unit`."""

    value: float
    unit: str
    baseline_name: str
    baseline: float
    must: Must

    @property
    def ratio(self) -> float:
        """The value as a multiple of the baseline."""
        return self.value / self.baseline

    @property
    def met(self) -> bool:
        """Whether tapedeck is where DESIGN §11 wants it."""
        return self.must.met(self.ratio)

    def to_json(self) -> dict[str, Any]:
        """What `bench.json` says of it."""
        return {"value": self.value, "unit": self.unit, "baseline": self.baseline, "ratio": self.ratio}
