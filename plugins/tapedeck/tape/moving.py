"""Where a publisher publishes, and where it goes on once its vendor has grown (DESIGN §2.2).

It moves at a heartbeat line and nowhere else, so that every line of the tape before that one is in the old
topic and every line from it on in the new one. All that it does can be done again after it was killed:

1. everything before the line is acknowledged, and the position says so;
2. the life that begins at the line's stamp in the new topic is entered in `md.meta`: from here on the stamp
   is fixed, and whoever reads waits for that life too;
3. the old topic gets the closing heartbeat, and the old life is closed;
4. the position speaks of the new topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tapedeck.errors import Mismatch
from tapedeck.log.meta import Life, TopicPin
from tapedeck.tape.follow import Follower
from tapedeck.tape.position import Lane, Position
from tapedeck.tape.segment import Place, segments, stamp_of


def begun_in(
    live: Sequence[TopicPin], lives: Iterable[Life], found: Position | None, where: object
) -> TopicPin:
    """The topic that this source publishes to: what the position at `where` says, or where a life is open.

    `live`: the vendor's live topics, oldest first; `lives`: this source's. Raises Mismatch for a position in
    a topic that is not among them.
    """
    if found is None:
        left = {life.topic_id for life in lives if life.closed is None and not life.retired}
        return next((pin for pin in live if pin.id in left), live[-1])
    for pin in live:
        if pin.id == found.topic_id:
            if len(found.lanes) != pin.partitions + 1:
                raise Mismatch(
                    f"{where} speaks of {len(found.lanes) - 1} partitions, but {pin.name} has "
                    f"{pin.partitions}: remove that file to publish all of it again"
                )
            return pin
    raise Mismatch(
        f"{where} speaks of a topic with id {found.topic_id}, but {live[-1].name} has id {live[-1].id}: "
        "remove that file to publish the whole tape into it"
    )


def destination(
    live: Sequence[TopicPin], lives: Iterable[Life], now: TopicPin, taper: int
) -> tuple[TopicPin, int] | None:
    """Where this source goes on with the taper that began at `taper`, and since when; None: it stays.

    A stamp that was entered before, by a publisher that was killed or by one that is further on the tape,
    stands, also in a later taper's life; 0: at the next heartbeat, whatever its stamp. `lives`: this
    source's.
    """
    newer = [pin for pin in live if pin.number > now.number]
    if not newer:
        return None
    known = tuple(lives)
    for pin in newer:
        for life in known:
            if life.topic_id == pin.id and life.moved >= taper and life.closed is None:
                return pin, life.since
    return newer[-1], 0


def rejoined(folder: Path, pin: TopicPin, lives: Iterable[Life]) -> tuple[Life, Lane] | None:
    """Where on the tape this source moved to the topic, of which no position tells any more; None where it
    did not move there. What the tape says before is another topic's, and behind what came here it would be
    in no order. `lives`: this source's.
    """
    first = min((life for life in lives if life.topic_id == pin.id), key=lambda one: one.since, default=None)
    begin = next((one for one in segments(folder) if first and one.life == first.taper), None)
    if first is None or not first.moved or begin is None:
        return None
    follower, stamp, place = Follower(folder, Place(begin, 0)), 0, Place(begin, 0)
    try:
        while chunk := follower.read():
            place = chunk.start
            for line in chunk.data.split(b"\n")[:-1]:
                at = stamp_of(line)
                if at is not None and at >= first.since:
                    return first, Lane(place.segment.name, place.offset, 0, stamp)
                stamp, place = at or stamp, Place(place.segment, place.offset + len(line) + 1)
    finally:
        follower.close()
    return first, Lane(place.segment.name, place.offset, 0, stamp)


def cut_short(life: Life, live: Sequence[TopicPin], lives: Iterable[Life]) -> bool:
    """Whether a life was closed because it moved to a topic that stands no longer: its tape goes on, in this
    topic again. `lives`: this source's."""
    stand = {pin.id for pin in live}
    return life.closed is not None and any(
        one.taper == life.taper and one.since == life.closed and one.topic_id not in stand
        for one in lives
        if one.moved
    )


def moved(before: Position, to: TopicPin, place: Place) -> Position:
    """The position in the new topic of which nothing is published yet; the quarantine goes on as it was."""
    fresh = Lane(place.segment.name, place.offset, 0, before.stamp)
    return Position(
        topic_id=to.id, lanes=[fresh] * to.partitions + before.lanes[-1:], stamp=before.stamp,
        counts=before.counts,
    )  # fmt: skip
