"""Giving up a topic that is lost: deleted, made again or resized by somebody, with what it held."""

from __future__ import annotations

from tapedeck.errors import BadInput
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import GivenUp, TopicPin
from tapedeck.settings import Settings


def give_up(settings: Settings, vendor: str, topic: str) -> TopicPin:
    """Let a topic's pin stand no longer, so that nothing is read of it, or published there, any more.

    What was built of it stays in Arctic, since no log can answer for it. Whoever publishes next makes a topic
    in its place where the vendor has no other of that role. Again it changes nothing. Raises BadInput for an
    unknown vendor, a topic that is none of its own, and one that is there as it was pinned.
    """
    settings.vendor(vendor)
    known = meta.read(settings)
    before = [pin for pin in known.given_up if (pin.vendor, pin.name) == (vendor, topic)]
    pins = [pin for pin in known.pins.values() if (pin.vendor, pin.name) == (vendor, topic)]
    if not pins and before:
        return before[-1]
    if not pins:
        names = ", ".join(sorted(pin.name for pin in known.pins.values() if pin.vendor == vendor))
        raise BadInput(f"{topic} is no topic of {vendor}: known are {names or 'none'}")
    with client.answering(settings):
        there = topics.describe(client.admin(settings), [topic]).get(topic)
    for pin in pins:
        if there == (pin.id, pin.partitions):
            raise BadInput(
                f"the topic {topic} is there as it was pinned (id {pin.id}, {pin.partitions} partitions), so "
                "nothing is lost: only one that is gone, was made again or resized can be given up"
            )
    meta.put(settings, *(GivenUp(topic_id=pin.id, vendor=vendor) for pin in pins))
    return pins[-1]
