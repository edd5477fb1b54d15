"""Where a source went from one live topic to another: what it said in the old one comes before the rest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from tapedeck.errors import Unavailable
from tapedeck.log import meta
from tapedeck.log.client import Place
from tapedeck.log.meta import Life, TopicPin
from tapedeck.settings import Settings

RETRY_SECONDS = 0.5


class Seams:
    """For who reads several of a vendor's live topics at once, each source's older messages first."""

    def __init__(self, settings: Settings, vendor: str, known: meta.Meta, groups: int) -> None:
        self._settings, self._vendor, self._known, self._groups = settings, vendor, known, groups
        self._joined: set[tuple[Place, int]] = set()

    def unread(
        self, pin: TopicPin, partition: int, src: int, positions: Mapping[Place, int]
    ) -> dict[Place, int]:
        """Through which offsets other partitions are to be read before a source's messages in this one; none
        where they are. `positions`: of all partitions that are read, by place.

        `md.meta` is read where it must say more than it did, which waits for a broker that is away.
        """
        if (seen := ((pin.name, partition), src)) in self._joined:
            return {}
        ends = self._before(pin, src)
        if ends is None:  # it came since
            self._known = self._read()
            ends = self._before(pin, src) or {}
        group = partition % self._groups
        left = {
            place: end
            for place, end in ends.items()
            if place[1] % self._groups == group and positions.get(place, end) < end
        }
        if not left:
            self._joined.add(seen)
        return left

    def _before(self, pin: TopicPin, src: int) -> dict[Place, int] | None:
        lives = [life for life in self._known.lives if life.vendor == self._vendor]
        return before(lives, {one.id: one.name for one in self._known.topics(self._vendor).live}, pin, src)

    def _read(self) -> meta.Meta:
        while True:
            try:
                return meta.read(self._settings)
            except Unavailable:
                time.sleep(RETRY_SECONDS)


def before(
    lives: Iterable[Life], names: Mapping[str, str], pin: TopicPin, src: int
) -> dict[Place, int] | None:
    """By place, the offset behind all that a source said in the topic that it left for this one.

    Empty where it did not come from another; None where the lives do not tell, as they were read before its
    first record here was published. `names`: of the vendor's topics, by id; `lives`: the vendor's.
    """
    own = [life for life in lives if life.src == src]
    here = [life for life in own if life.topic_id == pin.id]
    if not here:
        return None
    moved = min(here, key=lambda life: life.since)
    if not moved.moved:
        return {}
    for left in own:
        if left.taper == moved.moved and left.closed == moved.since and left.topic_id != pin.id:
            name = names.get(left.topic_id)
            return {(name, p): offset for p, offset in left.closing.items()} if name else {}
    return None
