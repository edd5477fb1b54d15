"""Topics that are not as they were pinned: every process refuses them in a sentence, and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import NewPartitions

import tapedeck
from tapedeck.buses.captured import line_of
from tapedeck.cli.main import run
from tapedeck.errors import Mismatch
from tapedeck.jobs import backfill, receipts, replay
from tapedeck.log import client, topics
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import watch
from tapedeck.store.writer import write
from tests.published import T0, VENDOR, Published, environment, trade
from tests.tapes import Tape, payloads, publish_all

OF = Slice(T0, T0 + 60 * NS)


def made_again(log: Published) -> None:
    """The live topic is deleted and made again by the same name."""
    log.delete()
    admin = client.admin(log.settings)
    topics.create(admin, log.settings, log.live.name, log.live.partitions, {})
    topics.await_topic(admin, log.settings, log.live.name)


def resized(log: Published) -> None:
    """Somebody gave the live topic more partitions."""
    admin = client.admin(log.settings)
    more = NewPartitions(log.live.name, 2 * log.live.partitions)
    admin.create_partitions([more])[log.live.name].result(30)
    deadline = time.monotonic() + 60
    while topics.describe(admin, [log.live.name])[log.live.name][1] == log.live.partitions:
        assert time.monotonic() < deadline, "the topic has not grown"
        time.sleep(0.1)


OTHERWISE = "pinned with another partitioner"
DAMAGES: dict[str, tuple[Callable[[Published], None], str]] = {
    "gone": (Published.delete, r"the topic \S+ is gone"),
    "made again": (made_again, r"was deleted (and|or) made again"),
    "resized": (resized, r"has 8 partitions but was made with 4"),
    "LogAppendTime": (
        lambda log: log.configure(message_timestamp_type="LogAppendTime"),
        r"has message\.timestamp\.type=LogAppendTime but needs CreateTime",
    ),
    "compacted": (
        lambda log: log.configure(cleanup_policy="compact"),
        r"has cleanup\.policy=compact but needs delete",
    ),
    "expiring backfill": (
        lambda log: log.configure(log.topics.backfill, retention_ms=86_400_000),
        r"\.backfill has retention\.ms=86400000 but needs -1",
    ),
    "expiring quarantine": (
        lambda log: log.configure(log.topics.quarantine, retention_bytes=1_000_000),
        r"\.quarantine has retention\.bytes=1000000 but needs -1",
    ),
    OTHERWISE: (lambda log: None, r"is pinned with the partitioner crc32, and this tapedeck"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_process_refuses_a_topic_that_is_not_as_pinned(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    damage: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(watch, "SECONDS", 0.1)  # how long a broker that just came up is given
    with monkeypatch.context() as then:
        if damage == OTHERWISE:
            then.setattr(topics, "PARTITIONER", "crc32")
        log = Published(settings)
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(10)))
    tape = Tape(settings)
    tape.take(*payloads(10))
    captured = tmp_path / "captured.txt"
    captured.write_bytes(b"".join(line_of(T0 + i, p) for i, p in enumerate(payloads(10))))
    spoil, sentence = DAMAGES[damage]
    spoil(log)
    line = timeline(VENDOR, settings)
    parquet = f"parquet:{tmp_path / 'out'}"
    processes: dict[str, Callable[[], object]] = {
        "collector": lambda: publish_all(settings),
        "writer": lambda: write(settings, VENDOR, lambda: False, print, lambda _: None, "a test"),
        "load": lambda: tapedeck.load(VENDOR, captured, settings=settings),
        "reader": lambda: list(line.between(OF.start, OF.end)),
        "tail": lambda: next(iter(line.tail(T0))),
        "backfill": lambda: backfill.prepare(settings, VENDOR, OF),
        "replay": lambda: replay.prepare(settings, VENDOR, OF, parquet),
        "gap check": lambda: tapedeck.gaps(VENDOR, OF.start, OF.end, settings=settings),
        "reconcile": lambda: tapedeck.reconcile(VENDOR, OF.start, OF.end, settings=settings),
    }
    for process in processes.values():
        with pytest.raises(Mismatch, match=sentence):
            process()
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    capfd.readouterr()
    for words in (("cat", VENDOR, "8h", "now"), ("topics", VENDOR)):
        assert run(words) == 3
        out, err = capfd.readouterr()
        assert (out, err.count("\n"), err.startswith("tapedeck: the topic ")) == ("", 1, True)
    assert receipts.recent(settings) == []
    assert not (tmp_path / "out").exists()
    assert not list(settings.tape_dir(VENDOR, 1).glob("position*"))  # nothing counts as published


def test_a_topic_set_back_as_its_sentence_says_is_taken_again(settings: Settings) -> None:
    log = Published(settings)
    log.publish(trade(T0, 1))
    log.configure(message_timestamp_type="LogAppendTime")
    with pytest.raises(Mismatch, match=r"--add-config message\.timestamp\.type=CreateTime"):
        tapedeck.timeline(VENDOR, settings).between(T0, T0 + NS)
    log.configure(message_timestamp_type="CreateTime")
    assert len(list(tapedeck.timeline(VENDOR, settings).between(T0, T0 + NS))) == 1
