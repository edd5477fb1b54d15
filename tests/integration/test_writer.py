"""The live writer: closed windows only, everything once, and the same documents as a rebuild makes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from msgspec import structs
from pymongo.errors import AutoReconnect

from tapedeck import message as m
from tapedeck.embedded.status import status
from tapedeck.errors import Mismatch, NothingRecorded
from tapedeck.log import client
from tapedeck.log.meta import TopicPin
from tapedeck.settings import Settings, Writer
from tapedeck.slices import NS, Slice
from tapedeck.store import (
    crew,
    database,
    documents,
    latency,
    library,
    mending,
    positions,
    share,
    undecodable,
)
from tapedeck.store.documents import Outcome
from tapedeck.store.latency import DAY
from tapedeck.store.positions import Position
from tapedeck.store.rebuild import rebuild
from tapedeck.store.report import Report
from tapedeck.store.writer import write
from tests.published import HOUR, T0, VENDOR, Published, environment, trade

OF = Slice(T0, T0 + HOUR)
MINUTE = 60 * NS


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Windows of a minute."""
    vendor = structs.replace(
        settings.vendors[VENDOR], window={"trade": 60, "quote": 60, "book": 120, "status": 60}
    )
    return structs.replace(
        settings, vendors={VENDOR: vendor}, writer=Writer(grace="120s", late_every="300ms", session="2s")
    )


@pytest.fixture
def log(settings: Settings) -> Published:
    return Published(settings)


class Live:
    """A writer in a thread of this process."""

    def __init__(self, settings: Settings, who: str = "test") -> None:
        self.ended, self.said, self.reports = threading.Event(), list[str](), Report()
        self.shown = 0
        self.failed: Exception | None = None
        self.thread = threading.Thread(target=self._run, args=(settings, who))
        self.thread.start()

    def _run(self, settings: Settings, who: str) -> None:
        def show(report: Report) -> None:
            self.reports = report
            self.shown += 1

        try:
            write(settings, VENDOR, self.ended.is_set, self.said.append, show, who)
        except Exception as e:
            self.failed = e

    def end(self) -> None:
        self.ended.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@contextmanager
def writing(settings: Settings) -> Iterator[Live]:
    live = Live(settings)
    try:
        yield live
    finally:
        live.end()
    assert live.failed is None, live.failed


def until(true: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def messages_of(settings: Settings, kind: str = "trade") -> int:
    one = library.ensure(settings, VENDOR)[kind]
    return sum(d["kept"]["n"] for d in one.collection.find({}, {"kept": 1}))


def windows_of(settings: Settings, kind: str = "trade") -> set[int]:
    one = library.ensure(settings, VENDOR)[kind]
    return {d["start"] * 1_000_000 for d in one.collection.find({}, {"start": 1})}


def next_of(settings: Settings, pin: TopicPin, p: int) -> int:
    """The saved position in a topic; 0 before the first."""
    saved = positions.read(settings, VENDOR).get((pin.id, p))
    return saved.next if saved else 0


def feed(first: int, count: int, src: int = 1, step: int = NS, shift: int = 0) -> list[m.Message]:
    """Trades of two symbols, one a second, numbered from `first`."""
    return [
        trade(T0 + i * step + shift + k, i + 1, symbol, src)
        for i in range(first, first + count)
        for k, symbol in enumerate(("BTCUSDT", "ETHUSDT"))
    ]


def is_as_rebuilt(settings: Settings, messages: int, **more: int) -> None:
    done = rebuild(settings, VENDOR, OF)
    assert (done.written, done.messages) == (0, messages)
    for name, value in more.items():
        assert getattr(done, name) == value, name


def test_a_window_is_written_once_all_collectors_have_shown_its_end_and_margin(
    settings: Settings, log: Published
) -> None:
    log.register(T0)
    log.register(T0, src=2)
    with writing(settings):
        log.publish(*feed(0, 200))
        log.beat(T0 + 200 * NS)
        log.beat(T0 + 95 * NS, src=2)
        until(lambda: windows_of(settings) == {T0})
        log.beat(T0 + 200 * NS, src=2)
        until(lambda: messages_of(settings) == 240)
        assert windows_of(settings) == {T0, T0 + MINUTE}
        log.close(T0 + 201 * NS)
        log.close(T0 + 201 * NS, src=2)
        until(lambda: messages_of(settings) == 400)
    is_as_rebuilt(settings, 400, duplicates=0)


def test_a_collector_that_is_down_is_waited_for_no_longer_than_the_grace(
    settings: Settings, log: Published
) -> None:
    log.register(T0)
    log.register(T0, src=2)
    with writing(settings):
        log.publish(*feed(0, 300))
        until(lambda: windows_of(settings) == {T0, T0 + MINUTE})


def test_resends_and_slow_sources_behind_closed_windows_are_mended(
    settings: Settings, log: Published
) -> None:
    log.register(T0)
    with writing(settings):
        log.publish(*feed(0, 300))
        log.beat(T0 + 400 * NS)
        until(lambda: messages_of(settings) == 600)
        log.publish(*feed(10, 5))  # resent
        log.publish(*feed(100, 20, src=2, shift=2000))  # copies
        log.publish(*feed(1000, 3, src=2, step=200_000_000))  # between 200 and 201 s, new
        until(lambda: messages_of(settings) == 606)
        log.close(T0 + 401 * NS)
    is_as_rebuilt(settings, 606, duplicates=50)


def test_a_window_of_nothing_but_copies_is_written_with_no_rows(settings: Settings, log: Published) -> None:
    log.register(T0)
    log.register(T0, src=2)
    with writing(settings):
        log.publish(trade(T0 + MINUTE - 1, 1), trade(T0 + MINUTE + 1, 1, src=2))
        for src in (1, 2):
            log.beat(T0 + 200 * NS, src=src)
        until(lambda: windows_of(settings) == {T0, T0 + MINUTE})
    is_as_rebuilt(settings, 1, duplicates=1)


def test_history_and_voids_join_the_windows_while_it_runs(settings: Settings, log: Published) -> None:
    log.register(T0)
    with writing(settings):
        log.publish(*feed(0, 100))
        log.beat(T0 + 100 * NS)
        log.load(feed(500, 120, src=1007, shift=500))  # later than all that is live
        log.load([trade(T0 + 30 * NS + 9, 9000, src=1008), trade(T0 + 99 * NS + 9, 9001, src=1008)])
        until(lambda: T0 + 540 * NS in windows_of(settings) or messages_of(settings) >= 121)
        log.load([m.Void("BTCUSDT", 0, T0, 0, 0, 1, T0 + 20 * NS, 0, "garbage")])
        log.close(T0 + 200 * NS)
        until(lambda: messages_of(settings) == 200 - 20 + 240 + 2)
    is_as_rebuilt(settings, 422, voided=20)


def test_what_is_let_go_at_the_memory_bound_is_written_all_the_same(
    settings: Settings, log: Published
) -> None:
    small = structs.replace(settings, writer=structs.replace(settings.writer, memory_bytes=2000))
    log.register(T0)
    with writing(small) as live:
        for first in range(0, 300, 50):
            said = len(live.said)
            log.publish(*feed(first, 50))
            log.beat(T0 + (first + 50) * NS)
            until(lambda said=said: len(live.said) > said)  # type: ignore[misc]
        log.close(T0 + 400 * NS)
        until(lambda: messages_of(settings) == 600)
    is_as_rebuilt(settings, 600, duplicates=0)


def test_stopped_and_started_anywhere_it_writes_each_message_once(settings: Settings, log: Published) -> None:
    log.register(T0)
    for first in range(0, 300, 60):
        with writing(settings) as live:
            log.publish(*feed(first, 60), *feed(max(0, first - 5), 5))
            log.beat(T0 + (first + 60) * NS)
            until(lambda live=live, first=first: live.reports.messages >= 120 or first == 0)  # type: ignore[misc]
    with writing(settings):
        log.close(T0 + 400 * NS)
        until(lambda: messages_of(settings) == 600)
    is_as_rebuilt(settings, 600)


def test_positions_rise_behind_documents_and_reach_the_end(settings: Settings, log: Published) -> None:
    log.register(T0)
    p = log.partition()
    with writing(settings):
        log.publish(*feed(0, 100))
        log.beat(T0 + 95 * NS)
        until(lambda: windows_of(settings) == {T0})
        until(lambda: next_of(settings, log.live, p) > 0)
        assert next_of(settings, log.live, p) == 1 + 60  # the first heartbeat, the first window's trades
        log.garbage(T0 + 96 * NS)
        log.close(T0 + 200 * NS)
        end = log.ends(log.live)[p]
        until(lambda: next_of(settings, log.live, p) == end)
    assert undecodable.count(settings, VENDOR, OF) == 1
    noted: dict[str, int] = {}
    for day in {(T0 + i * NS) // DAY * DAY for i in (0, 100)}:
        for hop, spread in latency.read(settings, VENDOR, day).items():
            noted[hop] = noted.get(hop, 0) + len(spread)
    assert noted == {"kafka": 200, "arctic": 4}  # two windows of a minute of either symbol


def test_where_no_collector_is_open_nobody_is_waited_for(settings: Settings, log: Published) -> None:
    with writing(settings):
        log.publish(*feed(0, 10))
        until(lambda: messages_of(settings) == 20)


def test_a_window_that_goes_on_is_written_while_nobody_does_and_stays_open_for_who_comes_back(
    settings: Settings, log: Published
) -> None:
    p = log.partition()
    with writing(settings) as live:
        for round in range(3):
            now = time.time_ns()
            log.register(now)
            log.publish(*(trade(now + k, 10 * round + k) for k in range(1, 11)))
            log.close(now + 11)
            until(lambda round=round: messages_of(settings) == 10 * (round + 1))  # type: ignore[misc]
        shown = live.shown
        until(lambda: live.shown > shown + 3)
        # Nothing was late, the same was not written again, and the first trade is not taken for safe.
        assert live.reports.mended == 0
        assert live.reports.written + live.reports.equal <= 6  # a trade window or two each round
        assert next_of(settings, log.live, p) == 1
    with writing(settings) as live:
        until(lambda: live.reports.messages == 30)
        now = time.time_ns()
        log.publish(trade(now, 100))
        until(lambda: messages_of(settings) == 31)
        assert live.reports.mended == 0


def test_writers_share_the_partitions_and_take_over_from_one_that_ends(
    settings: Settings, log: Published
) -> None:
    log.register(T0)
    with writing(settings) as stays:
        until(lambda: stays.reports.partitions == [0, 1, 2, 3])
        goes = Live(settings, "goes")
        try:
            until(lambda: len(goes.reports.partitions) == len(stays.reports.partitions) == 2)
            assert sorted(goes.reports.partitions + stays.reports.partitions) == [0, 1, 2, 3]
            log.publish(*feed(0, 100))
            log.beat(T0 + 100 * NS)
            until(lambda: windows_of(settings) == {T0})
        finally:
            goes.end()
        until(lambda: stays.reports.partitions == [0, 1, 2, 3])
        log.publish(*feed(100, 100))
        log.close(T0 + 300 * NS)
        until(lambda: messages_of(settings) == 400)
        assert goes.failed is None
    is_as_rebuilt(settings, 400, duplicates=0)


def test_a_writer_that_finds_no_partition_left_stands_by_and_takes_over(
    settings: Settings, log: Published
) -> None:
    lives = [Live(settings, f"w{n}") for n in range(5)]
    try:
        until(lambda: sorted(live.reports.partitions for live in lives) == [[], [0], [1], [2], [3]])
        [spare] = [live for live in lives if not live.reports.partitions]
        until(lambda: "have all its partitions" in spare.reports.held)
        assert spare.reports.waits
        next(live for live in lives if live is not spare).end()
        until(lambda: len(spare.reports.partitions) == 1 and not spare.reports.held)
    finally:
        for live in lives:
            live.end()


def test_a_membership_that_failed_is_begun_again(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[bool] = []

    class Failing(Consumer):  # type: ignore[misc]
        def poll(self, timeout: float = -1) -> Any:
            if not failed:
                failed.append(True)
                raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))
            return super().poll(timeout)

    monkeypatch.setattr(share, "Consumer", Failing)
    log.register(T0)
    log.publish(*feed(0, 100))
    log.close(T0 + 100 * NS)
    with writing(settings) as live:
        until(lambda: messages_of(settings) == 200)
    assert failed
    assert any("consumer group" in line for line in live.said)


def test_two_writers_of_one_partition_are_harmless(settings: Settings, log: Published) -> None:
    """As where one was given up for dead and comes back: it is in a group of its own."""
    log.register(T0)
    zombies = structs.replace(settings, writer=structs.replace(settings.writer, group="zombies"))
    with writing(settings) as live, writing(zombies) as zombie:
        until(lambda: live.reports.partitions == zombie.reports.partitions == [0, 1, 2, 3])
        log.publish(*feed(0, 300))
        log.close(T0 + 400 * NS)
        until(lambda: messages_of(settings) == 600)
    is_as_rebuilt(settings, 600, duplicates=0)


def test_it_pauses_and_stays_in_the_group_while_mongodb_does_not_answer(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, away = documents.replace, threading.Event()

    def replace(*given: Any, **more: Any) -> list[Outcome]:
        if away.is_set():
            raise AutoReconnect("connection closed")
        return whole(*given, **more)

    monkeypatch.setattr(documents, "replace", replace)
    log.register(T0)
    with writing(settings) as live:
        log.publish(*feed(0, 50))
        until(lambda: live.reports.messages == 100)
        away.set()
        log.beat(T0 + 100 * NS)
        until(lambda: "connection closed" in live.reports.held)
        log.publish(*feed(50, 50))
        time.sleep(3)  # longer than the group's session
        assert live.reports.messages == 100  # nothing is fetched meanwhile
        away.clear()
        log.close(T0 + 200 * NS)
        until(lambda: messages_of(settings) == 200)
        assert live.reports.rebalances == 1
    is_as_rebuilt(settings, 200, duplicates=0)


def test_it_stays_in_the_group_while_mongodb_is_slower_than_its_session(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.publish(*feed(0, 100))
    slow, replace = threading.Event(), documents.replace

    def slowly(*arguments: Any, **more: Any) -> list[Outcome]:
        if not slow.is_set():
            time.sleep(3 * 2)  # the session of these settings, three times
            slow.set()
        return replace(*arguments, **more)

    monkeypatch.setattr(documents, "replace", slowly)
    with writing(settings) as live:
        until(lambda: messages_of(settings) == 200, 60)
        assert slow.is_set()
        assert live.reports.rebalances == 1  # who is put out of the group loses its share and gets one anew
        assert live.reports.partitions == [0, 1, 2, 3]
    is_as_rebuilt(settings, 200)


def test_a_broker_that_is_just_back_and_does_not_know_its_topics_yet_ends_no_writer(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    lagged, rebuild_partition = threading.Event(), mending.rebuild_partition

    def lagging(*arguments: Any, **more: Any) -> Any:
        if not lagged.is_set():
            lagged.set()
            raise NothingRecorded(f"nothing is recorded of {VENDOR} yet")
        return rebuild_partition(*arguments, **more)

    monkeypatch.setattr(mending, "rebuild_partition", lagging)
    log.register(T0)
    with writing(settings) as live:
        log.publish(*feed(0, 100))
        log.beat(T0 + 100 * NS)
        until(lambda: windows_of(settings) == {T0}, 60)
        log.publish(trade(T0 + 5 * NS + 7, 1000))  # late, so it is mended from the log
        log.close(T0 + 200 * NS)
        until(lambda: messages_of(settings) == 201, 60)
    assert lagged.is_set()
    assert any("does not know of" in line for line in live.said)
    is_as_rebuilt(settings, 201)


def test_a_topic_that_was_made_again_stops_it_with_a_sentence(settings: Settings, log: Published) -> None:
    live = Live(settings)
    until(lambda: bool(positions.read(settings, VENDOR)))
    admin = client.admin(settings)
    admin.delete_topics([log.live.name])[log.live.name].result(10)
    live.thread.join(30)
    assert isinstance(live.failed, Mismatch)
    assert "is gone" in str(live.failed)


@pytest.mark.parametrize("role", ["live", "backfill"])
def test_a_topic_that_lost_records_stops_it_with_a_sentence(
    settings: Settings, log: Published, role: str
) -> None:
    pin = log.live if role == "live" else log.topics.backfill
    positions.save(settings, VENDOR, [Position(topic_id=pin.id, partition=0, next=7)])
    live = Live(settings)
    live.thread.join(60)
    assert isinstance(live.failed, Mismatch)
    assert "ends at 0 but was written through 7" in str(live.failed)


COMMAND = [sys.executable, "-m", "live.writer", VENDOR]


def test_a_state_directory_that_cant_be_written_ends_it_before_it_begins(settings: Settings) -> None:
    settings.state.mkdir(parents=True)
    (settings.state / "live").write_text("no folder")
    done = subprocess.run(COMMAND, env=environment(settings), capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "can't be written" in done.stderr
    assert "TAPEDECK_STATE_DIR" in done.stderr


def test_a_state_directory_that_fills_up_later_is_told_once_and_it_writes_on(
    settings: Settings, log: Published
) -> None:
    live, moved = settings.state / "live", settings.state / "moved"
    with subprocess.Popen(COMMAND, env=environment(settings), stderr=subprocess.PIPE, text=True) as writer:
        try:
            until(lambda: (live / f"writer-{VENDOR}.json").exists())
            live.rename(moved)
            live.write_text("no folder")
            for first in (0, 100, 200):
                log.publish(*feed(first, 50))
                until(lambda first=first: messages_of(settings) == first + 100)  # type: ignore[misc]
        finally:
            writer.terminate()
            _, said = writer.communicate(timeout=60)
    assert writer.returncode == 0
    assert said.count("can't be written") == 1
    assert said.count("\n") == 1


def test_writers_of_other_machines_are_shown_until_they_end_and_as_gone_when_they_died(
    settings: Settings, log: Published
) -> None:
    here = structs.replace(settings, state_dir=f"{settings.state_dir}-of-another")
    log.publish(*feed(0, 10))
    ended = database.database(settings)[crew.COLLECTION]

    def shown() -> list[dict[str, Any]]:
        return status(here)["writers"]

    with subprocess.Popen(COMMAND, env=environment(settings)) as writer:
        try:
            until(lambda: [one["partitions"] for one in shown()] == [[0, 1, 2, 3]], 60)
            (one,) = shown()
            assert (one["running"], one["vendor"], one["pid"]) == (True, VENDOR, writer.pid)
            until(lambda: shown()[0]["behind"] == dict.fromkeys("0123", 0))
            assert len(status(settings)["writers"]) == 1  # its own record and its entry are one writer
            died = ended.find_one({})
            assert died is not None
        finally:
            writer.terminate()
    assert writer.returncode == 0
    assert shown() == []
    ended.insert_one({**died, "at": died["at"] - timedelta(minutes=1)})
    assert [one["running"] for one in shown()] == [False]
