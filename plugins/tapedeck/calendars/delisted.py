"""A symbol that no longer trades: its venue's calendar, which ends."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import structs

from tapedeck.calendars.session import Calendar, Session
from tapedeck.slices import Slice


@dataclass(frozen=True, slots=True)
class Delisted:
    """The sessions of `calendar` before `at` (UTC ns); the one that holds it ends there."""

    calendar: Calendar
    at: int

    @property
    def zone(self) -> str:
        """The venue's."""
        return self.calendar.zone

    def sessions(self, of: Slice) -> list[Session]:
        """Those that begin before the end."""
        return [
            structs.replace(one, end=min(one.end, self.at))
            for one in self.calendar.sessions(of)
            if one.start < self.at and min(one.end, self.at) > of.start
        ]
