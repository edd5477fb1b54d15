"""Sequence chains: what is missing between a symbol's messages, by the one rule of DESIGN §3.

After copies are merged a message breaks its chain where `prev != 0 and prev != last seq` of its symbol and
kind. A book's snapshot does not set the last seq; the first change after it is right if prev <= snapshot's
seq <= seq, or if it continues the change before. Pure and columnar: Python objects only per break.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tapedeck.columns import Array, Columns, by_code


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a chain stood: its last seq, when that was received (UTC ns), and by whom."""

    seq: int
    ts_recv: int
    src: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Messages of one chain that never came: those with `first <= seq < next`.

    `start` and `end` are the receipt times (UTC ns) of the neighbours that did come. `messages` is exact
    where the vendor counts by one (`exact`), else at least 1 is missing.
    """

    symbol: str
    kind: str
    first: int
    next: int
    start: int
    end: int
    messages: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Event:
    """A message that breaks its chain though nothing is missing there."""

    symbol: str
    kind: str
    seq: int
    ts_recv: int


@dataclass(frozen=True, slots=True)
class Head:
    """A chain's first message: the seq that must precede it, its receipt time (UTC ns), its source."""

    prev: int
    ts_recv: int
    src: int


@dataclass(frozen=True, slots=True)
class Chains:
    """What the chains of one kind say.

    `duplicates` came again within the margin, or by another source; `reorders` came behind a later one;
    at `resets` a chain began anew (a snapshot, a status, or seqs that start again).
    """

    missing: list[Missing] = field(default_factory=list)
    duplicates: list[Event] = field(default_factory=list)
    reorders: list[Event] = field(default_factory=list)
    resets: list[Event] = field(default_factory=list)
    heads: dict[str, Head] = field(default_factory=dict)
    """By symbol, where a chain begins of which nothing before is known."""


def chains(
    columns: Columns,
    margin: int,
    resets: Mapping[str, Sequence[int]] | None = None,
    before: Mapping[str, Tail] | None = None,
) -> Chains:
    """Walk the chains of messages of one kind, in any order, of any number of symbols.

    `margin`: ns within which a like counts as a duplicate. `resets`: by symbol, when (UTC ns) its vendor
    said that sequences begin anew. `before`: where chains stood before the first of these messages.
    """
    found = Chains()
    if not len(columns) or not bool(columns["prev"].any()):
        return found
    order = _walked(columns)
    seqs, codes = columns["seq"][order], columns["symbol"][order]
    image = columns["snapshot"][order] == 1 if "snapshot" in columns else np.zeros(len(order), np.bool_)
    if image.any():
        places = np.flatnonzero(~image)
        symbol, seq, prev = codes[places], seqs[places], columns["prev"][order[places]]
    else:
        places = np.arange(len(order))
        symbol, seq, prev = codes, seqs, columns["prev"][order]
    new = np.ones(len(places), np.bool_)
    new[1:] = symbol[1:] != symbol[:-1]
    broken = np.zeros(len(places), np.bool_)
    broken[1:] = ~new[1:] & (
        ((prev[1:] != 0) & (prev[1:] != seq[:-1])) | ((prev[1:] == 0) & (seq[1:] <= seq[:-1]))
    )
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(places))
    for first, last in zip(starts.tolist(), ends.tolist(), strict=True):
        if not prev[first:last].any():
            continue  # this vendor does not chain this symbol
        name, rows = columns.symbols[int(symbol[first])], order[places[first:last]]
        stood = (before or {}).get(name)
        if stood is None:
            row = rows[0]
            found.heads[name] = Head(int(prev[first]), int(columns["ts_recv"][row]), int(columns["src"][row]))
        elif prev[first] not in (0, stood.seq):
            broken[first] = True
        if broken[first:last].any():
            own = slice(first, last)
            images = np.flatnonzero(image & (codes == symbol[first]))
            _Walk(
                name, columns.kind, seq[own], prev[own], columns["ts_recv"][rows], columns["src"][rows],
                places[own], images, seqs[images], sorted((resets or {}).get(name, ())), margin, found,
            ).go(np.flatnonzero(broken[own]).tolist(), stood)  # fmt: skip
    return found


def _walked(columns: Columns) -> Array:
    """Positions of the messages with a seq, by symbol, and each symbol's by (ts_recv, topic, offset)."""
    rows = np.arange(len(columns)) if columns["seq"].all() else np.flatnonzero(columns["seq"])
    stamps, symbol = columns["ts_recv"][rows], columns["symbol"][rows]
    if (stamps[1:] > stamps[:-1]).all():  # one source, nothing late: only the symbols are to be told apart
        return rows[by_code(symbol)]
    return rows[np.lexsort((columns["offset"][rows], columns["topic"][rows], stamps, symbol))]


def tails(columns: Columns) -> dict[str, Tail]:
    """By symbol, where the chains of these messages stand after them."""
    chained = columns["seq"] != 0
    if "snapshot" in columns:
        chained &= columns["snapshot"] == 0
    rows = np.flatnonzero(chained)
    seq, stamps, symbol = (columns[name][rows] for name in ("seq", "ts_recv", "symbol"))
    if not (stamps[1:] > stamps[:-1]).all():
        rows = rows[np.lexsort((seq, stamps))]
        symbol = columns["symbol"][rows]
    last = np.full(len(columns.symbols), -1)
    last[symbol] = rows  # of several of one symbol the last assignment stays
    return {
        columns.symbols[code]: Tail(
            int(columns["seq"][row]), int(columns["ts_recv"][row]), int(columns["src"][row])
        )
        for code, row in enumerate(last.tolist())
        if row >= 0
    }


@dataclass(slots=True)
class _Hole:
    """Seqs in (low, high] that have not come yet; the neighbours' times."""

    low: int
    high: int
    start: int
    end: int


@dataclass(slots=True)
class _Walk:
    """One symbol's chain in the order it came, run by run: within a run every message follows the last."""

    symbol: str
    kind: str
    seq: Array
    prev: Array
    ts: Array
    src: Array
    places: Array
    image_places: Array
    image_seqs: Array
    resets: list[int]
    margin: int
    found: Chains
    holes: list[_Hole] = field(default_factory=list)

    def go(self, breaks: list[int], stood: Tail | None) -> None:
        """Classify every break; what is still missing at the end is missing."""
        again = self._again()
        starts = sorted({0, *breaks})
        high, high_ts = (stood.seq, stood.ts_recv) if stood else (None, 0)
        begun = stood or Tail(int(self.seq[0]), int(self.ts[0]))
        for first, stop in zip(starts, [*starts[1:], len(self.seq)], strict=True):
            prev, seq, at = int(self.prev[first]), int(self.seq[first]), int(self.ts[first])
            if high is not None and prev != high:
                if self._begins_anew(first, prev, seq):
                    self._reset(first)
                    begun, high = Tail(seq, at), None
                elif prev > high:
                    self.holes.append(_Hole(high, prev, high_ts, at))
                elif prev or seq <= high:
                    anew = self._back(first, stop, high, again, begun)
                    if anew is not None:
                        self._reset(anew)
                        begun, high = Tail(int(self.seq[anew]), int(self.ts[anew])), None
            end = int(self.seq[stop - 1])
            if high is None or end > high:
                high, high_ts = end, int(self.ts[stop - 1])
        self._close()

    def _begins_anew(self, first: int, prev: int, seq: int) -> bool:
        """Whether the vendor said so just before, or a snapshot stands there that the change follows."""
        after = int(self.ts[first - 1]) if first else 0
        if any(after < ts <= int(self.ts[first]) for ts in self.resets):
            return True
        since = self.places[first - 1] if first else -1
        between = (self.image_places > since) & (self.image_places < self.places[first])
        images = self.image_seqs[between]
        return bool(len(images)) and prev <= int(images[-1]) <= seq

    def _back(self, first: int, stop: int, high: int, again: Array, begun: Tail) -> int | None:
        """Messages of a run that lie behind what came already: duplicates, late ones that fill a hole, or,
        given as their place, the first of a chain that begins anew."""
        for i in range(first, stop):
            seq, at = int(self.seq[i]), int(self.ts[i])
            if seq > high:
                return None
            event = Event(self.symbol, self.kind, seq, at)
            hole = next((h for h in self.holes if h.low < seq <= h.high), None)
            if hole is not None:
                self._fill(hole, i)
                self.found.reorders.append(event)
            elif again[i]:
                self.found.duplicates.append(event)
            elif seq < begun.seq and at - begun.ts_recv <= self.margin:
                self.found.reorders.append(event)  # the chain was looked at from its middle on
            else:
                return i
        return None

    def _fill(self, hole: _Hole, i: int) -> None:
        self.holes.remove(hole)
        seq = int(self.seq[i])
        prev = int(self.prev[i]) or hole.low
        if prev > hole.low:
            self.holes.append(_Hole(hole.low, prev, hole.start, hole.end))
        if seq < hole.high:
            self.holes.append(_Hole(seq, hole.high, hole.start, hole.end))

    def _again(self) -> Array:
        """Whether a like of each message came before, within the margin or by another source."""
        again = np.zeros(len(self.seq), np.bool_)
        order = np.argsort(self.seq, kind="stable")
        seq, ts, src = self.seq[order], self.ts[order], self.src[order]
        near = (ts[1:] - ts[:-1] <= self.margin) | (src[1:] != src[:-1])
        again[order[1:][(seq[1:] == seq[:-1]) & near]] = True
        return again

    def _reset(self, first: int) -> None:
        self._close()
        self.found.resets.append(Event(self.symbol, self.kind, int(self.seq[first]), int(self.ts[first])))

    def _close(self) -> None:
        """What has not come until here never will."""
        chained = self.prev != 0
        exact = bool((self.prev[chained] == self.seq[chained] - 1).all())
        self.found.missing.extend(
            Missing(
                symbol=self.symbol, kind=self.kind, first=h.low + 1, next=h.high + 1, start=h.start,
                end=h.end, messages=h.high - h.low if exact else 1, exact=exact,
            )
            for h in sorted(self.holes, key=lambda h: h.low)
        )  # fmt: skip
        self.holes.clear()
