"""Clocks and order: receipt against event time by source, event time that goes back, messages that came late.

Pure and columnar (facts: Q5, Q6). A negative delay is a wrong clock: nothing is received before it happens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tapedeck.checks.limits import LIMITS, Limits
from tapedeck.columns import Array, Columns, by_code, different
from tapedeck.partitions import homes
from tapedeck.slices import NS, Slice

ZONE = 900 * NS
"""Zones differ by quarters of an hour, by FARTHEST at most; TOLERANCE is what a feed may lag."""
FARTHEST = 14 * 3600 * NS
TOLERANCE = 5 * NS
SAMPLES = 2_000


@dataclass(slots=True)
class Clock:
    """Delays (receipt - event, ns) of one source."""

    skew: int = int(LIMITS.skew_ms * NS / 1000)
    """A receipt this much before its event is a wrong clock, not a rounded stamp."""
    least: int = 2**63 - 1
    messages: int = 0
    negative: int = 0
    samples: list[Array] = field(default_factory=list)

    @property
    def median(self) -> int:
        """Of a sample of every stretch."""
        return int(np.median(np.concatenate(self.samples))) if self.samples else 0

    @property
    def zone(self) -> int:
        """The offset between time zones that the delays show, in ns; 0: none. Positive: events are behind."""
        offset = round(self.median / ZONE) * ZONE
        near = abs(self.median - offset) <= TOLERANCE and abs(offset) <= FARTHEST
        return offset if offset and near else 0

    @property
    def wrong(self) -> bool:
        """Whether this clock, or the vendor's, can't be right."""
        return bool(self.messages) and (self.least < -self.skew or self.zone != 0)


@dataclass(slots=True)
class Backwards:
    """Event time went back within one stream of one source."""

    symbol: str
    kind: str
    src: int
    first: int
    """When it was received first, UTC ns."""
    last: int
    steps: int = 0
    farthest: int = 0
    """The greatest step, ns."""


@dataclass(slots=True)
class Timing:
    """Gathered stretch by stretch. `late`: messages that reached the log after every source had shown a
    time more than the grace ahead of them."""

    grace: int
    limits: Limits = LIMITS
    counts: dict[int, int] = field(default_factory=dict)
    """By topic's number, how many partitions it has, where one look may hold several of them: each has an
    order of its own."""
    clocks: dict[int, Clock] = field(default_factory=dict)
    back: dict[tuple[int, str, str], Backwards] = field(default_factory=dict)
    late: int = 0
    late_first: int = 0
    late_last: int = 0

    def take(self, kept: Columns, of: Slice, backfills: Iterable[int]) -> None:
        """One kind's messages of one partition; only what lies in `of` is counted, what is around it tells
        where streams stood."""
        inside = (kept["ts_recv"] >= of.start) & (kept["ts_recv"] < of.end)
        if not inside.any():
            return
        sources = different(kept["src"])
        for src in sources:
            own = kept["src"] == src if len(sources) > 1 else np.ones(len(kept), np.bool_)
            self._clock(src, kept, own & inside)
            self._order(src, kept, np.flatnonzero(own), inside)
        for topic in set(different(kept["topic"])) - set(backfills):
            own = kept["topic"] == topic
            if topic not in self.counts:
                self._late(kept, own, inside)
                continue
            places = homes(kept.symbols, kept["symbol"], self.counts[topic])
            for p in different(places[own]):
                self._late(kept, own & (places == p), inside)

    def _clock(self, src: int, kept: Columns, own: Array) -> None:
        own = own & (kept["ts_event"] != 0)
        if not own.any():
            return
        delays = kept["ts_recv"][own] - kept["ts_event"][own]
        clock = self.clocks.setdefault(src, Clock(int(self.limits.skew_ms * NS / 1000)))
        clock.least = min(clock.least, int(delays.min()))
        clock.messages += len(delays)
        clock.negative += int((delays < 0).sum())
        clock.samples.append(delays[:: max(1, len(delays) // SAMPLES)])

    def _order(self, src: int, kept: Columns, places: Array, inside: Array) -> None:
        order = places[by_code(kept["symbol"][places])]
        event = kept["ts_event"][order]
        if not event.all():
            order, event = order[event != 0], event[event != 0]
        symbol, step = kept["symbol"][order], event[1:] - event[:-1]
        at = np.flatnonzero((step < 0) & (symbol[1:] == symbol[:-1]))
        seq, at = kept["seq"], at[inside[order[1:][at]]]
        earlier = seq[order[at + 1]]
        at = at[(earlier <= 0) | (earlier >= seq[order[at]])]  # else the message itself came out of order
        if not len(at):
            return
        codes, times, back = symbol[at], kept["ts_recv"][order[at + 1]], -step[at]
        starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
        ends = np.append(starts[1:], len(at))
        for first, last in zip(starts.tolist(), ends.tolist(), strict=True):
            name, since = kept.symbols[int(codes[first])], int(times[first])
            one = self.back.setdefault((src, kept.kind, name), Backwards(name, kept.kind, src, since, since))
            one.steps += last - first
            one.last = int(times[last - 1])
            one.farthest = max(one.farthest, int(back[first:last].max()))

    def _late(self, kept: Columns, own: Array, inside: Array) -> None:
        places = np.flatnonzero(own)
        offsets = kept["offset"][places]
        if (offsets[1:] < offsets[:-1]).any():
            places = places[np.argsort(offsets, kind="stable")]
        ts, src = kept["ts_recv"][places], kept["src"][places]
        if (ts[1:] >= ts[:-1]).all():
            return
        shown = [np.maximum.accumulate(np.where(src == one, ts, 0)) for one in different(src)]
        complete = np.minimum.reduce(shown)  # nobody is late who waits for another collector
        behind = (complete - ts > self.grace) & inside[places]
        if behind.any():
            times = ts[behind]
            self.late += len(times)
            self.late_first = min(self.late_first or int(times.min()), int(times.min()))
            self.late_last = max(self.late_last, int(times.max()))
