"""Where a writer begins: at its saved positions, and so far before them that every open window is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from confluent_kafka import Consumer

from tapedeck.errors import Mismatch
from tapedeck.log import client
from tapedeck.log.meta import TopicPin, VendorTopics
from tapedeck.partitions import of_groups
from tapedeck.settings import Settings
from tapedeck.slices import parse_duration
from tapedeck.store import positions
from tapedeck.store.held import Held, Reach
from tapedeck.store.positions import Lane, Position
from tapedeck.store.shown import FOREVER

MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Begun:
    """What a writer goes on from, by partition group. `history`: the next offset of the backfill topic."""

    saved: dict[Lane, Position]
    held: dict[int, Held]
    history: dict[int, int]


def begin(
    settings: Settings,
    vendor: str,
    pins: VendorTopics,
    windows: dict[str, int],
    partitions: Iterable[int],
    say: Callable[[str], None],
) -> Begun:
    """Where writing goes on in these partition groups. `windows`: length in ns by kind.

    Raises Mismatch where a topic ends before what was written of it, and Unavailable.
    """
    saved = positions.read(settings, vendor)
    begun = Begun(saved, {}, {})
    margin = parse_duration(settings.vendor(vendor).margin)
    with client.consumer(settings) as consumer:
        resume = _Resume(settings, consumer, saved, say)
        for p in partitions:
            closed: dict[str, int] = {}
            lanes = [(pin, q) for pin in pins.live for q in of_groups([p], pins.groups, pin.partitions)]
            for pin, q in lanes:
                if (pin.id, q) in saved:
                    for kind, end in saved[pin.id, q].closed.items():
                        closed[kind] = max(closed.get(kind, 0), end)
            begun.held[p] = Held(
                partition=p, windows=dict(windows), margin=margin,
                reaches={(pin.id, q): resume.reach(pin, q, closed, margin) for pin, q in lanes},
                pins={pin.number: pin for pin in pins.log}, closed=closed,
            )  # fmt: skip
            begun.history[p] = resume.history(pins.backfill, p)
    return begun


@dataclass(frozen=True, slots=True)
class _Resume:
    settings: Settings
    consumer: Consumer
    saved: dict[Lane, Position]
    say: Callable[[str], None]

    def history(self, pin: TopicPin, p: int) -> int:
        """Where to begin in the backfill topic, of which nothing is held in memory."""
        low, _, known = self._standing(pin, p)
        return max(low, known.next if known else low)

    def reach(self, pin: TopicPin, p: int, closed: dict[str, int], margin: int) -> Reach:
        """Where to begin in a live topic, so that every open window is whole in memory."""
        low, high, known = self._standing(pin, p)
        if known is None or not closed:
            whole_from = 0 if low == 0 else FOREVER
            return Reach(pin.id, p, pin.partitions, low, whole_from, known.next if known else 0)
        time_ns = max(0, min(closed.values()) - margin)
        found = client.offsets_at(self.settings, self.consumer, pin.name, {p: time_ns // MS})[p]
        start = min(known.next, found if found >= 0 else high)
        if start < low:
            if known.next < low:
                self.say(
                    f"{pin.name}[{p}] begins at {low} but was written through {known.next} only: what lies "
                    "between was deleted before it was written, and its windows will be flagged partial"
                )
            return Reach(pin.id, p, pin.partitions, low, FOREVER, known.next)
        return Reach(pin.id, p, pin.partitions, start, time_ns, known.next)

    def _standing(self, pin: TopicPin, p: int) -> tuple[int, int, Position | None]:
        """The bounds of what Kafka holds, and the saved position, which lies no further than they do."""
        low, high = client.watermarks(self.settings, self.consumer, pin.name, p)
        known = self.saved.get((pin.id, p))
        if known is not None and known.next > high:
            raise Mismatch(
                f"{pin.name}[{p}] ends at {high} but was written through {known.next}: the broker lost "
                "records; compare with its other replicas"
            )
        return low, high, known
