"""What is followed live, how far the log is complete, who listened, and what the topics hold."""

from __future__ import annotations

import json
from itertools import islice

import pytest

from tapedeck import message as m
from tapedeck.cli.main import run
from tapedeck.errors import Incomplete, Mismatch
from tapedeck.log import client, meta, topics
from tapedeck.log import tail as tails
from tapedeck.log.complete import complete_through
from tapedeck.log.coverage import coverage
from tapedeck.log.inventory import inventory
from tapedeck.log.meta import Life
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tests.published import HOUR, T0, VENDOR, Published, environment, trade


def test_a_tail_goes_on_from_the_past_without_a_seam(settings: Settings) -> None:
    log = Published(settings)
    log.register(T0)
    log.publish(*(trade(T0 + i, i + 1) for i in range(50)))
    tail = timeline(VENDOR, settings).tail(T0 + 10)
    messages = iter(tail)
    found = [next(messages) for _ in range(20)]
    log.publish(trade(T0 + 20, 21), m.Heartbeat("*", 0, T0 + 60, 0, 0, 1, T0))  # a resend, no message
    log.garbage(T0 + 61)
    log.publish(*(trade(T0 + i, i + 1) for i in range(100, 120)))
    found += [next(messages) for _ in range(40)]
    assert [one.ts_recv - T0 for one in found] == [*range(10, 50), *range(100, 120)]
    assert tail.behind.records == 0


def test_a_tail_leaves_out_copies_of_other_sources_the_nth_for_the_nth(settings: Settings) -> None:
    log = Published(settings)
    log.register(T0, src=1)
    log.register(T0, src=2)
    log.publish(
        trade(T0 + 1, 7, src=2), trade(T0 + 2, 7), trade(T0 + 3, 7), trade(T0 + 4, 7, src=2),
        trade(T0 + 5, 8), trade(T0 + 6, 8, src=2), trade(T0 + 40 * NS, 8, src=2),
        m.Trade("BTCUSDT", 0, T0 + 41 * NS, 0, 0, 1, 1.0, 1.0),
        m.Trade("BTCUSDT", 0, T0 + 42 * NS, 0, 0, 2, 1.0, 1.0),
        m.Status("BTCUSDT", 0, T0 + 43 * NS, 5, 0, 1, 1), m.Status("BTCUSDT", 0, T0 + 44 * NS, 5, 0, 2, 1),
    )  # fmt: skip
    found = list(islice(timeline(VENDOR, settings).tail(T0), 8))
    assert [(one.ts_recv - T0, one.src) for one in found] == [
        (1, 2), (3, 1), (5, 1), (40 * NS, 2), (41 * NS, 1), (42 * NS, 2), (43 * NS, 1), (44 * NS, 2)
    ]  # fmt: skip


def test_a_tail_knows_copies_of_what_it_gave_before_another_collector_began(settings: Settings) -> None:
    log = Published(settings)
    log.register(T0, src=1)
    log.publish(*(trade(T0 + i * NS, i) for i in range(1, 6)))
    following = iter(timeline(VENDOR, settings).tail(T0))
    found = list(islice(following, 5))
    log.register(T0 + 3 * NS, src=2)
    log.publish(*(trade(T0 + i * NS + 1, i, src=2) for i in range(4, 8)))
    log.publish(*(trade(T0 + i * NS, i) for i in range(6, 9)))
    found += islice(following, 3)
    assert [(one.seq, one.src) for one in found] == [*((i, 1) for i in range(1, 6)), (6, 2), (7, 2), (8, 1)]


def test_a_tail_of_symbols_and_kinds_tells_how_far_it_is_behind(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "MOST", 10)
    log = Published(settings)
    log.publish(*(trade(T0 + i, i + 1) for i in range(100)), trade(T0, 1, "ETHUSDT"))
    log.publish(m.Quote("BTCUSDT", 0, T0 + 500, 0, 0, 1, 1.0, 2.0))
    tail = timeline(VENDOR, settings).tail(T0, symbols=["BTCUSDT"], kinds=["quote", "trade"])
    batches = tail.batches()
    first = next(batch for batch in batches if batch)
    assert len(first) <= 10
    assert 90 <= tail.behind.records <= 91
    assert tail.behind.ns > 5 * HOUR
    found = first
    while len(found) < 101:
        found += next(batches)
    assert {one.symbol for one in found} == {"BTCUSDT"}
    only = timeline(VENDOR, settings).tail(T0, symbols=["BTCUSDT"], kinds=["quote"])
    assert next(iter(only)).ts_recv == T0 + 500


def test_a_tail_ends_where_what_it_follows_is_gone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tails, "IDENTITY_SECONDS", 0.1)
    log = Published(settings)
    log.publish(*(trade(T0 + i, i + 1) for i in range(100)))
    late = timeline(VENDOR, settings).tail(T0, symbols=["BTCUSDT"])
    log.cut(50)
    with pytest.raises(Incomplete, match="no longer holds offset 0: Kafka deleted it"):
        next(iter(late))
    messages = iter(timeline(VENDOR, settings).tail(T0, symbols=["BTCUSDT"]))
    assert next(messages).ts_recv == T0 + 50
    log.delete()
    admin = client.admin(settings)
    topics.create(admin, settings, log.live.name, log.live.partitions, {})
    topics.await_topic(admin, settings, log.live.name)
    with pytest.raises(Mismatch, match="deleted and made again while it was followed"):
        list(messages)


def test_complete_through_is_the_least_time_of_an_open_collector(settings: Settings) -> None:
    log = Published(settings)
    assert complete_through(settings, VENDOR).time is None
    log.register(T0, src=1)
    log.register(T0 + NS, src=2)
    log.beat(T0 + 20 * NS, src=1)
    log.beat(T0 + 30 * NS, src=2)
    log.publish(trade(T0 + 25 * NS, 1))
    found = complete_through(settings, VENDOR)
    assert (found.time, found.by) == (T0 + 20 * NS, 1)
    home = found.partitions[log.partition()]
    assert (home.time, home.by) == (T0 + 25 * NS, 1)
    log.close(T0 + 40 * NS, src=1)
    found = complete_through(settings, VENDOR)
    assert (found.time, found.by) == (T0 + 30 * NS, 2)
    silent = Life(vendor=VENDOR, src=3, since=T0 + 5 * NS, topic_id=log.live.id)
    meta.put(settings, silent)  # registered, and never heard of
    assert complete_through(settings, VENDOR).by == 3
    assert complete_through(settings, VENDOR).time == T0 + 5 * NS


def test_coverage_is_of_heartbeats_cut_where_the_bus_was_lost_and_of_files(settings: Settings) -> None:
    log = Published(settings)
    log.register(T0, src=1)
    for second in range(1, 20):
        log.beat(T0 + second * NS)
    log.publish(m.Status("*", 0, T0 + 5 * NS + 1, 0, 0, 1, m.DISCONNECTED, "lost"))
    log.publish(m.Status("*", 0, T0 + 8 * NS + 1, 0, 0, 1, m.CONNECTED, ""))
    log.load([trade(T0 - HOUR, 1, src=1007), trade(T0 - HOUR + NS, 2, src=1007)])
    found = coverage(settings, VENDOR, Slice(T0 - 2 * HOUR, T0 + 100 * NS))
    assert found == {
        1: (Slice(T0, T0 + 5 * NS + 1), Slice(T0 + 8 * NS + 1, T0 + 19 * NS + 1)),
        1007: (Slice(T0 - HOUR, T0 - HOUR + NS + 1),),
    }
    assert coverage(settings, VENDOR, Slice(T0 + 6 * NS, T0 + 9 * NS)) == {
        1: (Slice(T0 + 8 * NS + 1, T0 + 9 * NS),)
    }
    assert coverage(settings, VENDOR, Slice(T0 + 6 * NS, T0 + 7 * NS)) == {}


def test_a_backfill_topic_tells_the_first_and_last_time_of_files_in_no_order(settings: Settings) -> None:
    log = Published(settings)
    log.load([trade(T0 + i * NS, i + 1, src=1007) for i in range(3)])
    log.load([trade(T0 - HOUR + i * NS, i + 1, src=1008) for i in range(3)], 1008)
    _, state, quarantine = inventory(settings, VENDOR)
    assert (state.role, state.records, state.sources) == ("backfill", 6, (1007, 1008))
    assert (state.first_ms, state.last_ms) == ((T0 - HOUR) // 10**6, T0 // 10**6 + 2000)
    assert (state.retention_ms, state.left_ms) == (None, None)
    assert (quarantine.role, quarantine.first_ms, quarantine.records) == ("quarantine", None, 0)


def test_topics_tell_bytes_retention_and_who_holds_complete_through_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Published(settings)
    log.register(T0)
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(1, 11)))
    state = inventory(settings, VENDOR)[0]
    assert (state.records, state.first_ms, state.last_ms) == (14, T0 // 10**6, T0 // 10**6 + 10_000)
    assert 14 * 40 < state.bytes < 14 * 120
    week = 7 * 24 * HOUR // 10**6
    assert state.retention_ms == week
    assert week - 8 * HOUR // 10**6 < (state.left_ms or 0) < week
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert run(["topics", VENDOR]) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert rows[0].startswith(f"{log.live.name} ")
    assert rows[0][head.index("left") + 4 - 8 : head.index("left") + 4].strip().endswith("h")
    assert last.startswith(f"{VENDOR}: complete through ")
    assert "held back by collector 1; in others" not in last
    assert "held back by collector 1" in last
    assert run(["topics", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["complete_through"][VENDOR]["by"] == 1
    assert told["vendors"][VENDOR][0]["records"] == 14
