"""A vendor that has grown: whoever reads, writes, checks or replays its log reads both topics as one."""

from __future__ import annotations

import time
from collections import Counter
from itertools import chain, islice
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic
from msgspec import structs

from tapedeck import message as m
from tapedeck.checks import reconcile
from tapedeck.checks.gap_check import gap_check
from tapedeck.cli.main import run
from tapedeck.errors import BadInput, Mismatch, Unavailable
from tapedeck.jobs import backfill, replay
from tapedeck.jobs.origin import Origin
from tapedeck.log import client, growth, meta, topics
from tapedeck.log.complete import complete_through
from tapedeck.log.coverage import coverage
from tapedeck.log.fetch import Batch, Event, Fetcher
from tapedeck.log.giving_up import give_up
from tapedeck.log.inventory import inventory
from tapedeck.log.resolve import resolve
from tapedeck.log.timeline import timeline
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import documents, library
from tapedeck.store.rebuild import rebuild
from tapedeck.store.tail import up_to_now
from tests.published import T0, VENDOR, Published, trade
from tests.tapes import until

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "LTCUSDT", "BNBUSDT")
OF = Slice(T0, T0 + 1800 * NS)
MOVES = {1: T0 + 900 * NS, 2: T0 + 940 * NS}
"""When each collector moves: within a window, and not at once."""
STEP = 10 * NS


@pytest.fixture
def log(settings: Settings) -> Published:
    """Half an hour of eight symbols by two collectors, a file and a void; 4 partitions, then 12."""
    log = Published(settings)
    for src in MOVES:
        log.register(T0 - src * NS, src)
    log.publish(*before(said(), MOVES))
    log.garbage(T0 + 77 * NS)
    new = log.grow(12)
    for src, at in MOVES.items():
        log.move(at, src)
    moved = after(said(), MOVES)
    log.publish(*moved[:2000], to=new)
    log.garbage(moved[2000].ts_recv, "ETHUSDT", to=new)
    log.publish(*moved[2000:], to=new)
    log.publish(*before(said(), MOVES)[:5], to=new)  # a resend of what came before in the other topic
    log.load([m.Void("BTCUSDT", 0, T0 + 890 * NS, 0, 0, 2, T0 + 911 * NS, 0, "garbage")], 2)
    log.load([trade(T0 + 905 * NS + i, 0, symbol, 1007) for i, symbol in enumerate(SYMBOLS)])
    return log


def said() -> list[m.Message]:
    """What both collectors heard, in the order of its stamps: the second hears all of it, too."""
    found: list[m.Message] = []
    for i in range((OF.end - OF.start) // STEP):
        for k, symbol in enumerate(SYMBOLS):
            for src in MOVES:
                ts = T0 + i * STEP + k * 1000 + src
                found.append(m.Trade(symbol, 0, ts, i + 1, i, src, 100.0 + i, 1.0, 1))
        if i % 30 == 1:
            found += [m.Status("*", 0, T0 + i * STEP + 9000 + src, 0, 0, src, m.OTHER, "x") for src in MOVES]
        for src, moves in MOVES.items():
            beats = range(T0 + i * STEP + 20_000, T0 + (i + 1) * STEP, NS)
            lives = [(t, T0 - src * NS if t < moves else moves) for t in beats]
            found += [m.Heartbeat("*", 0, t, 0, 0, src, since) for t, since in lives]
    return found


def before(messages: list[m.Message], moves: dict[int, int]) -> list[m.Message]:
    return [one for one in messages if one.ts_recv < moves[one.src]]


def after(messages: list[m.Message], moves: dict[int, int]) -> list[m.Message]:
    return [one for one in messages if one.ts_recv >= moves[one.src]]


def origin() -> Origin:
    return Origin(who="test", started=time.time_ns())


KEPT = Counter({("Trade", s): 180 + 1 for s in SYMBOLS}) + Counter({("Status", "*"): 12})
"""Each instant once, of the first collector, and the file's; of the whole feed what both said."""


def test_both_topics_are_read_as_one_each_message_once(settings: Settings, log: Published) -> None:
    line = timeline(VENDOR, settings)
    found = list(line.between(OF.start, OF.end))
    assert Counter((type(one).__name__, one.symbol) for one in found) == KEPT
    assert {one.src for one in found if isinstance(one, m.Trade)} == {1, 1007}
    count = line.count(OF.start, OF.end)
    assert (count.messages, count.voided, count.undecodable) == (KEPT.total(), 3, 2)
    assert count.duplicates == 180 * 8 - 3 + 5
    plan = line.plan(OF.start, OF.end, symbols=["BTCUSDT"])
    assert {(r.topic, r.partition) for r in plan.ranges if r.topic != log.topics.backfill.name} == {
        (pin.name, partition_of("BTCUSDT", pin.partitions)) for pin in log.topics.live
    }
    assert [one.ts_recv for one in line.between(OF.start, OF.end, symbols=["BTCUSDT"])] == [
        one.ts_recv for one in found if one.symbol == "BTCUSDT"
    ]


def test_a_plan_of_before_the_growth_reads_what_it_read(settings: Settings) -> None:
    log = Published(settings)
    log.register(T0 - NS)
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(20)))
    line = timeline(VENDOR, settings)
    plan = line.plan(T0, T0 + 60 * NS)
    held = list(line.reading(plan))
    new = log.grow(8)
    log.move(T0 + 30 * NS)
    log.publish(*(trade(T0 + (30 + i) * NS, 21 + i) for i in range(20)), to=new)
    assert list(line.reading(plan)) == held
    assert len(list(line.between(T0, T0 + 60 * NS))) == 40
    done = rebuild(settings, VENDOR, plan.slice)
    assert done.messages == 40
    again = rebuild(settings, VENDOR, plan.slice, within=plan)  # what stands was built of more, and stays
    assert (again.written, again.messages) == (0, 40)


def test_windows_across_the_change_are_whole_and_right(settings: Settings, log: Published) -> None:
    done = rebuild(settings, VENDOR, OF)
    assert (done.messages, done.undecodable, done.voided) == (KEPT.total(), 2, 3)
    assert rebuild(settings, VENDOR, OF).written == 0
    counts = {pin.id: pin.partitions for pin in log.topics.log}
    for one in library.ensure(settings, VENDOR).values():
        for stored in documents.standing_in(one.collection, OF):
            assert stored["p"] == partition_of(stored["sy"], log.topics.groups)
            assert [r["id"] for r in stored["ranges"]] == list(counts)
    trades = library.ensure(settings, VENDOR)["trade"]
    answer = up_to_now(settings, trades, SYMBOLS, OF)
    assert {symbol: len(rows) for symbol, rows in answer.columns.items()} == dict.fromkeys(SYMBOLS, 181)
    trades.collection.delete_many({"sy": {"$in": SYMBOLS[:3]}})  # what is not written comes from the log
    assert {s: len(rows) for s, rows in up_to_now(settings, trades, SYMBOLS, OF).columns.items()} == {
        symbol: len(rows) for symbol, rows in answer.columns.items()
    }


def test_the_log_and_arctic_agree_by_every_proof_and_what_is_altered_is_found(
    settings: Settings, log: Published
) -> None:
    order, plan = backfill.prepare(settings, VENDOR, OF)
    assert plan is not None
    assert order.partitions == (0, 1, 2, 3)
    rebuild(settings, VENDOR, OF)
    for quick in (False, True):
        report = reconcile.reconcile(settings, VENDOR, OF, origin=origin(), quick=quick)
        assert (report.verdict, report.findings) == ("pass", [])
        assert report.counts["log"] == KEPT.total() + 180 * 8 + 5 + 2
    trades = library.ensure(settings, VENDOR)["trade"]
    trades.collection.delete_one({"sy": "ETHUSDT", "start": (T0 + 600 * NS) // 10**6})
    report = reconcile.reconcile(settings, VENDOR, OF, origin=origin(), repair=True)
    assert [one.symbol for one in report.findings] == ["ETHUSDT"]
    places = {(row["topic"], row["partition"]) for row in report.findings[0].evidence["rows"]}
    assert places <= {(pin.number, partition_of("ETHUSDT", pin.partitions)) for pin in log.topics.log}
    assert reconcile.reconcile(settings, VENDOR, OF, origin=origin()).verdict == "pass"


def test_of_a_grown_vendor_nothing_seems_to_be_missing(settings: Settings, log: Published) -> None:
    rebuild(settings, VENDOR, OF)
    report = gap_check(settings, VENDOR, Slice(T0, T0 + 1700 * NS))
    wrong = [one for one in report.findings if one.check in ("sequence", "publish", "expired")]
    assert wrong == []
    assert report.counts["gaps"] == 0
    [lost] = [one for one in report.findings if one.check == "undecodable" and one.start > MOVES[2]]
    assert lost.evidence["partition"] == partition_of("ETHUSDT", 12)


def test_who_listened_and_up_to_when_nothing_more_can_come(settings: Settings, log: Published) -> None:
    of = Slice(T0 + 5 * NS, T0 + 1200 * NS)
    covered = coverage(settings, VENDOR, of)
    assert (covered[1], covered[2]) == ((of,), (of,))
    through = complete_through(settings, VENDOR)
    assert through.time is not None
    assert {one.topic for one in through.partitions if one.time is not None} == {log.topics.live[-1].name}
    assert timeline(VENDOR, settings).plan(T0, T0 + 950 * NS).complete
    [old, new, *_] = inventory(settings, VENDOR)
    assert (old.partitions, new.partitions, old.sources, new.sources) == (4, 12, (1, 2), (1, 2))


@pytest.mark.parametrize("to", ["kafka", "arctic", "parquet"])
def test_a_replay_across_the_change_is_whole(
    settings: Settings, log: Published, to: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = f"{settings.kafka.prefix}out"
    place = {
        "kafka": f"kafka:{name}", "arctic": "arctic:check",
        "parquet": f"parquet:{tmp_path_factory.mktemp('out')}",
    }[to]  # fmt: skip
    done = replay.replay(settings, VENDOR, OF, place, origin=origin())
    assert done.counts["messages"] == KEPT.total()
    assert done.counts["undecodable"] == 2
    again = replay.replay(settings, VENDOR, OF, place, origin=origin())
    assert again.outcome == "unchanged"
    if to == "kafka":
        assert topics.describe(client.admin(settings), [name])[name][1] == 12


def test_an_old_topic_that_has_run_empty_is_no_loss_though_a_killed_collector_said_no_goodbye(
    settings: Settings,
) -> None:
    log = Published(settings)
    log.register(T0 - 3600 * NS)  # killed: its life is never closed
    log.register(T0)
    log.publish(*(trade(T0 + i * NS, i + 1, symbol) for i in range(20) for symbol in SYMBOLS))
    old, new = log.live, log.grow(8)
    moved = T0 + 60 * NS
    log.move(moved)
    later = [trade(T0 + i * NS, i + 1, symbol) for i in range(61, 90) for symbol in SYMBOLS]
    beats = [m.Heartbeat("*", 0, T0 + i * NS, 0, 0, 1, moved) for i in range(61, 200)]
    log.publish(*sorted([*later, *beats], key=lambda one: one.ts_recv), to=new)
    ends = log.ends(old)
    everything = [TopicPartition(old.name, p, end) for p, end in ends.items()]
    for future in client.admin(settings).delete_records(everything).values():
        future.result(10)
    fresh = resolve(settings, VENDOR, Slice(T0 + 100 * NS, T0 + 110 * NS))
    assert (fresh.complete, fresh.notes, fresh.expired) == (True, (), ())
    assert resolve(settings, VENDOR, Slice(T0 + 5 * NS, T0 + 9 * NS)).expired == (0, 1, 2, 3)


def test_a_tail_follows_into_the_new_topic_each_message_once_and_in_order(settings: Settings) -> None:
    log = Published(settings)
    for src in (1, 2):
        log.register(T0, src)
    log.publish(*(trade(T0 + i * NS + src, i, src=src) for i in range(1, 11) for src in (1, 2)))
    following = iter(timeline(VENDOR, settings).tail(T0))
    assert [one.seq for one in islice(following, 10)] == [*range(1, 11)]
    new = log.grow(8)
    log.move(T0 + 12 * NS, 1)
    log.publish(*(trade(T0 + i * NS + 1, i) for i in range(12, 21)), to=new)
    log.publish(trade(T0 + 3 * NS + 1, 3), to=new)  # of before it moved: it was in the old topic
    log.publish(*(trade(T0 + i * NS + 2, i, src=2) for i in range(11, 15)))
    assert sorted(one.seq for one in islice(following, 10)) == [*range(11, 21)]
    log.move(T0 + 15 * NS, 2)
    log.publish(*(trade(T0 + i * NS + 2, i, src=2) for i in range(15, 23)), to=new)
    assert [one.seq for one in islice(following, 2)] == [21, 22]
    fresh = iter(timeline(VENDOR, settings).tail(T0))  # from the past, over both
    assert [one.seq for one in islice(fresh, 22)] == [*range(1, 23)]


def test_a_tail_that_lags_gives_what_a_source_said_before_its_move_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, step, count = Published(settings), NS // 1000, 45_000  # more than is fetched ahead of a reader
    log.register(T0)
    log.publish(trade(T0 + step, 1))
    tail = timeline(VENDOR, settings).tail(T0)
    following = tail.batches()
    assert [one.seq for one in islice(chain.from_iterable(following), 1)] == [1]
    new = log.grow(8)
    bounds, away = client.bounds, [Unavailable("away")] * 4

    def failing(*asked: Any) -> dict[client.Place, tuple[int, int]]:
        if away:
            raise away.pop()
        return bounds(*asked)

    monkeypatch.setattr(client, "bounds", failing)
    until(lambda: bool(next(following) is not None and len(tail._lanes) == 12), 60)  # it follows both
    assert not away
    log.publish(*(trade(T0 + i * step, i) for i in range(2, count)))
    log.move(T0 + count * step)
    log.publish(*(trade(T0 + i * step, i) for i in range(count + 1, count + 11)), to=new)
    found = chain.from_iterable(following)
    seqs = [one.seq for one in islice(found, count - 2 + 10)]
    assert seqs == [*range(2, count), *range(count + 1, count + 11)]
    assert tail._held == {}


def test_a_tail_that_fetches_both_sides_of_a_move_at_once_gives_all_of_the_later_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Published(settings)
    log.register(T0)
    log.publish(trade(T0 + NS, 1))
    tail = timeline(VENDOR, settings).tail(T0)
    following = tail.batches()
    assert [one.seq for one in islice(chain.from_iterable(following), 1)] == [1]
    new = log.grow(8)
    until(lambda: bool(next(following) is not None and len(tail._lanes) == 12), 60)
    log.publish(*(trade(T0 + i * NS, i) for i in range(2, 6)))
    log.move(T0 + 6 * NS)
    log.publish(*(trade(T0 + i * NS, i) for i in range(7, 11)), to=new)
    ends = {(pin.name, p): end for pin in (log.live, new) for p, end in log.ends(pin).items()}
    fetch = Fetcher.fetch

    def at_once(source: Fetcher, most: int, seconds: float) -> tuple[list[Batch], list[Event]]:
        batches: list[Batch] = []
        reached = {place: lane.position for place, lane in tail._lanes.items()}
        while any(reached[place] < end for place, end in ends.items()):
            batches += fetch(source, most, seconds)[0]
            reached |= {(one.topic, one.partition): int(one.offsets[-1]) + 1 for one in batches}
        monkeypatch.setattr(Fetcher, "fetch", fetch)
        return sorted(batches, key=lambda one: one.topic == log.live.name), []

    monkeypatch.setattr(Fetcher, "fetch", at_once)
    found: list[m.Message] = []

    def come() -> bool:
        found.extend(next(following))
        return len(found) >= 8

    until(come, 60)
    assert [one.seq for one in found] == [*range(2, 6), *range(7, 11)]


def test_a_tail_leaves_out_what_a_killed_publisher_sends_again_behind_its_move(settings: Settings) -> None:
    log = Published(settings)
    log.register(T0)
    log.publish(*(trade(T0 + i * NS, i) for i in range(1, 11)))
    following = iter(timeline(VENDOR, settings).tail(T0))
    assert [one.seq for one in islice(following, 10)] == [*range(1, 11)]
    new = log.grow(8)
    log.move(T0 + 6 * NS)  # a line that it had passed when it was killed
    log.publish(*(trade(T0 + i * NS, i) for i in range(6, 13)), to=new)
    assert [one.seq for one in islice(following, 2)] == [11, 12]
    fresh = iter(timeline(VENDOR, settings).tail(T0))
    assert [one.seq for one in islice(fresh, 12)] == [*range(1, 13)]


def test_growth_that_makes_no_sense_is_one_sentence_and_changes_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tapedeck.settings.load", lambda: settings)

    def refused(*words: str) -> str:
        before = meta.read(settings), set(client.admin(settings).list_topics(timeout=10).topics)
        assert run(["topics", "grow", *words]) == 2
        assert (meta.read(settings), set(client.admin(settings).list_topics(timeout=10).topics)) == before
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    assert "nothing is recorded of binance_usdm yet" in refused(VENDOR, "8")
    topics.ensure(settings, VENDOR)
    assert "there is no vendor 'binance_usd'" in refused("binance_usd", "8")
    assert "6 is no multiple of the 4 partitions" in refused(VENDOR, "6")
    assert "ask for 8" in refused(VENDOR, "5")
    assert "has 4 partitions now" in refused(VENDOR, "4")
    assert "has 4 partitions now" in refused(VENDOR, "0")
    assert "more than Kafka makes at once" in refused(VENDOR, "40000000000")
    assert "is not a valid integer" in refused(VENDOR, "many")
    name = f"{settings.live_topic(VENDOR)}.8"
    admin = client.admin(settings)
    admin.create_topics([NewTopic(name, num_partitions=5)])[name].result(10)
    topics.await_topic(admin, settings, name)
    assert f"there is a topic {name} already" in refused(VENDOR, "8")
    assert run(["topics", "grow", VENDOR, "12", "--plan"]) == 0
    assert meta.read(settings).topics(VENDOR).live[-1].partitions == 4


def test_a_grower_that_died_between_making_and_pinning_is_followed_by_one_that_does_both(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    topics.ensure(settings, VENDOR)
    put = meta.put
    monkeypatch.setattr(meta, "put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        growth.grow(settings, VENDOR, 8)
    monkeypatch.setattr(meta, "put", put)
    assert [pin.partitions for pin in topics.verify(settings, VENDOR).live] == [4]
    monkeypatch.setattr("tapedeck.settings.load", lambda: settings)
    assert run(["topics", "grow", VENDOR, "8"]) == 0
    stands = meta.read(settings)
    assert [pin.partitions for pin in stands.topics(VENDOR).live] == [4, 8]
    assert run(["topics", "grow", VENDOR, "8"]) == 0  # as after one that died past its last step
    assert meta.read(settings) == stands
    assert run(["topics"]) == 0
    assert run(["topics", VENDOR]) == 0
    said = capsys.readouterr().out
    assert said.count(f"{settings.live_topic(VENDOR)}.8") >= 2


@pytest.mark.parametrize(
    "wrong",
    [{"message.timestamp.type": "LogAppendTime"}, {"cleanup.policy": "compact"}, {"retention.ms": "60000"}],
)
def test_an_empty_topic_that_could_not_be_a_live_one_is_not_taken(
    settings: Settings, wrong: dict[str, str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("tapedeck.settings.load", lambda: settings)
    topics.ensure(settings, VENDOR)
    name = f"{settings.live_topic(VENDOR)}.8"
    config = {**topics.config_of(settings, "live"), **wrong}
    admin = client.admin(settings)
    admin.create_topics([NewTopic(name, num_partitions=8, config=config)])[name].result(10)
    there = topics.await_topic(admin, settings, name)
    stood = meta.read(settings)
    for words in (["--plan"], []):
        assert run(["topics", "grow", VENDOR, "8", *words]) == 2
        [(key, value)] = wrong.items()
        assert f"an empty topic {name} already, with {key}={value}" in capsys.readouterr().err
    assert (meta.read(settings), topics.describe(admin, [name])[name]) == (stood, there)


def test_a_new_topic_keeps_as_long_as_the_one_before_or_as_settings_say(settings: Settings) -> None:
    log = Published(settings)
    said = int(topics.config_of(settings, "live")["retention.ms"])

    def kept() -> int:
        name = log.topics.live[-1].name
        return int(topics.configs(client.admin(settings), [name])[name]["retention.ms"])

    log.configure(retention_ms=said - 1)
    log.grow(8)
    assert kept() == said
    for partitions, raised in ((16, 2 * said), (32, -1)):
        log.configure(log.topics.live[-1], retention_ms=raised)
        until(lambda raised=raised: kept() == raised)  # type: ignore[misc]
        log.grow(partitions)
        assert kept() == raised


def test_of_two_growers_at_once_one_is_heeded_by_everybody(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics.ensure(settings, VENDOR)
    pin = meta.put

    def late(settings: Settings, *records: meta.Record) -> None:
        monkeypatch.setattr(meta, "put", pin)
        growth.grow(settings, VENDOR, 8)
        pin(settings, *records)

    monkeypatch.setattr(meta, "put", late)
    with pytest.raises(Mismatch, match=r"let grow to 8 partitions by somebody else.*12 is no multiple"):
        growth.grow(settings, VENDOR, 12)
    assert [one.partitions for one in topics.verify(settings, VENDOR).live] == [4, 8]
    growth.grow(settings, VENDOR, 24)
    assert [one.partitions for one in topics.verify(settings, VENDOR).live] == [4, 8, 24]


def test_a_topic_that_is_lost_is_given_up_as_the_sentence_says_and_the_vendor_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Published(settings)
    log.register(T0 - NS)
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(20)))
    rebuild(settings, VENDOR, Slice(T0, T0 + 60 * NS))
    monkeypatch.setattr("tapedeck.settings.load", lambda: settings)
    name = log.live.name
    assert run(["topics", "forget", VENDOR, name]) == 2
    assert "is there as it was pinned" in capsys.readouterr().err
    described, answers = topics.describe, [dict[str, tuple[str, int]]()]
    with monkeypatch.context() as once:  # a broker that does not know it yet
        once.setattr(topics, "describe", lambda *asked: answers.pop() if answers else described(*asked))
        assert run(["topics", "forget", VENDOR, name]) == 2
    assert "is there as it was pinned" in capsys.readouterr().err
    assert answers == []
    client.admin(settings).delete_topics([name])[name].result(10)
    assert run(["topics", "forget", VENDOR, name, "--plan"]) == 0
    assert f"{name} (id {log.live.id}) would be given up" in capsys.readouterr().out
    with pytest.raises(Mismatch, match=rf"`tapedeck topics forget {VENDOR} {name}`"):
        topics.ensure(settings, VENDOR)
    assert run(["topics", "forget", VENDOR, "md.other"]) == 2
    assert f"md.other is no topic of {VENDOR}: known are {name}" in capsys.readouterr().err
    assert run(["topics", "forget", VENDOR, "md.\a"]) == 2
    assert r"'md.\x07' is no topic of" in capsys.readouterr().err
    assert run(["topics", "forget", VENDOR, name]) == 0
    assert run(["topics", "forget", VENDOR, name]) == 0  # again: nothing changes
    with pytest.raises(BadInput, match="was given up, and nothing was made in its place yet"):
        topics.verify(settings, VENDOR)
    made = topics.ensure(settings, VENDOR)
    assert (made.live[0].name, made.live[0].partitions) == (name, 4)
    assert made.live[0].id != log.live.id
    assert (made.backfill, made.quarantine) == (log.topics.backfill, log.topics.quarantine)
    done = rebuild(settings, VENDOR, Slice(T0, T0 + 60 * NS))
    assert (done.written, done.messages) == (0, 20)  # what was built of it stays
    trades = library.ensure(settings, VENDOR)["trade"]
    assert len(up_to_now(settings, trades, ["BTCUSDT"], Slice(T0, T0 + 60 * NS)).columns["BTCUSDT"]) == 20


def test_windows_that_read_nothing_of_an_emptied_topic_are_built_again_once_it_is_forgotten(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "VERIFIED_SECONDS", 0.0)
    log = Published(settings)
    log.register(T0 - NS)
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(20)))
    log.close(T0 + 30 * NS)
    old, new = log.live, log.grow(8)
    early, later = Slice(T0, T0 + 600 * NS), Slice(T0 + 1200 * NS, T0 + 1800 * NS)
    assert rebuild(settings, VENDOR, early).messages == 20
    log.publish(trade(T0 + 500 * NS, 21), *(trade(T0 + 1200 * NS + i, 31 + i) for i in range(10)), to=new)
    assert rebuild(settings, VENDOR, later).messages == 10
    trades = library.ensure(settings, VENDOR)["trade"]
    [stood] = documents.heads_of(trades.collection, "BTCUSDT", later)
    assert [c.next - c.start for c in stood.claims if c.topic_id == old.id and c.next] == [0]
    client.admin(settings).delete_topics([old.name])[old.name].result(10)
    give_up(settings, VENDOR, old.name)
    log.publish(trade(T0 + 1300 * NS, 41), to=new)
    monkeypatch.setattr(documents, "_replace_parts", None)  # the server compares as its Python twin does
    done = rebuild(settings, VENDOR, later)
    assert (done.written, done.messages) == (1, 11)
    assert rebuild(settings, VENDOR, later).written == 0
    done = rebuild(settings, VENDOR, early)  # it was built of what is lost: it stands, and is added to
    assert (done.written, done.messages) == (1, 21)


def test_settings_that_name_another_topic_than_the_vendor_lives_in_are_refused(settings: Settings) -> None:
    topics.ensure(settings, VENDOR)
    vendors = {VENDOR: structs.replace(settings.vendor(VENDOR), topic=f"{settings.kafka.prefix}new")}
    with pytest.raises(BadInput, match=r"set vendors\.binance_usdm\.topic back"):
        topics.ensure(structs.replace(settings, vendors=vendors), VENDOR)
