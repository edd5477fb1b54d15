"""Runbooks of docs/operations.md, done as written on a deployment that has lost what they are about."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from tapedeck import endpoints
from tapedeck.embedded import supervisor
from tapedeck.log import client, topics
from tapedeck.settings import Settings, load
from tapedeck.simulate import capture, market
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store import library
from tapedeck.store.read import read
from tests import servers
from tests.cluster.road import PATIENCE, Road, cluster, settings_file, up
from tests.tapes import VENDOR, Running, until

pytestmark = [
    pytest.mark.skipif("FAULT_SEEDS" not in os.environ, reason="make faults: it takes minutes"),
    pytest.mark.timeout(0),
]
KINDS = ("trade", "quote", "book")


@pytest.fixture
def deck() -> Iterator[Settings]:
    with cluster(print, nodes=1) as settings:
        yield settings


def tapedeck(deck: Settings, *words: str, code: int = 0) -> Any:
    """What a verb answers as JSON."""
    done = servers.tapedeck(
        *words, "--json", state=deck.state, settings_file=settings_file(deck.state), timeout=1800
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def contents(deck: Settings, of: Slice) -> dict[tuple[str, str], pd.DataFrame]:
    """All that Arctic alone holds of a slice, but for where in the log it was."""
    found = {}
    for kind in KINDS:
        name = f"{VENDOR}.{kind}"
        for symbol in library.symbols_of(deck, name):
            frame = read(name, symbol, of.start, of.end, tail=False, settings=deck)
            found[kind, symbol] = frame.drop(columns=["topic", "offset"], errors="ignore")
    return found


def test_mongodb_is_lost_altogether(deck: Settings, tmp_path: Path) -> None:
    """Rebuilt from the log, from a collector's tape where the log has expired, and from loaded history."""
    noon = (time.time_ns() // (86_400 * NS) - 1) * 86_400 * NS + 43_200 * NS
    file = tmp_path / "yesterday.zst"
    capture.write(file, market.generate(VENDOR, ["A", "B"], 200.0, 60, 3, noon))
    begun = time.time_ns()
    with Road(deck, rate=1000) as road:
        assert tapedeck(deck, "load", VENDOR, str(file))["messages"] == 12_000
        until(lambda: road.is_caught_up(road.standing()), PATIENCE)
        time.sleep(20)  # so much of a market
        road.finish()
    live, old = Slice(begun, time.time_ns()), Slice(noon, noon + 120 * NS)
    tapedeck(deck, "backfill", VENDOR, *map(format_time, (old.start, old.end)))
    before = [contents(deck, of) for of in (live, old)]
    assert sum(map(len, before[1].values())) >= 12_000

    expire(deck)
    os.kill(record(deck, supervisor.NAME), signal.SIGKILL)
    os.kill(record(deck, "mongod"), signal.SIGKILL)
    shutil.rmtree(deck.state / "mongod")
    up(deck.state, "--only", "mongo")
    place = settings_file(deck.state)
    place.write_text(
        place.read_text()
        + f'[[vendors.{VENDOR}.history]]\ntype = "tape"\nat = "{deck.tape_dir(VENDOR, 1)}"\n'
        + f'[[vendors.{VENDOR}.history]]\ntype = "tape"\nat = "{deck.tape_dir(VENDOR, 2)}"\n'
    )
    lost = endpoints.resolve(load({"TAPEDECK_SETTINGS": str(place)}))
    for of in (live, old):
        tapedeck(lost, "backfill", VENDOR, *map(format_time, (of.start, of.end)))
    after = [contents(lost, of) for of in (live, old)]
    for held, had in zip(after, before, strict=True):
        assert held.keys() == had.keys()
        for key, frame in had.items():
            ours = held[key]
            assert len(ours) == len(frame), key
            pd.testing.assert_frame_equal(
                ours.drop(columns=["src"], errors="ignore"), frame.drop(columns=["src"], errors="ignore")
            )


def record(deck: Settings, name: str) -> int:
    """The pid of an embedded server."""
    found = endpoints.read_server(deck, name)
    assert found is not None
    return found.pid


def expire(deck: Settings) -> None:
    """Let Kafka delete the first half of each live partition."""
    admin: AdminClient = client.admin(deck)
    pins = topics.verify(deck, VENDOR).live
    ends = client.bounds(deck, [(pin.name, p) for pin in pins for p in range(pin.partitions)])
    asked = [TopicPartition(name, p, (low + high) // 2) for (name, p), (low, high) in ends.items()]
    for done in admin.delete_records(asked).values():
        done.result(60)


def test_a_site_is_lost_with_kafka_and_mongodb(deck: Settings, tmp_path: Path) -> None:
    """The other site has a collector's tape, and becomes the whole deployment."""
    with Road(deck, rate=500) as road:
        until(lambda: road.is_caught_up(road.standing()), PATIENCE)
        time.sleep(10)  # so much of a market
        counted = road.finish()
    tape = deck.tape_dir(VENDOR, 2)
    with cluster(print, nodes=1) as other:
        kept = other.tape_dir(VENDOR, 2)
        shutil.copytree(tape, kept)
        (kept / "position.json").unlink()
        begun = time.time_ns()
        words = {"TAPEDECK_SETTINGS": str(settings_file(other.state))}
        with (
            Running(other, "write", VENDOR, **words) as writer,
            Running(other, "collect", VENDOR, "--src", "2", **words) as collector,
        ):
            until(lambda: stored(other) >= counted["sent"], PATIENCE)
            print(f"{counted['sent']:,} messages back after {(time.time_ns() - begun) / NS:.1f} s")
            assert collector.end() == 0, collector.said
            assert writer.end() == 0, writer.said
        assert stored(other) == counted["sent"]


def stored(deck: Settings) -> int:
    """Messages in Arctic's documents, of the kinds that a market has."""
    made = library.ensure(deck, VENDOR)
    return sum(d["kept"]["n"] for kind in KINDS for d in made[kind].collection.find({}, {"kept.n": 1}))


def test_a_flood_of_poison_holds_nobody_up(deck: Settings) -> None:
    """Into the topic, past tapedeck: entered by place, and what is right beside it is all there."""
    with Road(deck, rate=500) as road:
        until(lambda: road.is_caught_up(road.standing()), PATIENCE)
        pin = topics.verify(deck, VENDOR).live[0]
        producer = client.producer(deck)
        for i in range(50_000):
            producer.produce(
                pin.name, b"\xc1 no message", partition=i % pin.partitions,
                timestamp=time.time_ns() // 1_000_000,
            )  # fmt: skip
            if i % 1000 == 0:
                producer.flush(60)
        assert producer.flush(60) == 0
        begun = time.monotonic()
        until(lambda: road.is_caught_up(road.standing()), PATIENCE)
        print(f"no lag {time.monotonic() - begun:.1f} s after 50,000 records that are no messages")
        said = tapedeck(deck, "status")
        assert sum(one["undecodable"] for one in said["writers"]) == 50_000
        start = format_time(time.time_ns() - 600 * NS)
        assert tapedeck(deck, "cat", VENDOR, start, "now", "--count")["undecodable"] == 50_000
        found = Counter(
            one["reason"] for one in tapedeck(deck, "gaps", VENDOR, start, "now", code=1)["findings"]
        )
        assert found
        feed = road.stop_feed()
        wanted = feed
        until(lambda: stored(deck) == wanted, PATIENCE)
