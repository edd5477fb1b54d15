"""A vendor grows while its feed runs, and the publisher is killed before and after each step of its move."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tapedeck.checks import reconcile
from tapedeck.checks.gap_check import gap_check
from tapedeck.jobs.origin import Origin
from tapedeck.log import growth, meta, topics
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
from tests.tapes import VENDOR, Running, Tape, check_grown, payloads, publish_all, taped, until

STEPS = ("moved life", "closed life", "moved position")
KILLED = """
import os, signal, sys
from tapedeck import settings
from tapedeck.log import meta
from tapedeck.tape import position
from tapedeck.tape.ending import Ending
from tapedeck.tape.publish import publish

step, when, old = sys.argv[1:]
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

if step == "moved position":
    position.save = dying(lambda _, new, *part: new.topic_id != old, save)
else:
    meta.put = dying(life, put)
publish(settings.load(), "binance_usdm", 1, Ending().listen(), print)
"""
"""A publisher that is killed before or after it has done one step of a move."""


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
    words = [sys.executable, "-c", KILLED, step, when, old.id]
    died = subprocess.run(words, env=environment(settings), timeout=120, check=False)
    assert died.returncode == -signal.SIGKILL
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
def test_a_vendor_grows_under_its_feed_and_everybody_has_every_message_once(
    settings: Settings, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    seconds = 10
    path, ledger = tmp_path / "market.zst", tmp_path / "ledger.jsonl"
    made = market.generate(VENDOR, ["BTCUSDT", "A", "B", "C", "D"], 500.0, seconds, seed, 1_723_118_400 * NS)
    capture.write(path, made)
    mongo = {"TAPEDECK_MONGO__URI": settings.mongo.uri, "TAPEDECK_MONGO__DATABASE": settings.mongo.database}
    start = time.time_ns()
    tailed: Counter[Ids] = Counter()
    with (
        Running(settings, "write", VENDOR, **mongo) as writer,
        Running(settings, "collect", VENDOR, "--src", "1") as first,
        Running(settings, "collect", VENDOR, "--src", "2") as second,
    ):
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
                new = growth.grow(settings, VENDOR, count).live[-1]
                time.sleep(dice.uniform(0.0, 1.5))
                victim = dice.choice([first, second])
                if (pid := victim.halves().get("publisher")) is not None:
                    os.kill(pid, signal.SIGKILL)
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


def _is_in(settings: Settings, src: int, topic_id: str) -> bool:
    found = position.load(settings.tape_dir(VENDOR, src))
    return found is not None and found.topic_id == topic_id


def _follow(settings: Settings, start: int, to: Counter[Ids]) -> None:
    for batch in timeline(VENDOR, settings).tail(start).batches():
        to.update(
            (type(one).__name__.lower(), one.symbol, one.seq) for one in batch if not isinstance(one, Status)
        )
