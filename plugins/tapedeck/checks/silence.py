"""Silence and volume inside open hours, held against what is usual at that time of such a day. Pure.

A silence is too long where it is longer than a floor, than some times the longest that is usual there, and
than a Poisson process of the usual rate would leave but once in many looks (facts: G5, G6, G7): `Limits`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tapedeck.checks.activity import BUCKET, FLOOR, Activity, Gap
from tapedeck.checks.heartbeats import subtract
from tapedeck.checks.limits import LIMITS, Limits
from tapedeck.message import WHOLE_FEED
from tapedeck.slices import NS

SHARE = 0.5
"""Where this share of the symbols that are usually heard is silent at once, it is the feed."""
ENOUGH = 1_000
"""So many messages of a slice tell how a whole feed usually sounds, where no earlier days do."""
TAIL = 0.001
LEAST = 20
"""A bucket that usually holds fewer messages says nothing by its volume."""

Spans = Sequence[tuple[int, int]]
_Single = tuple[Gap, tuple[int, int], int]
"""One symbol's silence: its gap, the part that could have been heard, and how long it may be."""


@dataclass(frozen=True, slots=True)
class Usual:
    """Of one symbol at one time of such a day: messages a bucket (median), their median absolute deviation,
    the longest silence (ns; 0: none over FLOOR), learnt from so many days."""

    messages: float
    deviation: float
    longest: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Too long a silence: `start` to `end` is the longest part of it that could have been heard, `since` to
    `until` are the messages around it. `silent` of `heard` symbols that are usually heard then were silent.
    """

    symbol: str
    start: int
    end: int
    since: int
    until: int
    open_ended: bool
    usual: int
    silent: int
    heard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A bucket with far fewer (`times` < 1) or more messages than usual."""

    symbol: str
    start: int
    messages: int
    usual: float
    deviations: float

    @property
    def times(self) -> float:
        """Messages over the usual ones."""
        return self.messages / self.usual


def limit(usual: Usual, limits: Limits = LIMITS) -> int:
    """How long a silence may be, ns."""
    rate = usual.messages / BUCKET
    poisson = math.log(1 / limits.silence_alpha) / rate if rate > 0 else math.inf
    floor = max(FLOOR, limits.silence_seconds * NS)
    return int(min(max(floor, limits.silence_times * usual.longest, poisson), 2**62))


def own_usual(activity: Activity, watched: Spans) -> Usual | None:
    """How a feed sounds by the slice itself: all but the longest one in a thousand of its intervals."""
    messages = int(activity.counts.sum())
    length = sum(b - a for a, b in watched)
    if messages < ENOUGH or not length:
        return None
    gaps = sorted((g.end - g.start for g in activity.feed_silences()), reverse=True)
    skipped = int(messages * TAIL)
    longest = gaps[skipped] if skipped < len(gaps) else 0
    return Usual(messages * BUCKET / length, 0.0, longest, 0)


def longest_open(gap: Gap, watched: Spans) -> tuple[int, int] | None:
    """The longest part of a gap in which something could have been heard."""
    parts = [(max(gap.start, a), min(gap.end, b)) for a, b in watched if a < gap.end and gap.start < b]
    return max(parts, key=lambda part: part[1] - part[0], default=None)


def silences(
    activity: Activity,
    gaps: Iterable[Gap],
    watched: Callable[[str], Spans],
    usual: Callable[[str, int], Usual | None],
    since: int = 0,
    limits: Limits = LIMITS,
) -> list[Silence]:
    """The silences that are too long; one of the feed stands for those of its symbols.

    `watched`: when a symbol's venue was open and someone listened, no halt between. `usual`: what is known
    of a symbol at a time; None: nothing, so it is not judged. `since`: when the feed was heard last before
    the slice (0: that is not known).
    """
    feed_open = watched(WHOLE_FEED)
    own = own_usual(activity, feed_open)
    found: list[Silence] = []
    for gap in activity.feed_silences(since):
        part = longest_open(gap, feed_open)
        # Before its first message and behind its last the slice itself can't tell whether the feed was on.
        inside = gap.start != activity.of.start and not gap.open_ended
        known = usual(WHOLE_FEED, gap.start) or (own if inside else None)
        if part and known and part[1] - part[0] > limit(known, limits):
            n = len(activity.names)
            found.append(_silence(gap, part, limit(known, limits), n, n))
    singles: list[_Single] = []
    heard: dict[str, int] = {}
    for gap in gaps:
        part = longest_open(gap, watched(gap.symbol))
        known = usual(gap.symbol, part[0]) if part else None
        if part is None or known is None:
            continue
        heard[gap.symbol] = 1
        if part[1] - part[0] > limit(known, limits):
            singles.append((gap, part, limit(known, limits)))
    known_symbols = {s for s in activity.names if usual(s, activity.of.start) is not None} | set(heard)
    return found + _together(singles, found, len(known_symbols))


def volumes(
    activity: Activity,
    watched: Callable[[str], Spans],
    usual: Callable[[str, int], Usual | None],
    symbols: Iterable[str],
    limits: Limits = LIMITS,
) -> list[Volume]:
    """Whole open buckets whose count is far from what is usual."""
    found = []
    for symbol in symbols:
        counts, spans = activity.of_symbol(symbol), watched(symbol)
        for i, messages in enumerate(counts.tolist()):
            start = activity.base + i * BUCKET
            if start < activity.of.start or start + BUCKET > activity.of.end:
                continue
            if subtract((start, start + BUCKET), spans):
                continue  # not open, or not listened to, all the time
            known = usual(symbol, start)
            if known is None or known.messages < LEAST:
                continue
            scale = max(1.4826 * known.deviation, math.sqrt(known.messages))
            z = (messages - known.messages) / scale
            share = messages / known.messages
            if abs(z) > limits.volume_deviations and not limits.volume_low <= share <= limits.volume_high:
                found.append(
                    Volume(symbol=symbol, start=start, messages=messages, usual=known.messages, deviations=z)
                )
    return found


def summary(values: Sequence[int], longest: Sequence[int]) -> Usual:
    """What earlier days make usual: medians, and the longest silence that nine days in ten kept to."""
    counts = np.array(values, np.float64)
    median = float(np.median(counts))
    quantile = float(np.quantile(np.array(longest, np.float64), 0.9))
    return Usual(median, float(np.median(np.abs(counts - median))), int(quantile), len(values))


def _together(singles: Sequence[_Single], feed: Sequence[Silence], heard: int) -> list[Silence]:
    found: list[Silence] = []
    left = [
        one for one in singles
        if not any(f.start < one[1][1] and one[1][0] < f.end for f in feed)
    ]  # fmt: skip
    while left:
        gap, part, longest = max(left, key=lambda one: one[1][1] - one[1][0])
        overlap = [one for one in left if one[1][0] < part[1] and part[0] < one[1][1]]
        names = {one[0].symbol for one in overlap}
        if len(names) > 1 and len(names) >= SHARE * heard:
            start = max(one[1][0] for one in overlap)
            whole = Gap(WHOLE_FEED, max(one[0].start for one in overlap), gap.end, gap.open_ended)
            found.append(_silence(whole, (start, part[1]), longest, len(names), heard))
            left = [one for one in left if one not in overlap]
        else:
            found.append(_silence(gap, part, longest, len(names), heard))
            left.remove((gap, part, longest))
    return found


def _silence(gap: Gap, part: tuple[int, int], longest: int, silent: int, heard: int) -> Silence:
    return Silence(
        symbol=gap.symbol, start=part[0], end=part[1], since=gap.start, until=gap.end,
        open_ended=gap.open_ended, usual=longest, silent=silent, heard=heard,
    )  # fmt: skip


def by_symbol(found: Iterable[Volume]) -> Mapping[str, list[Volume]]:
    """Those below the usual, by symbol, in order."""
    low: dict[str, list[Volume]] = {}
    for one in found:
        if one.times < 1:
            low.setdefault(one.symbol, []).append(one)
    return low
