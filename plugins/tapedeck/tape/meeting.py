"""How the publishers that share a tape leave a topic together, once their vendor has grown.

Each may be further on the tape than another, and all must leave at one heartbeat line (see `tape.moving`). So
who does not lead *stands* at the first heartbeat it comes to: all before it is acknowledged, and its position
says where it stands. Who leads moves at a heartbeat that nobody has passed, one at or behind those at which
all others stand. Where somebody is further, it says from which stamp on to stand, and goes on itself. At the
line all say goodbye in the partitions that are theirs; who leads then closes the life and moves the position,
which the others wait for. What is said is kept before it is acted upon, and one that is killed says it again.
"""

from __future__ import annotations

from pathlib import Path

from tapedeck.log.meta import TopicPin
from tapedeck.tape import position
from tapedeck.tape.position import Meeting, Position
from tapedeck.tape.segment import Place
from tapedeck.tape.share import Share


def called_for(
    folder: Path, share: Share, now: TopicPin, to: TopicPin, stamp: int, place: Place
) -> int | None:
    """For who leads, at the heartbeat of that stamp and place: the stamp from which on all can leave.

    Its own where all others stand there or before, a later one where somebody has passed it; None where
    somebody has yet to come.
    """
    latest = stamp
    for part in range(1, share.parts):
        found = position.of(folder, part)
        if found is None or found.topic_id != now.id:
            return None
        if (said := _said(found, to)) is not None:
            latest = max(latest, said.at)
            continue
        own = [lane for p, lane in enumerate(found.lanes[:-1]) if p % share.parts == part]
        furthest = max(own, key=lambda lane: lane.place)
        if furthest.place <= place:
            return None
        latest = max(latest, furthest.stamp + 1)
    return latest


def excused(folder: Path, now: TopicPin, to: TopicPin, stamp: int) -> bool:
    """Whether who leads has said that nobody need stand at a heartbeat of this stamp."""
    found = position.of(folder, 0)
    said = _said(found, to) if found is not None and found.topic_id == now.id else None
    return said is not None and stamp < said.at


def all_have_left(folder: Path, share: Share, now: TopicPin, left: Meeting) -> bool:
    """Whether the publishers beside the one that leads have said goodbye in the topic."""
    found = [position.of(folder, part) for part in range(1, share.parts)]
    return all(one is not None and (one.topic_id, one.meeting) == (now.id, left) for one in found)


def has_moved(folder: Path, to: TopicPin) -> bool:
    """Whether who leads has moved the tape's position."""
    found = position.of(folder, 0)
    return found is not None and found.topic_id == to.id


def _said(found: Position, to: TopicPin) -> Meeting | None:
    return found.meeting if found.meeting is not None and found.meeting.towards == to.id else None
