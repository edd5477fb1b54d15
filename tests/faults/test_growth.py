"""A vendor grows while its feed runs; publishers, who lets it grow, and the writer are killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tapedeck.checks import reconcile
from tapedeck.checks.gap_check import gap_check
from tapedeck.jobs.origin import Origin
from tapedeck.log import growth, meta, topics
from tapedeck.log.meta import TopicPin
from tapedeck.log.timeline import timeline
from tapedeck.message import Status
from tapedeck.settings import Settings
from tapedeck.simulate import capture, market
from tapedeck.slices import NS, Slice
from tapedeck.store.rebuild import rebuild
from tapedeck.tape import position
from tests.faults import SEEDS
from tests.published import environment
from tests.road import Ids, await_exactly, await_stored, expected
from tests.tapes import (
    VENDOR,
    Running,
    Tape,
    all_publishing,
    check_grown,
    payloads,
    publish_all,
    publishing,
    shared,
    taped,
    until,
)

STEPS = ("moved life", "closed life", "moved position")
OTHERS = ("stands", "left")
"""What a publisher that does not lead says of the move."""
KILLED = """
import os, signal, sys
from tapedeck import settings
from tapedeck.log import meta
from tapedeck.tape import position
from tapedeck.tape.ending import Ending
from tapedeck.tape.publish import publish

step, when, old, part = sys.argv[1:]
put, save = meta.put, position.save

def dying(at, act):
    def perform(*args):
        if at(*args) and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        act(*args)
        if at(*args):
            os.kill(os.getpid(), signal.SIGKILL)
    return perform

def life(_, *records):
    return any(bool(r.moved) if step == "moved life" else r.closed is not None for r in records)

def word(_, new, *part):
    if step == "moved position":
        return new.topic_id != old
    return new.meeting is not None and new.meeting.left == (step == "left")

if step in ("moved position", "stands", "left"):
    position.save = dying(word, save)
else:
    meta.put = dying(life, put)
publish(settings.load(), "binance_usdm", 1, Ending().listen(), print, part=int(part))
"""
"""A publisher that is killed before or after it has done one step of a move."""
GROWING = """
import os, signal, sys
from tapedeck.cli.main import run
from tapedeck.log import meta, topics

step, when = sys.argv[1:3]
put, create = meta.put, topics.create

def dying(act):
    def perform(*args, **more):
        if when == "before" and not more:
            os.kill(os.getpid(), signal.SIGKILL)
        act(*args, **more)
        if not more:
            os.kill(os.getpid(), signal.SIGKILL)
    return perform

if step == "pin":
    meta.put = dying(put)
else:
    topics.create = dying(create)
sys.exit(run(["topics", "grow", *sys.argv[3:]]))
"""
"""`tapedeck topics grow`, killed before or after it has made the topic or pinned it; asking Kafka only
whether it would make it kills nobody."""


def killed(settings: Settings, program: str, *words: str) -> None:
    """Run the program until it kills itself."""
    died = subprocess.run(
        [sys.executable, "-c", program, *words], env=environment(settings), timeout=300, check=False
    )
    assert died.returncode == -signal.SIGKILL


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_publisher_that_is_killed_at_any_step_of_its_move_ends_it_the_next_time(
    settings: Settings, step: str, when: str
) -> None:
    tape = Tape(settings)
    tape.take(*payloads(300))
    tape.own("heartbeat")
    publish_all(settings)
    [old] = topics.verify(settings, VENDOR).live
    growth.grow(settings, VENDOR, 8)
    tape.take(*payloads(300, seed=2))
    tape.own("heartbeat")
    tape.take(*payloads(300, seed=3))
    killed(settings, KILLED, step, when, old.id, "0")
    beats = [life.since for life in meta.read(settings).lives if life.moved]
    tape.own("heartbeat")
    tape.take(*payloads(300, seed=4))
    end = tape.end()
    publish_all(settings)
    count, resent = check_grown(settings)
    assert (count, resent) == (len({one.ts_recv for one in taped(settings)}), 0)
    gone, went_on = meta.read(settings).lives
    assert gone.closed == went_on.since
    assert (went_on.moved, went_on.closed) == (tape.life, end)
    assert beats in ([], [went_on.since])  # once it is entered, the stamp stands
    reading = timeline(VENDOR, settings).between(tape.life, end + 1)
    assert reading.plan.complete
    assert (reading.count().messages, reading.count().duplicates) == (count, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_several_publishers_one_that_is_killed_at_any_step_of_their_move_ends_it_the_next_time(
    settings: Settings, seed: int
) -> None:
    step, when = [(step, when) for step in (*OTHERS, *STEPS) for when in ("after", "before")][seed * 3 % 10]
    dice = random.Random(seed)
    publishers = dice.choice((2, 3))
    victim = 0 if step in STEPS else dice.randrange(1, publishers)
    tape = Tape(settings)
    tape.take(*payloads(300))
    tape.own("heartbeat")
    with all_publishing(settings, publishers):
        pass
    [old] = topics.verify(settings, VENDOR).live
    growth.grow(settings, VENDOR, 12)
    tape.take(*payloads(300, seed=2))
    tape.own("heartbeat")
    tape.take(*payloads(300, seed=3))
    deck = shared(settings, publishers)
    with ExitStack() as stack:
        for part in set(range(publishers)) - {victim}:
            stack.enter_context(publishing(deck, part=part, patience=1.0))
        killed(deck, KILLED, step, when, old.id, str(victim))
    tape.own("heartbeat")
    tape.take(*payloads(300, seed=4))
    end = tape.end()
    publishers = dice.choice((1, 2, 3))
    with all_publishing(settings, publishers):
        pass
    count, resent = check_grown(settings, resends=step == "stands")  # it had not kept yet how far it was
    assert count == len({one.ts_recv for one in taped(settings)})
    assert not resent or step == "stands"
    gone, went_on = meta.read(settings).lives
    assert (gone.closed, went_on.moved, went_on.closed) == (went_on.since, tape.life, end)
    reading = timeline(VENDOR, settings).between(tape.life, end + 1)
    assert reading.plan.complete
    assert reading.count().messages == count


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["topic", "pin"])
def test_who_lets_a_vendor_grow_and_is_killed_at_any_step_is_run_again(
    settings: Settings, step: str, when: str
) -> None:
    topics.ensure(settings, VENDOR)
    killed(settings, GROWING, step, when, VENDOR, "8")
    stands = (step, when) == ("pin", "after")
    assert [pin.partitions for pin in topics.verify(settings, VENDOR).live] == [4, 8][: 1 + stands]
    for _ in range(2):
        with Running(settings, "topics", "grow", VENDOR, "8") as again:
            assert again.process.wait(120) == 0, again.said
        assert [pin.partitions for pin in topics.verify(settings, VENDOR).live] == [4, 8]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_vendor_grows_under_its_feed_and_everybody_has_every_message_once(
    settings: Settings, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    seconds = 10
    path, ledger = tmp_path / "market.zst", tmp_path / "ledger.jsonl"
    made = market.generate(VENDOR, ["BTCUSDT", "A", "B", "C", "D"], 500.0, seconds, seed, 1_723_118_400 * NS)
    capture.write(path, made)
    mongo = {"TAPEDECK_MONGO__URI": settings.mongo.uri, "TAPEDECK_MONGO__DATABASE": settings.mongo.database}
    deck = shared(settings, dice.choice((1, 2)))
    start = time.time_ns()
    tailed: Counter[Ids] = Counter()
    with (
        ExitStack() as stack,
        Running(deck, "collect", VENDOR, "--src", "1") as first,
        Running(deck, "collect", VENDOR, "--src", "2") as second,
    ):
        writer = stack.enter_context(Running(settings, "write", VENDOR, **mongo))
        until(lambda: len(first.halves()) == 2 and len(second.halves()) == 2, 120)
        until(lambda: bool(meta.read(settings).pins), 120)
        until(lambda: len({life.src for life in meta.read(settings).lives}) == 2, 120)
        following = threading.Thread(target=_follow, args=(settings, start, tailed), daemon=True)
        following.start()
        with Running(
            settings, "simulate", VENDOR, str(path), "--ledger", str(ledger), "--json",
            "--wait-subscribers", "2",
        ) as player:  # fmt: skip
            time.sleep(dice.uniform(0.5, 2.0))
            counts = [8, 24] if dice.random() < 0.5 else [12]
            for count in counts:
                new = _grow(settings, count, dice)
                time.sleep(dice.uniform(0.0, 1.5))
                victim = dice.choice([first, second])
                if (pid := victim.halves().get("publisher")) is not None:
                    os.kill(pid, signal.SIGKILL)
                if dice.random() < 0.5:
                    writer.process.kill()
                    writer.process.wait()
                    writer = stack.enter_context(Running(settings, "write", VENDOR, **mongo))
            assert player.process.wait(120) == 0, player.said
        until(lambda: all(_is_in(settings, src, new.id) for src in (1, 2)), 120)
        assert (first.end(), second.end()) == (0, 0), first.said + second.said
        of = Slice(start, time.time_ns())
        sent = expected(VENDOR, path, ledger)
        await_stored(settings, writer, sent, of, 120)
        await_exactly(tailed.copy, writer, sent, 120)
        assert writer.end() == 0, writer.said
    whole = timeline(VENDOR, settings).between(of.start, of.end)
    assert whole.plan.complete, whole.plan.notes
    statuses = len([one for src in (1, 2) for one in taped(settings, src) if isinstance(one, Status)])
    assert whole.count().messages == sent.total() + statuses
    done = rebuild(settings, VENDOR, of)
    assert (done.written, done.messages) == (0, sent.total() + statuses)
    report = reconcile.reconcile(settings, VENDOR, of, origin=Origin(who="test", started=time.time_ns()))
    assert [one for one in report.findings if one.check == "windows"] == []
    found = gap_check(settings, VENDOR, of).findings
    assert [one for one in found if one.check in ("sequence", "publish", "expired", "undecodable")] == []


def _grow(settings: Settings, count: int, dice: random.Random) -> TopicPin:
    """`tapedeck topics grow`, killed at any moment of its time, until it has said that it is done."""
    while True:
        with Running(settings, "topics", "grow", VENDOR, str(count)) as grower:
            if dice.random() < 0.5:
                time.sleep(dice.uniform(0.2, 3.0))
                grower.process.kill()
            if grower.process.wait(120) == 0:
                return topics.verify(settings, VENDOR).live[-1]
            assert grower.process.returncode == -signal.SIGKILL, grower.said


def _is_in(settings: Settings, src: int, topic_id: str) -> bool:
    found = position.load(settings.tape_dir(VENDOR, src))
    return found is not None and found.topic_id == topic_id


def _follow(settings: Settings, start: int, to: Counter[Ids]) -> None:
    for batch in timeline(VENDOR, settings).tail(start).batches():
        to.update(
            (type(one).__name__.lower(), one.symbol, one.seq) for one in batch if not isinstance(one, Status)
        )
