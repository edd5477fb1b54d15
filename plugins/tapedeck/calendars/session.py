"""Sessions: when a venue is open, and what sort of day that is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Literal, Protocol

from msgspec import Struct

from tapedeck.slices import NS, Slice

DAY = 86_400 * NS
DayType = Literal["regular", "short", "weekend"]
"""Days are compared with their like: a half day (`short`) with half days, a weekend with weekends."""


class Session(Struct, frozen=True, order=True):
    """A venue is open in [start, end), UTC ns; a break makes two of one day."""

    start: int
    end: int
    day: str
    """The trading day's date, ISO."""
    sort: DayType = "regular"


class Calendar(Protocol):
    """When a venue is open."""

    @property
    def zone(self) -> str:
        """The venue's time zone: its times of day keep their meaning when clocks change."""
        ...

    def sessions(self, of: Slice) -> list[Session]:
        """The sessions that share an instant with the slice, whole and in order."""
        ...


def opened(sessions: Iterable[Session], of: Slice) -> list[tuple[int, int]]:
    """The parts of a slice in which the venue is open; what touches is one."""
    parts: list[tuple[int, int]] = []
    for one in sorted(sessions):
        start, end = max(one.start, of.start), min(one.end, of.end)
        if start >= end:
            continue
        if parts and start <= parts[-1][1]:
            parts[-1] = (parts[-1][0], max(end, parts[-1][1]))
        else:
            parts.append((start, end))
    return parts


def midnight(day: date) -> int:
    """The beginning of a date, UTC ns."""
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY
