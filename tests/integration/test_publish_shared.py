"""Several publishers to one tape: together they say what one says, whoever is behind or begins again."""

from __future__ import annotations

import json
import os
import signal
from itertools import cycle
from urllib.request import urlopen

import pytest

from tapedeck.errors import BadInput
from tapedeck.log import client, growth, meta, topics
from tapedeck.log.meta import TopicPin
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings, Vendor
from tapedeck.tape import lock, position
from tests.tapes import (
    VENDOR,
    Running,
    Tape,
    all_publishing,
    check_grown,
    check_log,
    messages,
    payloads,
    publish_all,
    publishing,
    records,
    shared,
    until,
)


def test_two_publish_what_one_would_each_line_once_and_the_life_is_closed_behind_both(
    settings: Settings,
) -> None:
    tape = Tape(settings)
    tape.own("connect", why="here")
    sent = payloads(3000)
    tape.take(*sent[:1000])
    tape.own("heartbeat")
    with all_publishing(settings, 2) as said:
        tape.take(b"rubbish", *sent[1000:], b"rubbish")
        tape.own("heartbeat")
        end = tape.end()
    assert said == []
    count, resent = check_log(settings)
    assert (count, resent) == (3004, 0), "the connection's status is in each partition"
    (life,) = meta.read(settings).lives
    assert life.closed == end
    pin = topics.verify(settings, VENDOR).live[0]
    ends = {p: sum(len(one.values) for one in part) for p, part in enumerate(records(settings, pin))}
    assert life.closing == ends, "behind the last goodbye of both"
    quarantine = topics.verify(settings, VENDOR).quarantine
    assert sum(len(part.values) for each in records(settings, quarantine) for part in each) == 2
    found = position.load(tape.folder)
    assert found is not None
    assert len({lane.place for lane in found.lanes}) == 1, "all are through"


def test_how_many_there_are_may_change_at_any_start_and_each_goes_on_where_its_lanes_were(
    settings: Settings,
) -> None:
    tape, sent = Tape(settings), payloads(4000)
    for turn, publishers in enumerate((1, 2, 3, 1)):
        tape.take(*sent[1000 * turn : 1000 * (turn + 1)])
        tape.own("heartbeat")
        with all_publishing(settings, publishers) as said:
            pass
        assert said == []
        names = {path.name for path in tape.folder.glob("position*.json")}
        assert names == {position.file_of(part) for part in range(publishers)}
    tape.end()
    publish_all(settings)
    assert check_log(settings) == (4000, 0)


def test_one_that_is_behind_holds_up_the_goodbye_and_nothing_else(settings: Settings) -> None:
    tape, deck = Tape(settings), shared(settings, 2)
    tape.take(*payloads(2000))
    end = tape.end()
    pin = topics.ensure(settings, VENDOR).live[0]
    with publishing(deck, part=0, patience=60.0):
        until(lambda: bool(meta.read(settings).lives), 60)
        until(lambda: any(m for p in (0, 2) for m in messages(settings, pin)[p] if m.ts_recv == end), 60)
        assert meta.read(settings).lives[0].closed is None
        with publishing(deck, part=1):
            pass
    assert meta.read(settings).lives[0].closed == end
    assert check_log(settings) == (2000, 0)


def test_one_that_comes_first_waits_until_who_leads_has_registered_the_life(settings: Settings) -> None:
    tape, deck = Tape(settings), shared(settings, 2)
    tape.take(*payloads(500))
    tape.end()
    pin = topics.ensure(settings, VENDOR).live[0]
    with publishing(deck, part=1, patience=0.5) as said:
        pass
    assert "Kafka has not acknowledged everything" in said[-1]
    assert sum(map(len, messages(settings, pin))) == 0
    assert not meta.read(settings).lives
    with all_publishing(settings, 2):
        pass
    assert check_log(settings) == (500, 0)


def test_a_collectors_publishers_are_each_started_again_and_said_goodbye_to(settings: Settings) -> None:
    deck = shared(settings, 2)
    record = deck.state / "live" / f"collector-{VENDOR}-1.json"

    def pids() -> list[int]:
        found = json.loads(record.read_bytes())["publisher_pids"] if record.exists() else []
        return [pid for pid in found if pid]

    def through() -> int:
        found = position.load(deck.tape_dir(VENDOR, 1))
        return sum(lane.sent for lane in found.lanes) if found else 0

    with Running(deck, "collect", VENDOR) as collector:
        until(lambda: len(pids()) == 2 and lock.is_held(deck.tape_dir(VENDOR, 1), "taper"), 60)
        market = ("simulate", VENDOR, "--symbols", "8", "--rate", "2000", "--duration", "6", "--json")
        with Running(deck, *market) as sender:
            for part in (1, 0):
                until(lambda part=part: through() >= 1000 * (2 - part), 60)  # type: ignore[misc]
                killed = pids()[part]
                os.kill(killed, signal.SIGKILL)
                until(lambda killed=killed: len(pids()) == 2 and killed not in pids(), 60)  # type: ignore[misc]
            assert sender.process.wait(60) == 0, sender.said
        sent = int(json.loads(sender.said.splitlines()[-1])["totals"]["sent"])
        address = json.loads(record.read_bytes())["health"]
        text = urlopen(f"{address}/metrics", timeout=10).read().decode()  # noqa: S310 - our own
        assert collector.end() == 0, collector.said
    for role in ("taper", "publisher", "publisher-1"):
        assert f'tapedeck_collector_starts_total{{role="{role}",src="1",vendor="{VENDOR}"}}' in text
    count, _ = check_log(deck)
    assert sent <= count <= sent + 20
    assert [life.closed is None for life in meta.read(deck).lives] == [False]
    assert len(list(deck.tape_dir(VENDOR, 1).glob("position*.json"))) == 2


def all_in(settings: Settings, publishers: int, pin: TopicPin) -> bool:
    """Whether each publisher's own word is of this topic."""
    found = [position.of(settings.tape_dir(VENDOR, 1), part) for part in range(publishers)]
    return all(one is not None and one.topic_id == pin.id for one in found)


def ends(settings: Settings, pin: TopicPin) -> dict[int, int]:
    places = [(pin.name, p) for p in range(pin.partitions)]
    return {p: high for (_, p), (_, high) in client.bounds(settings, places).items()}


@pytest.mark.parametrize("publishers", [2, 3])
def test_all_move_at_one_heartbeat_while_the_feed_runs(settings: Settings, publishers: int) -> None:
    tape, made = Tape(settings), cycle(payloads(500))
    with all_publishing(settings, publishers):
        tape.own("heartbeat")
        tape.take(*(next(made) for _ in range(500)))
        until(lambda: bool(meta.read(settings).lives), 120)
        new = growth.grow(settings, VENDOR, 12).live[-1]

        def moved() -> bool:
            tape.take(*(next(made) for _ in range(5)))
            tape.own("heartbeat")
            return all_in(settings, publishers, new)

        until(moved, 120)
        tape.take(b"rubbish", *(next(made) for _ in range(500)))
        end = tape.end()
    old, went_on = meta.read(settings).lives
    assert (old.closed, went_on.moved, went_on.closed) == (went_on.since, tape.life, end)
    was = topics.verify(settings, VENDOR).live[0]
    assert old.closing == ends(settings, was), "behind the last goodbye of all"
    assert [log[-1].ts_recv for log in messages(settings, was)] == [old.closed] * 4
    assert went_on.closing == ends(settings, new)
    count, resent = check_grown(settings)
    assert resent == 0
    reading = timeline(VENDOR, settings).between(tape.life, end + 1)
    assert reading.plan.complete
    assert reading.count().messages == count


def test_one_that_is_far_ahead_when_the_vendor_grows_is_waited_for_and_nothing_comes_twice(
    settings: Settings,
) -> None:
    tape, deck = Tape(settings), shared(settings, 2)
    tape.take(*payloads(100))
    tape.own("heartbeat")
    with all_publishing(settings, 2):
        pass
    for seed in range(2, 8):
        tape.take(*payloads(100, seed=seed))
        tape.own("heartbeat")
    with publishing(deck, part=1):
        pass
    first, second = (position.of(tape.folder, part) for part in (0, 1))
    assert first is not None
    assert second is not None
    assert second.lanes[1].place > first.lanes[0].place
    new = growth.grow(settings, VENDOR, 8).live[-1]
    with all_publishing(settings, 2):
        until(lambda: (one := position.of(tape.folder, 0)) is not None and one.meeting is not None, 120)
        tape.take(*payloads(100, seed=8))
        tape.own("heartbeat")
        tape.take(*payloads(100, seed=9))
        tape.own("heartbeat")
        until(lambda: all_in(settings, 2, new), 120)
        tape.end()
    assert check_grown(settings)[1] == 0


def test_a_backlog_of_killed_lives_moves_as_one_and_how_many_publish_it_may_change(
    settings: Settings,
) -> None:
    first = Tape(settings)
    first.take(*payloads(100))
    with all_publishing(settings, 1):
        pass
    growth.grow(settings, VENDOR, 8)
    first.take(*payloads(200, seed=5))
    first.writer.close()  # killed before it beat: the next life moves
    tape = Tape(settings, stamps=first.stamps)
    tape.take(*payloads(300, seed=2))
    tape.own("heartbeat")
    tape.take(*payloads(300, seed=3))
    with all_publishing(settings, 3):
        pass
    growth.grow(settings, VENDOR, 16)
    tape.own("heartbeat")
    tape.take(*payloads(300, seed=4))
    tape.end()
    with all_publishing(settings, 2):
        pass
    count, resent = check_grown(settings)
    assert (count, resent) == (1200, 0)
    assert [life.moved for life in meta.read(settings).lives] == [0, 0, tape.life, tape.life]
    assert [life.closed is None for life in meta.read(settings).lives] == [True, False, False, False]


def test_a_publisher_without_a_partition_is_refused_with_what_to_do(settings: Settings) -> None:
    Tape(settings)
    with (
        pytest.raises(BadInput, match=r"5 publishers can't share the 4 partitions .*publishers to 4 or less"),
        publishing(shared(settings, 5), part=4),
    ):
        pass
    assert Vendor().publishers == 1
