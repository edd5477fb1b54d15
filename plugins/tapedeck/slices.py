"""Half-open slices of time, [start, end), in nanoseconds since the epoch, UTC."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from numbers import Integral

import msgspec

from tapedeck.errors import BadInput

NS = 1_000_000_000
Time = str | int | datetime
"""RFC 3339 text with a zone (or `5m` ago), an aware datetime, or int ns since the epoch, UTC."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NS = 2**63 - 1
_UNITS = {"ms": NS // 1000, "s": NS, "m": 60 * NS, "h": 3600 * NS, "d": 86_400 * NS}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")
_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.(?P<ns>\d{1,9}))?)?)(?P<zone>[Zz]|[+-]\d{2}:\d{2})"
)
_RIGHT_FORM = "write it as 2024-08-08T23:54:16Z, or 5m, 2h, 1d for so long ago"


class Slice(msgspec.Struct, frozen=True, order=True):
    """All messages with `start <= ts_recv < end`; both in ns since the epoch, UTC."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"[{format_time(self.start)}, {format_time(self.end)})"

    def widen(self, margin: int) -> Slice:
        """The slice with `margin` ns added on both sides, never before the epoch."""
        return Slice(max(0, self.start - margin), self.end + margin)

    def meets(self, start: int, end: int) -> bool:
        """Whether the half-open range [start, end) shares an instant with this slice."""
        return start < self.end and self.start < end


def make_slice(start: int, end: int) -> Slice:
    """A checked slice of ns bounds. Raises BadInput where end is not after start."""
    if end <= start:
        raise BadInput(
            f"the slice ends at {format_time(end)}, which is not after its start "
            f"{format_time(start)}: give an end after the start"
        )
    return Slice(start, end)


def parse_slice(start: str, end: str, now: int | None = None) -> Slice:
    """The slice between two times as a person writes them (see `parse_time`)."""
    now = time.time_ns() if now is None else now
    return make_slice(parse_time(start, now), parse_time(end, now))


def slice_of(start: Time, end: Time) -> Slice:
    """The slice between two times as a program gives them (see `instant`)."""
    now = time.time_ns()
    return make_slice(instant(start, now), instant(end, now))


def instant(at: Time, now: int | None = None) -> int:
    """ns, UTC, of a time as a program gives it; exact for pandas' Timestamps too.

    Raises BadInput for one without a zone, or for none.
    """
    if isinstance(at, str):
        return parse_time(at, now)
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise BadInput(f"{at!r} has no zone: give an aware datetime, for example with tzinfo=UTC")
        whole = at - _EPOCH
        return whole // timedelta(microseconds=1) * 1000 + int(getattr(whole, "nanoseconds", 0))
    if isinstance(at, Integral) and not isinstance(at, bool):
        return int(at)
    raise BadInput(f"{at!r} is no time: give RFC 3339 text, an aware datetime or int ns")


def parse_time(text: str, now: int | None = None) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time with a zone, `now`, or `5m` / `2h` / `1d` ago.

    Fractions to nine digits are exact. Raises BadInput for anything else; a time without a
    zone is an error that shows the right form.
    """
    now = time.time_ns() if now is None else now
    text = text.strip()
    if text == "now":
        return now
    if _DURATION.fullmatch(text):
        return now - parse_duration(text)
    match = _RFC3339.fullmatch(text)
    if not match:
        zoneless = re.match(r"\d{4}-\d{2}-\d{2}", text) and not re.search(r"([Zz]|[+-]\d{2}:\d{2})$", text)
        if zoneless:
            own = text.replace(" ", "T") if len(text) > 10 else f"{text}T00:00:00"
            meant = f"{own}Z if it is UTC" if _RFC3339.fullmatch(f"{own}Z") else "2024-08-08T23:54:16Z"
            raise BadInput(f"{text!r} has no zone: write it as {meant}, or 5m, 2h, 1d for so long ago")
        raise BadInput(f"{text!r} is no time: {_RIGHT_FORM}")
    day, clock, fraction, zone = match[1], match[2].partition(".")[0], match["ns"], match["zone"]
    try:
        zone_part = "+00:00" if zone in "Zz" else zone
        second = datetime.fromisoformat(f"{day}T{clock}{zone_part}")
        whole = (second - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError) as e:
        raise BadInput(f"{text!r} is no time ({e}): {_RIGHT_FORM}") from e
    ns = whole * NS + int((fraction or "").ljust(9, "0"))
    if not 0 <= ns <= _MAX_NS:
        raise BadInput(f"{text!r} lies outside 1970 to 2262: {_RIGHT_FORM}")
    return ns


def parse_duration(text: str) -> int:
    """Nanoseconds of `250ms`, `30s`, `5m`, `2h` or `7d`. Raises BadInput for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise BadInput(f"{text!r} is no duration: write it as 250ms, 30s, 5m, 2h or 7d")
    return int(match[1]) * _UNITS[match[2]]


def format_time(ns: int) -> str:
    """RFC 3339 in UTC with as many of nine fractional digits as are needed."""
    second, fraction = divmod(ns, NS)
    text = (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{text}{digits}Z"
