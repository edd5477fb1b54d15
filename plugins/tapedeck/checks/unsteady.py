"""What a finding says of what did not come steadily: silence, volume, clocks, order, lateness. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tapedeck.checks.activity import BUCKET
from tapedeck.checks.findings import Finding
from tapedeck.checks.silence import Silence, Spans, Volume
from tapedeck.checks.timing import Backwards, Clock, Timing
from tapedeck.checks.trailing import HOUR
from tapedeck.log.coverage import FILES
from tapedeck.message import WHOLE_FEED
from tapedeck.slices import NS, Slice

Make = Callable[..., Finding]
"""Makes a finding: (check, what it is about, **fields)."""


def of_silence(one: Silence, watched: Spans, of: Slice, make: Make) -> Finding:
    """Too long a silence, of which `watched` could have been heard."""
    feed = one.symbol == WHOLE_FEED
    scope = "feed" if feed else "symbol" if one.silent == 1 else "some symbols"
    open_ = [(max(a, one.start), min(b, one.end)) for a, b in watched]
    seconds, usual = sum(max(0, b - a) for a, b in open_) / NS, one.usual / NS
    some = "the whole feed" if one.silent >= one.heard else f"{one.silent} of {one.heard} symbols at once"
    who = f"nothing came of {some if feed else one.symbol}"
    still = "; it goes on" if one.open_ended else ""
    return make(
        "silence", (one.symbol, one.start), reason="upstream", symbol=one.symbol, start=one.start,
        end=one.end, at=min(max(one.end - 1, of.start), of.end - 1), messages=0,
        severity="fail" if feed else "warn",
        evidence={
            "scope": scope, "silent": one.silent, "heard": one.heard, "limit_seconds": round(usual, 3),
            "why": f"{who} for {seconds:,.1f} s of open hours, where {usual:,.1f} s is the limit{still}",
        },
    )  # fmt: skip


def of_volume(one: Volume, make: Make) -> Finding:
    """Ten minutes with far fewer messages than usual."""
    return make(
        "volume", (one.symbol, one.start), reason="upstream", symbol=one.symbol, start=one.start,
        end=one.start + BUCKET, messages=0, severity="warn",
        evidence={
            "messages": one.messages, "usual": one.usual, "deviations": round(one.deviations, 1),
            "why": f"{one.messages:,} messages in ten minutes, where {one.usual:,.0f} are usual",
        },
    )  # fmt: skip


def of_clock(src: int, clock: Clock, of: Slice, make: Make) -> Finding:
    """A source whose clock, or zone, is wrong."""
    least, median = clock.least / NS, clock.median / NS
    if clock.zone:
        way = "behind" if clock.zone > 0 else "ahead of"
        why = f"event times lie {abs(clock.zone) / HOUR:g} h {way} receipt: a time zone is wrong"
    elif clock.negative == clock.messages:
        why = f"every message is received before it happens: the clock of source {src} is slow"
        why += f" by {-median:.3f} s, or the vendor's is fast"
    else:
        share = clock.negative / clock.messages
        why = f"{share:.2%} of messages are received before they happen, by up to {-least:.3f} s"
    who = "file" if src >= FILES else "collector"
    return make(
        "clock", (src, of.start // HOUR), reason="collector", start=of.start, end=of.end,
        messages=0, severity="warn",
        evidence={
            "src": src, "source": who, "least_seconds": round(least, 6),
            "median_seconds": round(median, 6), "zone_hours": clock.zone / HOUR,
            "negative_share": clock.negative / clock.messages, "why": why,
        },
    )  # fmt: skip


def of_order(back: Mapping[tuple[int, str, str], Backwards], of: Slice, make: Make) -> Iterator[Finding]:
    """Streams in which the vendor's time goes back; by source, kind and symbol."""
    for (src, kind, symbol), one in sorted(back.items()):
        yield make(
            "order", (src, kind, symbol, of.start // HOUR), reason="upstream", symbol=symbol,
            kind=kind, start=one.first, end=one.last + 1, at=one.first, messages=0, severity="warn",
            evidence={
                "src": src, "steps": one.steps, "farthest_seconds": one.farthest / NS,
                "why": f"the vendor's time goes back {one.steps:,} times within the stream, by up to "
                f"{one.farthest / NS:.6f} s",
            },
        )  # fmt: skip


def of_late(timing: Timing, messages: int, of: Slice, make: Make) -> Finding:
    """Messages that came behind their closed windows, of so many."""
    late = timing.late
    return make(
        "late", (of.start // HOUR,), reason="publish", start=timing.late_first,
        end=timing.late_last + 1, messages=0, severity="warn",
        evidence={
            "late": late, "share": late / messages,
            "why": f"{late:,} of {messages:,} messages came into the log behind their closed windows",
        },
    )  # fmt: skip
