"""How far Kafka has acknowledged the tape, per partition; kept in a file beside the segments.

Where several publishers share a tape each has a file of its own, `position.json`, `position-1.json`, …. What
any of them says is true, so together they say the furthest for each lane.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct, structs

from tapedeck.errors import Mismatch, Unavailable
from tapedeck.tape.segment import Place, Segment, named

FILE = "position.json"
MOST_MARKS = 4096


class Lane(Struct, frozen=True):
    """One partition's (or the quarantine topic's) part of a position.

    All lines before `offset` of `segment` are dealt with; up to there this life of the taper has
    yielded `sent` distinct messages for it. `stamp` is the receipt time of the last of these lines.
    """

    segment: str
    offset: int
    sent: int
    stamp: int = 0

    @property
    def place(self) -> Place:
        """The lane's position on the tape."""
        return Place(named(self.segment) or Segment(0, 0), self.offset)


class Meeting(Struct, frozen=True):
    """What one of several publishers says of leaving for the topic with the id `towards` (`tape.meeting`).

    It stands at the heartbeat of the stamp `at` (UTC ns), with all before it acknowledged, and once it has
    `left` its goodbye too. Of the one that leads: nobody need stand before `at`.
    """

    towards: str
    at: int
    left: bool = False


class Position(Struct, frozen=True, kw_only=True):
    """What Kafka has acknowledged of a tape. `lanes` are the partitions in order, then the quarantine.

    It speaks of the live topic with the id `topic_id` only. `stamp` is the receipt time (UTC ns) up to
    which every lane is acknowledged; `counts` what the publisher has met since it was started.
    """

    topic_id: str
    lanes: list[Lane]
    stamp: int = 0
    counts: dict[str, int] = {}
    meeting: Meeting | None = None


def file_of(part: int) -> str:
    """The name of a publisher's file."""
    return f"position-{part}.json" if part else FILE


def load(folder: Path) -> Position | None:
    """The tape's position, of all its publishers together; None where nothing was published of it yet.

    Where they speak of different topics, the first one's word counts.
    """
    found = [one for path in _files(folder) if (one := _read(path))]
    if not found:
        return None
    alike = [
        one for one in found if (one.topic_id, len(one.lanes)) == (found[0].topic_id, len(found[0].lanes))
    ]
    lanes = [
        max(each, key=lambda lane: lane.place) for each in zip(*(one.lanes for one in alike), strict=True)
    ]
    counts: Counter[str] = Counter()
    for one in alike:
        counts.update(one.counts)
    return Position(
        topic_id=found[0].topic_id, lanes=lanes, stamp=min(lane.stamp for lane in lanes), counts=dict(counts)
    )  # fmt: skip


def of(folder: Path, part: int) -> Position | None:
    """What one publisher's file says; None where there is none."""
    return _read(folder / file_of(part))


def forget(folder: Path, parts: int) -> None:
    """Remove the files of publishers that there are no more, once another's has what they say."""
    for path in _files(folder):
        number = path.stem.partition("-")[2]
        if number and int(number) >= parts:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """The publishers' files, the first one's first."""
    others = [path for path in folder.glob("position-*.json") if path.stem.partition("-")[2].isdigit()]
    return [folder / FILE, *sorted(others, key=lambda path: int(path.stem.partition("-")[2]))]


def _read(path: Path) -> Position | None:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Position)
        # Before each lane had a stamp of its own the position's was that of the lane furthest behind.
        lanes = [structs.replace(lane, stamp=lane.stamp or found.stamp) for lane in found.lanes]
        return structs.replace(found, lanes=lanes) if lanes else None
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as e:
        raise Mismatch(
            f"the tape's position {path} can't be read ({e}): remove it to publish the whole tape again "
            "(what came before is told apart by its name)"
        ) from e


def save(folder: Path, position: Position, part: int = 0) -> None:
    """Replace a publisher's word of the tape's position, whole or not at all.

    Raises Unavailable where it can't be written.
    """
    path = folder / file_of(part)
    new = path.with_name(f"{path.name}.new")
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
    lane whose acknowledged records reach a mark's count has dealt with all that lies before it. A lane that
    is not `mine` stays where it was.
    """

    def __init__(self, start: Sequence[Lane], stamp: int = 0, mine: Sequence[bool] | None = None) -> None:
        self._lanes = list(start)
        self._mine = [lane for lane in range(len(start)) if mine is None or mine[lane]]
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
        for lane in self._mine:
            at = bisect_right(self._marks, acknowledged[lane], key=lambda mark: mark.produced[lane])
            reached.append(at)
            if at:
                mark = self._marks[at - 1]
                new = Lane(mark.place.segment.name, mark.place.offset, mark.sent[lane], mark.stamp)
                if new.place > self._lanes[lane].place:
                    self._lanes[lane] = new
        for _ in range(min(reached)):
            self._stamp = self._marks.popleft().stamp
        return list(self._lanes)

    @property
    def stamp(self) -> int:
        """The receipt time up to which all its lanes were acknowledged when `lanes` was last asked."""
        return self._stamp
