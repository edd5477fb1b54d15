"""A slice of one symbol in stretches, each of one state. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct

from tapedeck.columns import Array
from tapedeck.slices import Slice

State = Literal["arctic", "log", "missing", "partial", "closed"]


class Stretch(Struct, frozen=True, kw_only=True):
    """[start, end), UTC ns, in which one thing is so.

    `state`: `arctic`, all that came is stored; `log`, it is still in Kafka alone; `partial`, stored, but
    built when Kafka had already deleted some of it; `missing`, with the `reason`; `closed`, by the calendar.
    """

    start: int
    end: int
    state: State
    reason: str = ""
    why: str = ""


class Layer(Struct, frozen=True, kw_only=True):
    """Spans in which a state holds, unless a later layer says otherwise."""

    state: State
    spans: tuple[Slice, ...]
    reason: str = ""
    why: str = ""


def stretches(of: Slice, layers: Sequence[Layer]) -> list[Stretch]:
    """The slice cut where its state changes; of layers the last that holds an instant decides."""
    edges = {of.start, of.end}
    for layer in layers:
        for span in layer.spans:
            edges |= {t for t in (span.start, span.end) if of.start < t < of.end}
    cuts = np.array(sorted(edges), np.int64)
    decided: Array = np.full(len(cuts) - 1, -1, np.int64)
    for number, layer in enumerate(layers):
        for span in layer.spans:
            first, last = np.searchsorted(cuts, [max(span.start, of.start), min(span.end, of.end)])
            decided[first:last] = number
    found: list[Stretch] = []
    for at, number in enumerate(decided.tolist()):
        layer = layers[number] if number >= 0 else Layer(state="arctic", spans=())
        one = Stretch(
            start=int(cuts[at]), end=int(cuts[at + 1]), state=layer.state, reason=layer.reason, why=layer.why
        )
        before = found[-1] if found else None
        if before and (before.state, before.reason, before.why) == (one.state, one.reason, one.why):
            one = Stretch(
                start=before.start, end=one.end, state=one.state, reason=one.reason, why=one.why
            )  # fmt: skip
            found[-1] = one
        else:
            found.append(one)
    return found


def without(of: Slice, spans: Iterable[Slice]) -> tuple[Slice, ...]:
    """What of the slice is in none of the spans."""
    left, at = [], of.start
    for span in sorted(spans):
        if span.start > at:
            left.append(Slice(at, min(span.start, of.end)))
        at = max(at, span.end)
        if at >= of.end:
            break
    else:
        left.append(Slice(at, of.end))
    return tuple(span for span in left if span.end > span.start)


def runs(minutes: Array, length: int) -> list[Slice]:
    """Minutes since the epoch, as spans in UTC ns; `length` of a minute in ns."""
    if not len(minutes):
        return []
    minutes = np.unique(minutes)
    cuts = np.flatnonzero(np.diff(minutes) != 1) + 1
    return [
        Slice(int(part[0]) * length, (int(part[-1]) + 1) * length) for part in np.split(minutes, cuts)
    ]  # fmt: skip
