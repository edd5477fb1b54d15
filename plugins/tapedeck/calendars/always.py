"""Round the clock: `24x7`, whose weekends are days of another sort, and `24x5`, Monday to Friday (UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from tapedeck.calendars.session import DAY, Session, midnight
from tapedeck.slices import Slice

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Always:
    """Open all day long, UTC, on every day or on weekdays."""

    weekends: bool
    zone: str = "UTC"

    def sessions(self, of: Slice) -> list[Session]:
        """One a day."""
        found = []
        for n in range(of.start // DAY, -(-of.end // DAY)):
            day = EPOCH + timedelta(days=n)
            weekend = day.weekday() >= 5
            if self.weekends or not weekend:
                start = midnight(day)
                found.append(
                    Session(start, start + DAY, day.isoformat(), "weekend" if weekend else "regular")
                )
        return found
