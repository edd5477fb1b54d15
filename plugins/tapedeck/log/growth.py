"""Growing a vendor's log: one more live topic, whose partition count is a multiple of the old (DESIGN §2.2).

The topic is made, then pinned in `md.meta`; from then on it is part of the log for everybody. Collectors move
to it by themselves, each at a heartbeat of its own (`tape.moving`), and what lies in the old topic stays
where it is until its retention ends. A grower that dies before the pin leaves an empty topic, which the next
one takes; one that dies after it was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tapedeck.errors import BadInput, Mismatch
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import TopicPin, VendorTopics
from tapedeck.partitions import MOST, PARTITIONER
from tapedeck.settings import Settings


@dataclass(frozen=True, slots=True)
class Growth:
    """A topic that a vendor may grow into."""

    vendor: str
    now: TopicPin
    """The newest live topic there is."""
    name: str
    partitions: int
    config: dict[str, str]
    """A live topic's, with the present one's retention where somebody has raised that."""


def foreseen(settings: Settings, vendor: str, partitions: int) -> Growth:
    """What growing a vendor to so many partitions would make; changes nothing. What was just made stands.

    Raises BadInput for a vendor that is unknown or of which nothing was recorded, a number that is no greater
    multiple of what there is, and one that Kafka refuses; Mismatch where a topic is not as pinned.
    """
    settings.vendor(vendor)
    live = topics.verify(settings, vendor).live
    if len(live) > 1 and live[-1].partitions == partitions:  # a grower that died past its last step
        return Growth(vendor, live[-2], live[-1].name, partitions, {})
    now = live[-1]
    _check_count(now, partitions)
    name = f"{settings.live_topic(vendor)}.{partitions}"
    admin = client.admin(settings)
    with client.answering(settings):
        there = topics.describe(admin, [name])
        config = topics.configs(admin, [now.name, *there])
    growth = Growth(vendor, now, name, partitions, _config(settings, config[now.name]))
    if name not in there:
        topics.create(admin, settings, name, partitions, growth.config, only_check=True)
        return growth
    if there[name][1] != partitions or not topics.is_empty(settings, name):
        raise BadInput(
            f"there is a topic {name} already, which {meta.topic_name(settings)} does not know, with "
            f"{there[name][1]} partitions and perhaps records: move it away, or grow to another number"
        )
    for key, value in growth.config.items():
        if config[name].get(key) != value:
            raise BadInput(
                f"there is an empty topic {name} already, with {key}={config[name].get(key)} where {value} "
                "is needed: delete it, and it is made anew, or grow to another number"
            )
    return growth


def _config(settings: Settings, now: Mapping[str, str]) -> dict[str, str]:
    """What a live topic is made with. `now`: the configuration in force of the present one."""
    config = topics.config_of(settings, "live")
    kept = [int(config["retention.ms"]), int(now["retention.ms"])]
    return {**config, "retention.ms": str(-1 if -1 in kept else max(kept))}


def grow(settings: Settings, vendor: str, partitions: int) -> VendorTopics:
    """Make the topic and pin it; gives the vendor's topics, of which it is the last live one.

    Nobody need be told: whoever reads or publishes looks at `md.meta`. Raises what `foreseen` raises, and
    Mismatch where somebody else let the vendor grow meanwhile, to a number that this is no multiple of.
    """
    growth = foreseen(settings, vendor, partitions)
    pinned = topics.verify(settings, vendor)
    if growth.name in {pin.name for pin in pinned.live}:
        return pinned
    admin = client.admin(settings)
    with client.answering(settings):
        topics.create(admin, settings, growth.name, partitions, growth.config)
        identity, count = topics.await_topic(admin, settings, growth.name)
    if count != partitions:
        raise Mismatch(
            f"the topic {growth.name} was made by somebody else meanwhile, with {count} partitions in place "
            f"of {partitions}: look at `tapedeck topics {vendor}`, then grow again"
        )
    pin = TopicPin(
        id=identity, name=growth.name, vendor=vendor, role="live", partitions=count, partitioner=PARTITIONER
    )
    meta.put(settings, pin)
    grown = topics.verify(settings, vendor)
    if pin.id not in {live.id for live in grown.live}:
        raise Mismatch(
            f"{vendor} was let grow to {grown.live[-1].partitions} partitions by somebody else meanwhile, of "
            f"which {count} is no multiple: {growth.name} stays empty and unused, and may be deleted"
        )
    return grown


def _check_count(now: TopicPin, partitions: int) -> None:
    have = now.partitions
    if partitions > MOST:
        raise BadInput(
            f"{partitions:,} partitions are more than Kafka makes at once ({MOST:,}): ask for fewer"
        )
    if partitions <= have:
        raise BadInput(
            f"{now.vendor} has {have} partitions now ({now.name}) and never has fewer: ask for a multiple of "
            f"that, for example {2 * have}"
        )
    if partitions % have:
        near = partitions // have * have
        ask = ", ".join(str(n) for n in (near, near + have) if n > have)
        raise BadInput(
            f"{partitions} is no multiple of the {have} partitions of {now.vendor} now ({now.name}), so "
            f"nobody could tell where a symbol was before: ask for {ask.replace(', ', ' or ')}"
        )
