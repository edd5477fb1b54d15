"""Messages without a sequence, heard by several sources: each instant has one owner (DESIGN §2.6). Pure.

The owner of an instant is the lowest source that listened then (`log.signs`) and has a message of that symbol
and kind within the margin, so that who is not subscribed to a symbol never hides it. What others have there
are copies. Where an owner begins or ends, the others' receipt times are a little before or after its own:
which of their messages it already has is told by where its own first or last one stands among theirs, found
by the run of messages that agree in every field but the receipt. So at such a seam nothing is lost or doubled
that both have heard; where they agree in nothing, the instant alone decides.

All is decided by what lies within the margin of a message, so it does not matter how much more is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tapedeck import digest
from tapedeck.columns import Array, Columns
from tapedeck.log.signs import Span, listened
from tapedeck.message import WHOLE_FEED

SEAM_SHARE = 10
"""Sources hear one message at most this part of the margin apart, pauses aside."""
RUN = 64
"""So many messages before or behind a seam are compared at most."""
NOBODY = np.int64(2**63 - 1)

Spans = Mapping[int, Sequence[tuple[int, int]]]
"""By source, when it listened: [start, end), in order, neither overlapping nor touching."""


def seam_of(margin: int) -> int:
    """How far from an owner's beginning or end the seam may lie, in ns."""
    return margin // SEAM_SHARE


def pause_of(margin: int) -> int:
    """Heartbeats of one life that are no further apart, in ns, prove that it listened between them."""
    return margin - seam_of(margin)


def content_of(columns: Columns) -> Array:
    """What each message says but for its receipt, as a hash (uint64): the same of whoever heard it.

    Who keeps only some columns of messages without seq adds it as the column `content` before that.
    """
    nothing = np.zeros(len(columns), np.int64)
    return digest.hashes(columns.with_arrays(ts_recv=nothing, src=nothing))[0]


def others(
    part: Columns,
    standing: Array,
    signs: Columns | None,
    voids: Columns | None,
    margin: int,
    backfills: frozenset[int],
) -> Array:
    """Which of the standing messages without seq lie at instants that are another source's.

    Where `part` has a column `settled`, what it marks is judged already: it stays, and may hide others.
    """
    out = np.zeros(len(part), np.bool_)
    index = np.flatnonzero(standing & (part["seq"] == 0))
    src = part["src"][index]
    if signs is None or not len(signs) or len(index) < 2 or bool((src == src[0]).all()):
        return out
    heard = listened(signs, pause_of(margin), backfills)
    if not heard:
        return out
    symbol, stamps = part["symbol"][index], part["ts_recv"][index]
    order = index[np.lexsort((part["offset"][index], part["topic"][index], src, stamps, symbol))]
    codes = part["symbol"][order]
    cuts = np.flatnonzero(np.diff(codes)) + 1
    for group in np.split(order, cuts):
        sources = part["src"][group]
        if bool((sources == sources[0]).all()):
            continue
        spans = _spans(heard, part.symbols[int(part["symbol"][group[0]])], voids, backfills)
        if spans:
            out[group] = _Stream(part, group, spans, margin).others()
    if "settled" in part:
        out &= part["settled"] == 0
    return out


def _spans(
    heard: Mapping[int, Sequence[Span]], symbol: str, voids: Columns | None, backfills: frozenset[int]
) -> Spans:
    """When each source listened for a symbol: what is void of it there is no data of anybody's."""
    found = {}
    for src, spans in heard.items():
        holes = _holes(src, symbol, voids)
        pieces = [
            piece
            for span in spans
            for piece in _without(
                (span.start, span.end),
                [
                    (start, end)
                    for start, end, topic, before in holes
                    if span.topic not in backfills or (topic == span.topic and span.offset < before)
                ],
            )
        ]
        if merged := _merged(pieces):
            found[src] = merged
    return found


def _holes(src: int, symbol: str, voids: Columns | None) -> list[tuple[int, int, int, int]]:
    """(start, end, topic, before) of each void of this source and symbol."""
    if voids is None:
        return []
    names = [i for i, name in enumerate(voids.symbols) if name in (symbol, WHOLE_FEED)]
    rows = np.flatnonzero((voids["src"] == src) & np.isin(voids["symbol"], names))
    columns = (voids[name][rows].tolist() for name in ("ts_recv", "end", "topic", "before"))
    return list(zip(*columns, strict=True))


def _without(span: tuple[int, int], holes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    left, start = [], span[0]
    for first, last in sorted(holes):
        if last <= start or first >= span[1]:
            continue
        if first > start:
            left.append((start, first))
        start = max(start, last)
    return [*left, (start, span[1])] if start < span[1] else left


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


@dataclass(frozen=True, slots=True)
class _Seam:
    """Where the time of an owner begins, or ends. On its side it is the owner up to `reach` (UTC ns) at
    least; on the far side is `other`'s time, None where nobody listened."""

    at: int
    src: int
    other: int | None
    reach: int
    begins: bool


class _Stream:
    """Messages of one symbol and kind, by time."""

    def __init__(self, part: Columns, group: Array, spans: Spans, margin: int) -> None:
        self._part, self._group, self._margin = part, group, margin
        self._times, self._src = part["ts_recv"][group], part["src"][group]
        self._spans = spans
        self._places: dict[int, Array] = {
            int(src): np.flatnonzero(self._src == src) for src in np.unique(self._src)
        }

    def others(self) -> Array:
        """Which messages are another's."""
        owner = np.full(len(self._times), NOBODY)
        for src in sorted(self._places.keys() & self._spans.keys(), reverse=True):  # the lowest comes last
            owner[self._covered(src) & self._near(src)] = src
        out: Array = (owner != NOBODY) & (owner != self._src)
        for seam in self._seams():
            self._mend(out, owner, seam)
        return out

    def _covered(self, src: int) -> Array:
        starts = np.array([start for start, _ in self._spans[src]])
        ends = np.array([end for _, end in self._spans[src]])
        last = np.searchsorted(starts, self._times, side="right") - 1
        covered: Array = (last >= 0) & (self._times < ends[np.maximum(last, 0)])
        return covered

    def _near(self, src: int) -> Array:
        """Whether the source has a message within the margin of each."""
        own = self._times[self._places[src]]
        after = np.searchsorted(own, self._times)
        before = self._times - own[np.maximum(after - 1, 0)]
        behind = own[np.minimum(after, len(own) - 1)] - self._times
        near: Array = ((after > 0) & (before <= self._margin)) | (
            (after < len(own)) & (behind <= self._margin)
        )
        return near

    def _seams(self) -> Iterator[_Seam]:
        """Each beginning and end of an owner's time near these messages, in order of time."""
        near = seam_of(self._margin)
        first, last = int(self._times[0]) - near, int(self._times[-1]) + near
        times = self._owned()
        for (start, at, before), (_, end, after) in pairwise(times):
            if not first <= at <= last or before == after:
                continue
            if before is not None and (after is None or before < after):
                yield _Seam(at, before, after, max(start, at - near), begins=False)
            elif after is not None:
                yield _Seam(at, after, before, min(end, at + near), begins=True)

    def _owned(self) -> list[tuple[int, int, int | None]]:
        """(start, end, the lowest that listened or None) one after another, over all time."""
        spans = [
            (start, end, src)
            for src in self._places.keys() & self._spans.keys()
            for start, end in self._spans[src]
        ]
        cuts = sorted({0, int(NOBODY), *(at for start, end, _ in spans for at in (start, end))})
        found: list[tuple[int, int, int | None]] = []
        for start, end in pairwise(cuts):
            src = min((src for first, last, src in spans if first <= start < last), default=None)
            if found and found[-1][2] == src:
                start = found.pop()[0]
            found.append((start, end, src))
        return found

    def _mend(self, out: Array, owner: Array, seam: _Seam) -> None:
        """Move a seam to where the owner's own messages begin or end."""
        at, near = seam.at, seam_of(self._margin)
        own = self._within(seam.src, min(at, seam.reach), max(at, seam.reach))
        other = seam.other if seam.other is not None else self._only_other(seam.src, at - near, at + near)
        if other is None or not len(own):
            return
        theirs = self._within(other, at - near, at + near)
        if not seam.begins:  # both run away from the seam on the owner's side
            own, theirs = own[::-1], theirs[::-1]
        met = _meeting(self._keys(own), self._keys(theirs), self._times[own], self._times[theirs])
        if met is None:
            return
        copies, missed = theirs[met:], theirs[:met]
        outside = self._times[copies] < at if seam.begins else self._times[copies] >= at
        out[copies[outside & ((owner[copies] == other) | (owner[copies] == NOBODY))]] = True
        inside = self._times[missed] >= at if seam.begins else self._times[missed] < at
        out[missed[inside & (owner[missed] == seam.src)]] = False

    def _only_other(self, src: int, start: int, end: int) -> int | None:
        there = [s for s in self._places if s != src and len(self._within(s, start, end))]
        return there[0] if len(there) == 1 else None

    def _within(self, src: int, start: int, end: int) -> Array:
        """Places of a source's messages in [start, end)."""
        places = self._places[src]
        first, last = np.searchsorted(self._times[places], (start, end))
        return places[first:last]

    def _keys(self, places: Array) -> list[int]:
        """What the messages at these places say, but for their receipt."""
        few = self._part.take(self._group[places])
        keys: list[int] = (few["content"] if "content" in few else content_of(few)).tolist()
        return keys


def _meeting(own: list[int], theirs: list[int], own_times: Array, their_times: Array) -> int | None:
    """Where, of `theirs`, the first of `own` that they have stands: at the longest run that agrees from there
    on, and of several the nearest in time. None where they have none of the first RUN.

    Both run away from the owner's beginning or end.
    """
    for i, key in enumerate(own[:RUN]):
        best: tuple[int, int, int] | None = None
        for j in (j for j, other in enumerate(theirs) if other == key):
            run = 1
            while run < RUN and i + run < len(own) and j + run < len(theirs):
                if own[i + run] != theirs[j + run]:
                    break
                run += 1
            found = (-run, abs(int(own_times[i]) - int(their_times[j])), j)
            best = found if best is None or found < best else best
        if best is not None:
            return best[2]
    return None
