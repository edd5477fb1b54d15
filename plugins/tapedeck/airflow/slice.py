"""Which slice a run is about. Never taken from a run's id, which carries the interval's end."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tapedeck.errors import BadInput
from tapedeck.slices import Slice, format_time, make_slice, parse_time


def slice_of(params: Mapping[str, Any], start: datetime | None, end: datetime | None) -> Slice:
    """The slice in force: what the form says, else the run's data interval [start, end).

    `start_exact` and `end_exact` (to the nanosecond) win over `start` and `end` (a picker's). Raises
    BadInput where only one end is given, a time has no zone, or neither form nor interval name a slice:
    a run started by hand may have no interval, or one of no width.
    """
    asked = [params.get(f"{name}_exact") or params.get(name) for name in ("start", "end")]
    if all(asked):
        return make_slice(parse_time(str(asked[0])), parse_time(str(asked[1])))
    if any(asked):
        given, lacking = ("a start", "end") if asked[0] else ("an end", "start")
        raise BadInput(
            f"the run has {given} but no {lacking}: give both, or neither where it has an interval"
        )
    if start is None or end is None or start >= end:
        at = "" if start is None else f", only the instant {format_time(_ns(start))}"
        raise BadInput(f"this run has no interval of time{at}: give it a start and an end (UTC)")
    return make_slice(_ns(start), _ns(end))


def _ns(time: datetime) -> int:
    """Exact: pendulum's own differences can't be divided by a timedelta, so no difference is taken."""
    second = calendar.timegm(time.utctimetuple())
    return (second * 1_000_000 + time.microsecond) * 1000
