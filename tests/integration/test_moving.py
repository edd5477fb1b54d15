"""A publisher whose vendor grows: its life closes in the old topic and goes on in the new, losing nothing."""

from __future__ import annotations

import pytest

from tapedeck.errors import Mismatch
from tapedeck.log import client, growth, meta, topics
from tapedeck.log.giving_up import give_up
from tapedeck.log.meta import Life, TopicPin
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store.rebuild import rebuild
from tapedeck.tape import position
from tapedeck.tape.renormalise import check, renormalise
from tests.tapes import VENDOR, Tape, check_grown, messages, payloads, publish_all, publishing, taped, until


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


def grown(settings: Settings) -> tuple[Tape, Life]:
    """A tape whose collector has moved, is not at its end and speaks on, and its life in the newest topic."""
    tape = Tape(settings)
    tape.own("heartbeat")
    tape.take(*payloads(50))
    publish_all(settings)
    growth.grow(settings, VENDOR, 8)
    tape.take(*payloads(50, seed=2))
    tape.own("heartbeat")
    tape.take(*payloads(50, seed=3))
    publish_all(settings)
    return tape, lives(settings)[-1]


def test_a_slice_across_the_move_is_published_again_from_the_tape_and_void_in_both_topics(
    settings: Settings,
) -> None:
    tape, moved = grown(settings)
    tape.take(*payloads(50, seed=4))
    end = tape.end()
    publish_all(settings)
    said = taped(settings)
    line = timeline(VENDOR, settings)
    stood = list(line.between(tape.life, end + 1))
    for of in (Slice(said[20].ts_recv, said[-20].ts_recv), Slice(tape.life, end)):
        done = renormalise(settings, VENDOR, check(VENDOR, tape.folder), of)
        inside = [one for one in said if of.start <= one.ts_recv < of.end]
        assert {one.ts_recv < moved.since for one in inside} == {False, True}
        assert sum(done.messages.values()) == len(inside)
        assert list(line.between(tape.life, end + 1)) == stood
    built = rebuild(settings, VENDOR, Slice(tape.life, end + 1))
    assert (built.messages, built.voided) == (len(said), 2 * len(said) - 40)


def lose(settings: Settings, pin: TopicPin) -> None:
    """The topic is deleted and given up, and the collector's position removed."""
    client.admin(settings).delete_topics([pin.name])[pin.name].result(10)
    give_up(settings, VENDOR, pin.name, lambda seconds: None)
    topics._verified.clear()
    (settings.tape_dir(VENDOR, 1) / position.FILE).unlink()


def test_where_the_old_topic_is_lost_the_new_one_goes_on_from_the_move_and_what_is_gone_is_said(
    settings: Settings,
) -> None:
    tape, moved = grown(settings)
    old, new = topics.verify(settings, VENDOR).live
    lose(settings, old)
    tape.take(*payloads(50, seed=4))
    end = tape.end()
    assert any("goes on in" in line for line in publish_all(settings))
    logs = messages(settings, new)
    assert all(one.ts_recv >= moved.since for log in logs for one in log)
    assert [life.since for life in lives(settings) if life.topic_id == new.id] == [moved.since]
    line = timeline(VENDOR, settings)
    plan = line.plan(tape.life, moved.since)
    assert (plan.complete, plan.expired) == (False, (0, 1, 2, 3))
    assert any(f"{old.name} was given up, with what it held" in note for note in plan.notes)
    later = line.plan(moved.since + 31 * NS, moved.since + 32 * NS)
    assert (later.notes, later.expired) == ((), ())
    said = [one for one in taped(settings, 1) if one.ts_recv <= end]
    before = [one for one in said if one.ts_recv < moved.since]
    assert line.count(tape.life, end + 1).messages == len(said) - len(before)
    renormalise(settings, VENDOR, check(VENDOR, tape.folder), Slice(tape.life, moved.since))
    assert line.count(tape.life, end + 1).messages == len(said)


def test_where_the_newest_topic_is_lost_the_tape_goes_on_in_the_old_one_and_is_waited_for(
    settings: Settings,
) -> None:
    tape, moved = grown(settings)
    old, new = topics.verify(settings, VENDOR).live
    lose(settings, new)
    line = timeline(VENDOR, settings)
    assert not line.plan(moved.since, moved.since + NS).complete
    tape.take(*payloads(50, seed=4))
    last = tape.own("heartbeat")
    publish_all(settings)
    assert [life.closed for life in lives(settings) if life.topic_id == old.id] == [None]
    behind = line.plan(tape.life, last + NS)
    assert not behind.complete
    assert behind.expired == ()
    tape.take(*payloads(50, seed=5))
    end = tape.end()
    publish_all(settings)
    assert [life.closed for life in lives(settings) if life.topic_id == old.id] == [end]
    count, _ = check_grown(settings, resends=True)
    assert line.plan(tape.life, end + 1).complete
    assert line.count(tape.life, end + 1).messages == count
    growth.grow(settings, VENDOR, 16)  # and it may grow again
    assert line.count(tape.life, end + 1).messages == count
