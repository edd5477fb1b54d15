"""A vendor's day as data: the JSON twin of its page. docs/reports.md says what each field means."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tapedeck.errors import BadInput, Mismatch
from tapedeck.slices import NS, Slice

SCHEMA = "tapedeck.report/1"
"""Raised where a field changes its meaning; fields are only ever added to a version."""

Verdict = Literal["PASS", "WARN", "FAIL"]
Condition = Literal["available", "degraded", "pending", "missing", "closed"]


class Reason(Struct, frozen=True):
    """One thing that a verdict rests on."""

    severity: Verdict
    about: str
    text: str


class Day(Struct, frozen=True, kw_only=True):
    """All that a report says. The same input gives the same bytes, whoever makes it and when."""

    schema: str = SCHEMA
    vendor: str
    day: str
    verdict: Verdict
    sentence: str
    reasons: tuple[Reason, ...]
    conditions: dict[str, int]
    slice: dict[str, str]
    axis: dict[str, Any]
    messages: int
    kinds: dict[str, int]
    symbols: list[dict[str, Any]]
    completeness: dict[str, Any]
    reconciliation: dict[str, Any]
    order: dict[str, Any]
    timeliness: dict[str, Any]
    validity: dict[str, Any]
    volume: dict[str, Any]
    quarantine: dict[str, Any]
    collectors: list[dict[str, Any]]
    retention: list[dict[str, Any]] = []
    plan: dict[str, Any]
    code: dict[str, Any]
    thresholds: dict[str, Any]
    notes: list[str]

    def to_json(self) -> bytes:
        """One JSON object, fields in a fixed order, with a line feed."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def from_json(text: bytes) -> Day:
    """The day that `to_json` wrote. Raises Mismatch for anything else."""
    try:
        found = msgspec.json.decode(text, type=Day)
    except msgspec.DecodeError as e:
        raise Mismatch(f"this is no report of a day ({e}): make it anew with `tapedeck report`") from e
    if found.schema != SCHEMA:
        raise Mismatch(
            f"this report has the schema {found.schema}, not {SCHEMA}: make it anew with `tapedeck report`"
        )
    return found


def parse_day(text: str, now: int | None = None) -> date:
    """`2024-08-08`, a day of UTC. Raises BadInput for anything else, and for a day that has not begun."""
    now = time.time_ns() if now is None else now
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError(text)
        day = date.fromisoformat(text)
    except ValueError as e:
        raise BadInput(f"{text[:40]!r} is no day: write it as 2024-08-08 (UTC)") from e
    if day.year < 1970:
        raise BadInput(f"{text} lies before 1970: no tape is that old")
    if slice_of(day).start >= now:
        raise BadInput(f"{text} has not begun yet: ask for a day that has")
    return day


def slice_of(day: date) -> Slice:
    """Midnight to midnight, UTC."""
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * NS
    return Slice(start, start + 86_400 * NS)


def days_of(of: Slice) -> list[date]:
    """The days that a slice meets."""
    first = datetime(1970, 1, 1, tzinfo=UTC).date() + timedelta(days=of.start // (86_400 * NS))
    count = (of.end - 1) // (86_400 * NS) - of.start // (86_400 * NS) + 1
    return [first + timedelta(days=i) for i in range(count)]
