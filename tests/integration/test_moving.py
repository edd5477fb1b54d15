"""A publisher whose vendor grows: its life closes in the old topic and goes on in the new, losing nothing."""

from __future__ import annotations

import pytest

from tapedeck.errors import Mismatch
from tapedeck.log import client, growth, meta, topics
from tapedeck.log.giving_up import give_up
from tapedeck.log.meta import Life
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.tape import position
from tests.tapes import VENDOR, Tape, check_grown, messages, payloads, publish_all, publishing, until


def lives(settings: Settings) -> list[Life]:
    return [life for life in meta.read(settings).lives if life.vendor == VENDOR]


def published_to(settings: Settings, src: int = 1) -> str:
    found = position.load(settings.tape_dir(VENDOR, src))
    return found.topic_id if found else ""


def test_a_publisher_moves_at_a_heartbeat_while_the_feed_runs(settings: Settings) -> None:
    tape, made = Tape(settings), iter(payloads(6000))
    with publishing(settings) as said:
        tape.own("heartbeat")
        tape.take(*(next(made) for _ in range(500)))
        until(lambda: bool(lives(settings)), 120)
        new = growth.grow(settings, VENDOR, 8).live[-1]

        def moved() -> bool:
            tape.take(*(next(made) for _ in range(5)))
            tape.own("heartbeat")
            return published_to(settings) == new.id

        until(moved, 120)
        tape.own("disconnect", why="a test")
        tape.own("connect", why="")
        tape.take(*(next(made) for _ in range(500)))
        end = tape.end()
    assert any("has grown" in line for line in said)
    old, went_on = lives(settings)
    assert (old.since, old.moved, old.closed) == (tape.life, 0, went_on.since)
    assert (went_on.moved, went_on.closed, went_on.topic_id) == (tape.life, end, new.id)
    count, resent = check_grown(settings)
    assert (count > 1000, resent) == (True, 0)
    reading = timeline(VENDOR, settings).between(tape.life, end + 1)
    assert reading.plan.complete
    assert reading.count().messages == count


def test_a_backlog_moves_at_its_first_heartbeat_and_the_next_life_begins_in_the_new_topic(
    settings: Settings,
) -> None:
    topics.ensure(settings, VENDOR)
    growth.grow(settings, VENDOR, 8)
    growth.grow(settings, VENDOR, 16)
    first = Tape(settings)
    first.take(*payloads(40))
    first.own("heartbeat")
    first.take(*payloads(40, seed=2))
    first.writer.close()  # killed: no goodbye
    second = Tape(settings, stamps=first.stamps)
    second.take(*payloads(40, seed=3))
    second.own("heartbeat")
    second.end()
    publish_all(settings)
    live = topics.verify(settings, VENDOR).live
    assert [life.topic_id for life in lives(settings)] == [live[-1].id] * 2
    assert [sum(map(len, messages(settings, pin))) for pin in live[:-1]] == [0, 0]
    assert check_grown(settings)[1] == 0


def test_lives_of_before_the_growth_end_in_the_old_topic_and_a_lost_position_goes_on_there(
    settings: Settings,
) -> None:
    tape = Tape(settings)
    tape.own("heartbeat")
    tape.take(*payloads(50))
    publish_all(settings)
    growth.grow(settings, VENDOR, 12)
    (
        settings.tape_dir(VENDOR, 1) / position.FILE
    ).unlink()  # all of it is published again, from the old topic on
    tape.take(*payloads(50, seed=2))
    tape.own("heartbeat")
    tape.take(*payloads(50, seed=3))
    tape.end()
    publish_all(settings)
    assert [life.closed is not None for life in lives(settings)] == [True, True]
    count, resent = check_grown(settings, resends=True)
    assert resent
    assert timeline(VENDOR, settings).count(tape.life, tape.stamps.take()).messages == count
    (settings.tape_dir(VENDOR, 1) / position.FILE).unlink()  # of what is closed everywhere, in the newest
    publish_all(settings)
    assert timeline(VENDOR, settings).count(tape.life, tape.stamps.take()).messages == count
    assert len(lives(settings)) == 2


def test_a_topic_that_is_lost_is_published_again_from_the_tape_as_the_sentences_say(
    settings: Settings,
) -> None:
    tape = Tape(settings)
    tape.own("heartbeat")
    tape.take(*payloads(50))
    publish_all(settings)
    lost = topics.verify(settings, VENDOR).live[0]
    client.admin(settings).delete_topics([lost.name])[lost.name].result(10)
    with pytest.raises(Mismatch, match=f"topics forget {VENDOR} {lost.name}"):
        publish_all(settings)
    give_up(settings, VENDOR, lost.name)
    with pytest.raises(Mismatch, match="remove that file to publish the whole tape into it"):
        publish_all(settings)
    (settings.tape_dir(VENDOR, 1) / position.FILE).unlink()
    tape.end()
    publish_all(settings)
    assert check_grown(settings)[1] == 0
