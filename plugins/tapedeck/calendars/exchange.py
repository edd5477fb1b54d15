"""An exchange's calendar, as the package exchange_calendars knows it: holidays, breaks, early closes, DST."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from tapedeck.calendars.session import Session
from tapedeck.errors import BadInput
from tapedeck.slices import NS, Slice

AROUND = timedelta(days=10)
"""So many days around a slice are asked for: no exchange's session reaches further."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange by its code, for example XNYS."""

    code: str
    zone: str

    def sessions(self, of: Slice) -> list[Session]:
        """Regular trading hours. Raises BadInput for days of which the package knows nothing."""
        first, last = (datetime.fromtimestamp(t // NS, UTC).date() for t in (of.start, of.end))
        # whole months, so that the hours of a month share one calendar
        start = (first - AROUND).replace(day=1)
        end = (last + AROUND + timedelta(days=31)).replace(day=1)
        return [one for one in _known(self.code, start, end) if of.meets(one.start, one.end)]


def names() -> list[str]:
    """All codes that are known, aliases included."""
    import exchange_calendars

    return list(exchange_calendars.get_calendar_names(include_aliases=True))


def exchange(code: str) -> Exchange:
    """The exchange of a code that `names` has."""
    today = datetime.now(UTC).date()
    return Exchange(code, str(_calendar(code, today - AROUND, today).tz))


@lru_cache(maxsize=64)
def _known(code: str, start: date, end: date) -> tuple[Session, ...]:
    calendar = _calendar(code, start, end)
    short = {day.date() for day in calendar.early_closes.union(calendar.late_opens)}
    found: list[Session] = []
    for label, row in calendar.schedule.iterrows():
        sort = "short" if label.date() in short else "regular"
        bounds = [row["open"], row["break_start"], row["break_end"], row["close"]]
        times = [t.value for t in bounds if t == t]  # NaT where there is no break
        found += [Session(a, b, label.date().isoformat(), sort)  # type: ignore[arg-type]
                  for a, b in zip(times[::2], times[1::2], strict=True)]  # fmt: skip
    return tuple(sorted(found))


def _calendar(code: str, start: date, end: date) -> Any:
    import exchange_calendars
    from exchange_calendars import errors

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return exchange_calendars.get_calendar(code, start=start.isoformat(), end=end.isoformat())
    except (ValueError, errors.NoSessionsError) as e:
        raise BadInput(
            f"the calendar {code} does not reach from {start} to {end} ({str(e).splitlines()[0][:120]}): "
            "look at another slice, or set a table [calendars.NAME]"
        ) from e
