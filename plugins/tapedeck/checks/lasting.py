"""A silence that lasts beyond the slice that found it: how far it reaches now, and when it is none any more.

No data tell a delisting that the venue did not announce from a subscription that got lost. So it is one
warning, which ends by itself: after whole trading days on which others were heard the symbol is gone, and is
not missed until it comes again. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from tapedeck.calendars.delisted import Delisted
from tapedeck.calendars.session import Calendar
from tapedeck.checks.activity import Gap
from tapedeck.checks.limits import Limits
from tapedeck.checks.silence import Silence, Spans, Usual, limit, longest_open
from tapedeck.slices import Slice

LISTENED = 0.5
"""A trading day counts where at least this share of it was listened to."""


def since(one: Silence, began: int, watched: Spans) -> Silence:
    """A silence that an earlier slice found, as it stands now: from when it began to the last open time."""
    end = max((min(b, one.until) for a, b in watched if a < one.until), default=one.end)
    return replace(one, start=began, end=end)


def is_gone(gap: Gap, calendar: Calendar, watched: Spans, of: Slice, limits: Limits) -> bool:
    """Whether a symbol of which nothing has come since `gap.start` trades no more: so many whole trading
    days have passed since, as far as `watched` reaches back, on which it could have been heard."""
    back = min((a for a, _ in watched), default=of.start)
    wide = Slice(min(max(gap.start, back), of.end - 1), of.end)
    heard: dict[str, float] = {}
    for one in calendar.sessions(wide):
        if one.start >= wide.start and one.end <= of.end:
            open_ = sum(max(0, min(b, one.end) - max(a, one.start)) for a, b in watched)
            heard[one.day] = max(heard.get(one.day, 0.0), open_ / (one.end - one.start))
    return sum(share >= LISTENED for share in heard.values()) >= limits.gone_days


def is_none(gap: Gap, calendar: Calendar, watched: Spans, usual: Usual | None, limits: Limits) -> bool:
    """Whether what was found as a silence that goes on is none by what is known now: the symbol was named as
    delisted, or so long is usual."""
    if isinstance(calendar, Delisted) and calendar.at <= gap.start:
        return True
    part = longest_open(gap, watched)
    return part is not None and usual is not None and part[1] - part[0] <= limit(usual, limits)
