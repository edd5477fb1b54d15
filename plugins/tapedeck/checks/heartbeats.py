"""What heartbeats tell: who listened when, and whether all that was taped came into the log. Pure.

A collector says every second, in every partition, since when it has lived and how many messages its tape
has yielded for that partition. All times are receipt times, UTC ns; spans are half-open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tapedeck.columns import Array, Columns
from tapedeck.log.coverage import FILES
from tapedeck.log.meta import Life
from tapedeck.slices import NS, Slice

INTERVAL = NS
WARN, FAIL = 1.5, 2.0
"""A heartbeat is late after so many intervals."""
SILENT = 10 * NS
"""A collector that has shown nothing for so long is away; what is younger may be on its way to Kafka."""

Why = Literal["late heartbeat", "killed", "ended", "disconnected", "silent since"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """One collector did not listen, or did not show that it did. `certain`: longer than FAIL intervals, or
    the collector itself says so."""

    src: int
    start: int
    end: int
    why: Why
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Messages that were on the tape between two heartbeats and are not in the log of this partition."""

    src: int
    partition: int
    start: int
    end: int
    messages: int
    topic_id: str = ""


def shortfalls(
    partition: int, beats: Columns, stamps: Mapping[int, Array], of: Slice, begun: Mapping[int, int]
) -> list[Shortfall]:
    """Where heartbeats count more messages than the log holds, between heartbeats that end in the slice.

    `stamps`: by source, the sorted distinct receipt times of its messages in the log. `begun`: by source,
    since when every record of it was read. Neighbouring spans are one.
    """
    found: list[Shortfall] = []
    for src, since in _lives(beats):
        own = _of(beats, src, since)
        times, sent = own["ts_recv"], own["sent"]
        if begun.get(src, 2**63 - 1) <= since:  # the life's beginning was read
            times, sent = np.concatenate(([since], times)), np.concatenate(([0], sent))
        held = np.searchsorted(stamps.get(src, np.zeros(0, np.int64)), times)
        lacking = np.diff(sent) - np.diff(held)
        inside = (times[1:] > of.start) & (times[1:] <= of.end) & (times[:-1] >= begun.get(src, 2**63 - 1))
        for i in np.flatnonzero((lacking > 0) & inside).tolist():
            start, end, messages = int(times[i]), int(times[i + 1]), int(lacking[i])
            if found and found[-1].src == src and found[-1].end == start:
                last = found.pop()
                start, messages = last.start, last.messages + messages
            found.append(Shortfall(src=src, partition=partition, start=start, end=end, messages=messages))
    return found


def outages(
    beats: Columns,
    lives: Iterable[Life],
    changes: Iterable[tuple[int, int, bool]],
    of: Slice,
    now: int,
) -> tuple[list[Outage], list[str]]:
    """When each collector did not listen, as far as it meets the slice; and sentences on what is no outage.

    `beats` of any partition, some of before the slice. `changes`: (src, when, connected). A collector that
    said goodbye and never came back is no outage, nor is a bus that was gone when its collector ended.
    """
    found: list[Outage] = []
    notes: list[str] = []
    last = {(src, since): int(_of(beats, src, since)["ts_recv"][-1]) for src, since in _lives(beats)}
    ordered = sorted((life for life in lives if life.src < FILES), key=lambda life: (life.src, life.since))
    for i, life in enumerate(ordered):
        after = ordered[i + 1] if i + 1 < len(ordered) and ordered[i + 1].src == life.src else None
        shown = life.closed if life.closed is not None else last.get((life.src, life.since))
        until = after.since if after else min(of.end, now)
        found += late(beats, life)
        found += _disconnected(life, changes, shown, until, after is not None)
        if shown is None:
            continue
        if after is not None:
            why: Why = "killed" if life.closed is None else "ended"
            found.append(Outage(src=life.src, start=shown, end=after.since, why=why))
        elif life.closed is None and not life.retired and until - shown > SILENT:
            found.append(Outage(src=life.src, start=shown, end=until, why="silent since"))
        elif life.closed is not None and life.closed < of.end:
            notes.append(f"collector {life.src} ended and has not come back")
    return [one for one in found if one.end > one.start and of.meets(one.start, one.end)], notes


def listening(
    lives: Iterable[Life], files: Iterable[tuple[int, int, int]], out: Sequence[Outage], end: int
) -> dict[int, list[tuple[int, int]]]:
    """By source, when it listened: lives less outages; of files, first to last line. Until `end`."""
    spans: dict[int, list[tuple[int, int]]] = {}
    for life in sorted((life for life in lives if life.src < FILES), key=lambda life: life.since):
        own = [(one.start, one.end) for one in out if one.src == life.src]
        until = end if life.closed is None else life.closed
        spans.setdefault(life.src, []).extend(subtract((life.since, until), own))
    for src, first, last in files:
        spans.setdefault(src, []).append((first, last + 1))
    return spans


def unheard(
    out: Sequence[Outage], heard: Mapping[int, Sequence[tuple[int, int]]]
) -> list[tuple[Outage, int, int]]:
    """The parts of outages in which no other source listened either, each once."""
    found: dict[tuple[int, int], tuple[Outage, int, int]] = {}
    for one in sorted(out, key=lambda one: (one.start, not one.certain)):
        others = [span for src, spans in heard.items() if src != one.src for span in spans]
        for start, end in subtract((one.start, one.end), others):
            if not any(s <= start and end <= e for s, e in found):
                found[start, end] = one, start, end
    return list(found.values())


def subtract(span: tuple[int, int], others: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of a span without the others, in order."""
    left, start = [], span[0]
    for first, last in sorted(others):
        if last <= start or first >= span[1]:
            continue
        if first > start:
            left.append((start, first))
        start = max(start, last)
    if start < span[1]:
        left.append((start, span[1]))
    return left


def late(beats: Columns, life: Life) -> list[Outage]:
    """Where a life's heartbeats are further apart than WARN intervals; certain past FAIL."""
    times = _of(beats, life.src, life.since)["ts_recv"]
    gaps = np.diff(times)
    return [
        Outage(
            src=life.src, start=int(times[i]), end=int(times[i + 1]), why="late heartbeat",
            certain=bool(gaps[i] > FAIL * INTERVAL),
        )
        for i in np.flatnonzero(gaps > WARN * INTERVAL).tolist()
    ]  # fmt: skip


def _disconnected(
    life: Life, changes: Iterable[tuple[int, int, bool]], shown: int | None, until: int, followed: bool
) -> list[Outage]:
    """From each disconnect to the next connect; to the life's end where another life follows, or it lives.

    A life that moved begins as it was in the topic before.
    """
    found, since = [], None
    for src, at, connected in sorted(changes, key=lambda change: change[1]):
        if src == life.src and life.taper <= at < life.since:
            since = None if connected else life.since
        if src != life.src or not life.since <= at < until:
            continue
        if not connected and since is None:
            since = at
        elif connected and since is not None:
            found.append(Outage(src=src, start=since, end=at, why="disconnected"))
            since = None
    if since is not None and (followed or life.closed is None) and not life.retired:
        end = shown if followed and shown is not None else until
        found.append(Outage(src=life.src, start=since, end=end, why="disconnected"))
    return found


def _lives(beats: Columns) -> list[tuple[int, int]]:
    return sorted(set(zip(beats["src"].tolist(), beats["since"].tolist(), strict=True)))


def _of(beats: Columns, src: int, since: int) -> Columns:
    """One life's heartbeats, each once, by time."""
    own = beats.take((beats["src"] == src) & (beats["since"] == since))
    _, first = np.unique(own["ts_recv"], return_index=True)
    return own.take(first)
