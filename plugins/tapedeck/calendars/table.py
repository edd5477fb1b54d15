"""A session table of one's own: `[calendars.NAME]` in the settings, alone or over another calendar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tapedeck.calendars.session import DAY, Calendar, DayType, Session
from tapedeck.settings import WEEKDAYS, SessionTable
from tapedeck.slices import NS, Slice

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Table:
    """Sessions by weekday and by date, in the table's zone; dates that it does not name are those of
    `base`, where it has one."""

    table: SessionTable
    base: Calendar | None = None

    @property
    def zone(self) -> str:
        """The base's where there is one, else the table's."""
        return self.base.zone if self.base else self.table.zone

    def sessions(self, of: Slice) -> list[Session]:
        """Those of the slice. A day that the table names with other hours than its weekday's is short."""
        found: list[Session] = []
        if self.base is not None:
            found += [one for one in self.base.sessions(of) if one.day not in self.table.days]
        for n in range(of.start // DAY - 2, of.end // DAY + 3):
            day = EPOCH + timedelta(days=n)
            weekday = () if self.base else self.table.sessions.get(WEEKDAYS[day.weekday()], ())
            hours = self.table.days.get(day.isoformat(), weekday)
            sort: DayType = "short" if hours != weekday else "weekend" if day.weekday() >= 5 else "regular"
            found += self._of_day(day, hours, sort)
        return sorted(one for one in found if of.meets(one.start, one.end))

    def _of_day(self, day: date, hours: Sequence[str], sort: DayType) -> list[Session]:
        zone = ZoneInfo(self.zone)
        bounds = [[_instant(day, text, zone) for text in span.split("-")] for span in hours]
        return [Session(start, end, day.isoformat(), sort) for start, end in bounds if end > start]


def _instant(day: date, text: str, zone: ZoneInfo) -> int:
    hour, minute = map(int, text.split(":"))
    if hour == 24:
        day, hour = day + timedelta(days=1), 0
    local = datetime.combine(day, time(hour, minute), zone)
    return int((local.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * NS
