"""Complete-through: up to when nothing more can come, and who holds it back (DESIGN §1)."""

from __future__ import annotations

from msgspec import Struct

from tapedeck.log import client, meta, topics
from tapedeck.log.meta import TopicPin
from tapedeck.log.plan import Range
from tapedeck.log.stop import last_shown, waiting_for
from tapedeck.settings import Settings

BLOCKS = (2_000, 20_000, 200_000)
"""So many of a partition's last records are looked at, then more, for a time of each open collector."""
_EVER = 2**63 - 1


class Through(Struct, frozen=True, kw_only=True):
    """One partition of a live topic.

    `time`: below it nothing more can come (UTC ns); None where no collector is open, so that nobody is
    waited for. `by`: the collector whose time that is, which holds the others back.
    """

    topic: str
    partition: int
    time: int | None
    by: int | None


class CompleteThrough(Struct, frozen=True, kw_only=True):
    """A vendor's partitions, and the least of their times with who holds it back."""

    time: int | None
    by: int | None
    partitions: tuple[Through, ...]


def complete_through(settings: Settings, vendor: str) -> CompleteThrough:
    """Up to when each partition is complete now.

    Of a collector that is silent in the last 200,000 records of a partition only the first stamp of its
    life is known to have come through. Raises as `topics.verify` does, Unavailable.
    """
    known = meta.read(settings)
    pinned = topics.verify(settings, vendor, known)
    found = []
    for pin in pinned.live:
        lives = [life for life in known.lives if life.topic_id == pin.id]
        open_now = waiting_for(lives, _EVER).open
        since = {life.src: life.since for life in lives if life.src in open_now}  # the last life of each
        bounds = client.bounds(settings, [(pin.name, p) for p in range(pin.partitions)])
        for p in range(pin.partitions):
            times = since | _shown(settings, pin, p, bounds[pin.name, p], frozenset(since)) if since else {}
            by = min(times, key=lambda src: (times[src], src), default=None)
            time = None if by is None else times[by]
            found.append(Through(topic=pin.name, partition=p, time=time, by=by))
    least = min((one for one in found if one.time is not None), key=lambda one: one.time or 0, default=None)
    return CompleteThrough(
        time=least.time if least else None, by=least.by if least else None, partitions=tuple(found)
    )


def _shown(
    settings: Settings, pin: TopicPin, p: int, bounds: tuple[int, int], sources: frozenset[int]
) -> dict[int, int]:
    """The last time that each of these sources has shown at the partition's end."""
    low, high = bounds
    shown: dict[int, int] = {}
    for block in BLOCKS:
        start = max(low, high - block)
        r = Range(
            topic=pin.name, topic_id=pin.id, number=pin.number, partition=p, start=start, stop=high,
            start_reason="exact", stop_reason="watermark",
        )  # fmt: skip
        shown = {src: time for src, time in last_shown(settings, r).items() if src in sources}
        if start == low or shown.keys() >= sources:
            break
    return shown
