"""Where a slice ends in a live partition: once every collector has shown a time past it (DESIGN §5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from tapedeck.codec import POISON
from tapedeck.log.meta import Life
from tapedeck.log.plan import Range
from tapedeck.log.read import read_range, together
from tapedeck.settings import Settings


class _Head(Struct, array_like=True, frozen=True, gc=False):
    """The first seven fields of any message; later ones are skipped."""

    kind: str
    symbol: str
    ts_event: int
    ts_recv: int
    seq: int
    prev: int
    src: int


_head: msgspec.msgpack.Decoder[_Head] = msgspec.msgpack.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who decides where a slice ends.

    `open` must each show a record at or past the end; `closed` lives end before it, at the offsets of
    their closing heartbeats.
    """

    open: frozenset[int]
    closed: tuple[Life, ...]

    def closings(self, partition: int) -> int:
        """The offset behind which no closed life has anything in this partition; 0 for none."""
        return max((life.closing.get(partition, 0) for life in self.closed), default=0)


def waiting_for(lives: Iterable[Life], end: int) -> Waiting:
    """Who is to be waited for at `end` (UTC ns): per source, its last life that begins before it."""
    last: dict[int, Life] = {}
    closed = []
    for life in sorted(lives, key=lambda one: one.since):
        if life.since >= end:
            continue
        last[life.src] = life
        if life.closed is not None and life.closed < end:
            closed.append(life)
    open_sources = frozenset(
        src
        for src, life in last.items()
        if not life.retired and (life.closed is None or life.closed >= end)
    )  # fmt: skip
    return Waiting(open_sources, tuple(closed))


@dataclass(frozen=True, slots=True)
class Shown:
    """The first record of a source at or past a time: its offset and its ts_recv (UTC ns)."""

    offset: int
    ts_recv: int


def first_shown(
    settings: Settings, ranges: Iterable[Range], sources: Iterable[int], time: int, near: bool = True
) -> dict[int, dict[int, Shown]]:
    """By partition, for each source its first record in the range with ts_recv >= time; absent where none.

    The ranges are of different partitions, and all are looked at together. None is read further than
    the last source's first such record, which is expected to be `near` its start.
    """
    wanted = frozenset(sources)
    found: dict[int, dict[int, Shown]] = {}
    if not wanted:
        return found
    for records in together(settings, ranges, until=lambda p: found.get(p, {}).keys() >= wanted, few=near):
        shown = found.setdefault(records.range.partition, {})
        for offset, value in zip(records.offsets.tolist(), records.values, strict=True):
            try:
                head = _head.decode(value)
            except POISON:
                continue
            if head.src in wanted and head.src not in shown and head.ts_recv >= time and head.kind != "v":
                shown[head.src] = Shown(offset, head.ts_recv)
                if len(shown) == len(wanted):
                    break
    return found


def last_shown(settings: Settings, r: Range) -> dict[int, int]:
    """The greatest ts_recv (UTC ns) of each source among the records of the range that Kafka still has."""
    shown: dict[int, int] = {}
    for records in read_range(settings, r, lost=lambda lost: None):
        for value in records.values:
            try:
                head = _head.decode(value)
            except POISON:
                continue
            if head.kind != "v" and head.ts_recv > shown.get(head.src, 0):
                shown[head.src] = head.ts_recv
    return shown
