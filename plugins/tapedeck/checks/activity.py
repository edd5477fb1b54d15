"""How active a vendor's symbols were: messages by bucket of time, and where nothing came. Pure, columnar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tapedeck.columns import Array, Columns, by_code
from tapedeck.message import WHOLE_FEED
from tapedeck.slices import NS, Slice

BUCKET = 600 * NS
FLOOR = 5 * NS
"""No silence that is shorter is kept or judged."""
BINS = 1_000_000
"""The feed as a whole is looked at by the second, or in so many parts where the slice is longer."""
NEVER = 2**63 - 1


@dataclass(slots=True)
class Gap:
    """Nothing of a symbol in (start, end), UTC ns. `open_ended`: nothing came until the slice's end."""

    symbol: str
    start: int
    end: int
    open_ended: bool = False


@dataclass(slots=True)
class Activity:
    """What came of each symbol in a slice, gathered stretch by stretch in order of time.

    `counts` is of shape (symbols, buckets), the first bucket holding `of.start`; `first` and `last` are
    receipt times. Messages about the whole feed and statuses are none of a symbol's.
    """

    of: Slice
    names: dict[str, int] = field(default_factory=dict)
    counts: Array = field(init=False)
    first: Array = field(init=False)
    last: Array = field(init=False)
    gaps: list[Gap] = field(default_factory=list)
    step: int = field(init=False)
    _first_in: Array = field(init=False)
    _last_in: Array = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((0, self.buckets), np.int64)
        self.first = np.zeros(0, np.int64)
        self.last = np.zeros(0, np.int64)
        length = self.of.end - self.of.start
        self.step = max(NS, -(-length // BINS))
        bins = -(-length // self.step)
        self._first_in = np.full(bins, NEVER, np.int64)
        self._last_in = np.zeros(bins, np.int64)

    @property
    def base(self) -> int:
        """Where the first bucket begins."""
        return self.of.start // BUCKET * BUCKET

    @property
    def buckets(self) -> int:
        """How many buckets meet the slice."""
        return -(-(self.of.end - self.base) // BUCKET)

    def take(self, kinds: Iterable[Columns]) -> None:
        """Messages of one partition and one stretch; all must lie in the slice, and no symbol may lie in two
        partitions."""
        rows, stamps = [], []
        for columns in kinds:
            if columns.kind == "status" or not len(columns):
                continue
            table = np.array([self._row(name) for name in columns.symbols], np.int32)
            codes, ts = table[columns["symbol"]], columns["ts_recv"]
            if (table < 0).any():
                codes, ts = codes[codes >= 0], ts[codes >= 0]
            rows.append(codes)
            stamps.append(ts)
        if not rows:
            return
        row, ts = np.concatenate(rows), np.concatenate(stamps)
        if not len(ts):
            return
        if len(stamps) > 1 or (ts[1:] < ts[:-1]).any():
            order = np.argsort(ts, kind="stable")
            row, ts = row[order], ts[order]
        self._feed(ts)
        order = by_code(row)
        row, ts = row[order], ts[order]
        self._grow()
        place = row.astype(np.int64) * self.buckets + (ts - self.base) // BUCKET
        counted = np.bincount(place, minlength=self.counts.size)
        self.counts += counted.reshape(self.counts.shape)
        new = np.append(True, row[1:] != row[:-1])
        before = np.append(0, ts[:-1])
        before[new] = self.last[row[new]]
        long = np.flatnonzero((ts - before > FLOOR) & (before > 0))
        names = list(self.names)
        self.gaps += [
            Gap(names[r], a, b)
            for r, a, b in zip(row[long].tolist(), before[long].tolist(), ts[long].tolist(), strict=True)
        ]
        starts = np.flatnonzero(new)
        ends = np.append(starts[1:], len(ts)) - 1
        self.last[row[starts]] = ts[ends]
        fresh = self.first[row[starts]] == 0
        self.first[row[starts][fresh]] = ts[starts][fresh]

    def of_symbol(self, symbol: str) -> Array:
        """Messages by bucket; zeros for a symbol of which nothing came."""
        row = self.names.get(symbol)
        empty: Array = np.zeros(self.buckets, np.int64)
        found: Array = self.counts.sum(axis=0) if symbol == WHOLE_FEED else (
            empty if row is None else self.counts[row]
        )  # fmt: skip
        return found

    def silences(self, before: Mapping[str, int]) -> Iterator[Gap]:
        """All gaps of symbols over FLOOR, those at the slice's edges included.

        `before`: by symbol, when it was heard last before the slice; where that is not known, its first
        gap begins with the slice.
        """
        yield from self.gaps
        for symbol in {**self.names, **before}:
            row = self.names.get(symbol)
            since = before.get(symbol, self.of.start)
            first = int(self.first[row]) if row is not None else 0
            last = int(self.last[row]) if row is not None else 0
            if not first:
                yield Gap(symbol, since, self.of.end, True)
                continue
            if first - since > FLOOR:
                yield Gap(symbol, since, first)
            if self.of.end - last > FLOOR:
                yield Gap(symbol, last, self.of.end, True)

    def feed_silences(self, since: int = 0) -> list[Gap]:
        """Where nothing came of any symbol, for longer than FLOOR. `since`: when the feed was heard last
        before the slice (0: that is not known)."""
        since = since or self.of.start
        held = np.flatnonzero(self._last_in)
        if not len(held):
            return [Gap(WHOLE_FEED, since, self.of.end, True)]
        starts = np.append(since, self._last_in[held])
        ends = np.append(self._first_in[held], self.of.end)
        long = np.flatnonzero(ends - starts > FLOOR)
        return [Gap(WHOLE_FEED, int(starts[i]), int(ends[i]), bool(i == len(held))) for i in long]

    def _feed(self, ts: Array) -> None:
        bins = (ts - self.of.start) // self.step
        starts = np.flatnonzero(np.append(True, bins[1:] != bins[:-1]))
        ends = np.append(starts[1:], len(ts)) - 1
        own = bins[starts]
        self._first_in[own] = np.minimum(self._first_in[own], ts[starts])
        self._last_in[own] = np.maximum(self._last_in[own], ts[ends])

    def _row(self, symbol: str) -> int:
        return -1 if symbol == WHOLE_FEED else self.names.setdefault(symbol, len(self.names))

    def _grow(self) -> None:
        more = len(self.names) - len(self.last)
        if more:
            self.counts = np.concatenate((self.counts, np.zeros((more, self.buckets), np.int64)))
            self.first = np.append(self.first, np.zeros(more, np.int64))
            self.last = np.append(self.last, np.zeros(more, np.int64))
