"""Giving up a topic that is lost: deleted, made again or resized by somebody, with what it held."""

from __future__ import annotations

import time
from collections.abc import Callable

from tapedeck.errors import BadInput
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import GivenUp, TopicPin
from tapedeck.settings import Settings

AGAIN_SECONDS = 2.0
"""A broker that just took a topic over does not know it for a moment, which looks as if it were gone."""


def foreseen(
    settings: Settings, vendor: str, topic: str, pause: Callable[[float], object] = time.sleep
) -> tuple[TopicPin, ...]:
    """The pins that would be given up; none where that was done before. Changes nothing.

    Kafka is asked twice, `pause` between, before a topic counts as lost. Raises BadInput for an unknown
    vendor, a topic that is none of its own, and one that is there as it was pinned.
    """
    settings.vendor(vendor)
    known = meta.read(settings)
    pins = [pin for pin in known.pins.values() if (pin.vendor, pin.name) == (vendor, topic)]
    if not pins:
        if any((pin.vendor, pin.name) == (vendor, topic) for pin in known.given_up):
            return ()
        names = ", ".join(sorted(pin.name for pin in known.pins.values() if pin.vendor == vendor))
        shown = topic if topic.isprintable() else repr(topic)
        raise BadInput(f"{shown} is no topic of {vendor}: known are {names or 'none'}")
    for again in (False, True):
        if again:
            pause(AGAIN_SECONDS)
        with client.answering(settings):
            there = topics.describe(client.admin(settings), [topic]).get(topic)
        for pin in pins:
            if there == (pin.id, pin.partitions):
                raise BadInput(
                    f"the topic {topic} is there as it was pinned (id {pin.id}, {pin.partitions} partitions)"
                    ", so nothing is lost: only one that is gone, was made again or resized can be given up"
                )
    return tuple(pins)


def give_up(
    settings: Settings, vendor: str, topic: str, pause: Callable[[float], object] = time.sleep
) -> tuple[TopicPin, ...]:
    """Let a topic's pin stand no longer, so that nothing is read of it, or published there, any more.

    What was built of it stays in Arctic, since no log can answer for it. Whoever publishes next makes a topic
    in its place where the vendor has no other of that role. Again it changes nothing. Gives and raises what
    `foreseen` does.
    """
    pins = foreseen(settings, vendor, topic, pause)
    meta.put(settings, *(GivenUp(topic_id=pin.id, vendor=vendor) for pin in pins))
    return pins
