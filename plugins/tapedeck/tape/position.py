"""How far Kafka has acknowledged the tape, per partition; kept in a file beside the segments."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from tapedeck.errors import Mismatch, Unavailable
from tapedeck.tape.segment import Place, Segment, named

FILE = "position.json"
MOST_MARKS = 4096


class Lane(Struct, frozen=True):
    """One partition's (or the quarantine topic's) part of a position.

    All lines before `offset` of `segment` are dealt with; up to there this life of the taper has
    yielded `sent` distinct messages for it.
    """

    segment: str
    offset: int
    sent: int

    @property
    def place(self) -> Place:
        """The lane's position on the tape."""
        return Place(named(self.segment) or Segment(0, 0), self.offset)


class Position(Struct, frozen=True, kw_only=True):
    """What Kafka has acknowledged of a tape. `lanes` are the partitions in order, then the quarantine.

    It speaks of the live topic with the id `topic_id` only. `stamp` is the receipt time (UTC ns) up to
    which every lane is acknowledged; `counts` what the publisher has met since it was started.
    """

    topic_id: str
    lanes: list[Lane]
    stamp: int = 0
    counts: dict[str, int] = {}


def load(folder: Path) -> Position | None:
    """The tape's position, or None where nothing was published of it yet."""
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Position)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as e:
        raise Mismatch(
            f"the tape's position {path} can't be read ({e}): remove it to publish the whole tape again "
            "(what came before is told apart by its name)"
        ) from e


def save(folder: Path, position: Position) -> None:
    """Replace the tape's position, whole or not at all. Raises Unavailable where it can't be written."""
    path = folder / FILE
    new = path.with_name(f"{FILE}.new")
    try:
        with new.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(position), indent=1))
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    except OSError as e:
        raise Unavailable(
            f"the tape's position {path} can't be written ({e.strerror}): make room on that disk or make "
            "it writable; publishing goes on from the last position that was saved"
        ) from e


def last_stamp(folder: Path) -> int:
    """The last receipt time that was certainly issued and published; 0 where none is known."""
    try:
        found = load(folder)
    except Mismatch:
        return 0
    return found.stamp if found else 0


class _Mark(NamedTuple):
    produced: Sequence[int]
    place: Place
    sent: Sequence[int]
    stamp: int


class Ledger:
    """Turns counts of acknowledged records into places on the tape.

    A mark says "when so many records had been handed to each lane, the tape was read up to here". A
    lane whose acknowledged records reach a mark's count has dealt with all that lies before it.
    """

    def __init__(self, start: Sequence[Lane], stamp: int = 0) -> None:
        self._lanes = list(start)
        self._stamp = stamp
        self._marks: deque[_Mark] = deque()

    def mark(self, produced: Sequence[int], place: Place, sent: Sequence[int], stamp: int) -> None:
        """Note a place on the tape at whole lines. The sequences are copied."""
        self._marks.append(_Mark(tuple(produced), place, tuple(sent), stamp))
        if len(self._marks) > MOST_MARKS:  # fewer marks only make positions coarser
            self._marks = deque(m for i, m in enumerate(self._marks) if i % 2 or i == len(self._marks) - 1)

    def lanes(self, acknowledged: Sequence[int]) -> list[Lane]:
        """Each lane's position, given how many of its records are acknowledged."""
        reached = []
        for lane, count in enumerate(acknowledged):
            at = bisect_right(self._marks, count, key=lambda mark: mark.produced[lane])
            reached.append(at)
            if at:
                mark = self._marks[at - 1]
                new = Lane(mark.place.segment.name, mark.place.offset, mark.sent[lane])
                if new.place > self._lanes[lane].place:
                    self._lanes[lane] = new
        for _ in range(min(reached)):
            self._stamp = self._marks.popleft().stamp
        return list(self._lanes)

    @property
    def stamp(self) -> int:
        """The receipt time up to which all lanes were acknowledged when `lanes` was last asked."""
        return self._stamp
