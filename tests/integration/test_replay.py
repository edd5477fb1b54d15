"""A slice replayed into another topic, on a real broker and a real mongod."""

from __future__ import annotations

import threading
import time

import pytest
from confluent_kafka.admin import NewTopic

from tapedeck import message as m
from tapedeck.errors import BadInput, Unavailable
from tapedeck.jobs import lease, plans, receipts, replay
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import Extent, TopicPin
from tapedeck.log.timeline import timeline
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tests.published import T0 as RECENT
from tests.published import Published
from tests.topics import contents, row, rows

VENDOR = "binance_usdm"
T0 = 1_723_161_600 * NS  # long before any retention
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT")
SLICE = Slice(T0, T0 + 60 * NS)


def trade(ts: int, symbol: str = "BTCUSDT", src: int = 1, price: float = 100.0) -> m.Trade:
    return m.Trade(symbol, ts - 5, ts, ts // 1000, 0, src, price, 1.0, 1)


def publish(settings: Settings, topic: str, partitions: int, *messages: m.Message) -> None:
    """Publish in the order given; control records of the whole feed go to every partition."""
    producer = client.producer(settings)
    for message in messages:
        home = partition_of(message.symbol, partitions)
        for partition in range(partitions) if message.symbol == m.WHOLE_FEED else [home]:
            producer.produce(
                topic, m.encode(message), key=message.symbol, partition=partition,
                timestamp=message.ts_recv // 1_000_000,
            )  # fmt: skip
    assert producer.flush(20) == 0


@pytest.fixture
def backfill(settings: Settings) -> TopicPin:
    """The vendor's backfill topic, whose records no retention removes; one open extent speaks of all."""
    pin = topics.ensure(settings, VENDOR).backfill
    meta.put(settings, Extent(id="a", vendor=VENDOR, topic_id=pin.id, src=1, start={}, next=None))
    return pin


def history(n: int = 200) -> list[m.Message]:
    return [trade(T0 + i * NS // 4 + i, SYMBOLS[i % len(SYMBOLS)]) for i in range(n)]


def load(settings: Settings, pin: TopicPin, *messages: m.Message) -> None:
    publish(settings, pin.name, pin.partitions, *messages)


def topic(settings: Settings, name: str = "out") -> str:
    return f"{settings.kafka.prefix}{name}"


def run(settings: Settings, to: str = "out", of: Slice = SLICE, **more: object) -> Receipt:
    origin = Origin(who="test", started=time.time_ns())
    target = f"kafka:{topic(settings, to)}"
    return replay.replay(settings, VENDOR, of, target, origin=origin, **more)  # type: ignore[arg-type]


def exists(settings: Settings, name: str) -> bool:
    return name in client.admin(settings).list_topics(timeout=10).topics


def test_the_target_holds_the_slice_byte_for_byte_and_in_order(
    settings: Settings, backfill: TopicPin
) -> None:
    messages = history()
    outside = [trade(T0 - 1), trade(T0 + 60 * NS), trade(T0 - 10 * NS, "ETHUSDT")]
    load(settings, backfill, *outside, *reversed(messages), *messages[3:9])  # no order; six resends
    receipt = run(settings)
    assert contents(settings, topic(settings)) == rows(messages, 4)
    assert (receipt.outcome, receipt.counts["messages"]) == ("written", 200)
    assert (receipt.counts["written"], receipt.counts["duplicates"]) == (200, 6)
    assert receipt.before == "0" * 32 != receipt.after
    assert receipts.find(settings, receipt.id) == receipt
    assert plans.load(settings, receipt.plan).digest == receipt.plan


def test_the_target_is_made_to_keep_what_it_gets(settings: Settings, backfill: TopicPin) -> None:
    load(settings, backfill, *history())
    run(settings)
    config = topics.configs(client.admin(settings), [topic(settings)])[topic(settings)]
    assert config["retention.ms"] == config["retention.bytes"] == "-1"
    assert config["message.timestamp.type"] == "CreateTime"


def test_control_records_voided_messages_and_copies_stay_behind(
    settings: Settings, backfill: TopicPin
) -> None:
    live = topics.ensure(settings, VENDOR).live[0]
    stamp = time.time_ns() - 600 * NS
    beat = m.Heartbeat("*", 0, stamp + 1, 0, 0, 1, stamp, 0)
    up = m.Status("*", 0, stamp + 2, 0, 0, 1, m.CONNECTED, "connected")
    kept, wrong = trade(stamp + 3), trade(stamp + 1000, "ETHUSDT")
    void = m.Void("ETHUSDT", 0, stamp + 900, 0, 0, 1, stamp + 1100, 0, "garbage")
    copy = m.Trade("BTCUSDT", kept.ts_event, stamp + 50, kept.seq, 0, 7, 100.0, 1.0, 1)
    publish(settings, live.name, live.partitions, beat, up, kept, copy, wrong, void)
    receipt = run(settings, of=Slice(stamp, stamp + 60 * NS))
    assert contents(settings, topic(settings)) == rows([up, kept], 4)
    assert (receipt.counts["duplicates"], receipt.counts["voided"]) == (1, 1)


def test_a_repeated_replay_adds_nothing(settings: Settings, backfill: TopicPin) -> None:
    load(settings, backfill, *history())
    first = run(settings)
    held = contents(settings, topic(settings))
    again = run(settings)
    assert contents(settings, topic(settings)) == held
    assert (again.outcome, again.counts["written"], again.counts["already"]) == ("unchanged", 0, 200)
    assert again.before == again.after == first.after


def test_a_half_finished_replay_is_completed(settings: Settings, backfill: TopicPin) -> None:
    messages = history()
    load(settings, backfill, *messages)
    topics.create(client.admin(settings), settings, topic(settings), 4, topics.FOREVER)
    publish(settings, topic(settings), 4, *messages[:77])
    receipt = run(settings)
    assert contents(settings, topic(settings)) == rows(messages, 4)
    assert (receipt.counts["already"], receipt.counts["written"]) == (77, 123)


def test_symbols_and_kinds_choose_and_later_the_rest_is_added(settings: Settings, backfill: TopicPin) -> None:
    messages = history()
    quote = m.Quote("BTCUSDT", 0, T0 + 7, 1, 0, 1, 1.0, 2.0, 3.0, 4.0)
    load(settings, backfill, *messages, quote)
    only = run(settings, symbols=["BTCUSDT"], kinds=["trade"])
    assert only.counts["written"] == only.counts["messages"] == 40
    assert run(settings, symbols=["BTCUSDT"], kinds=["trade"]).counts["written"] == 0
    rest = run(settings)
    assert (rest.counts["already"], rest.counts["written"], rest.counts["messages"]) == (40, 161, 201)
    held = contents(settings, topic(settings))
    assert sorted(r for part in held.values() for r in part) == sorted(map(row, [*messages, quote]))


@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_target_of_another_size_gets_every_symbol_in_its_own_partition(
    settings: Settings, backfill: TopicPin, count: int
) -> None:
    messages = history()
    load(settings, backfill, *messages)
    topics.create(client.admin(settings), settings, topic(settings), count, topics.FOREVER)
    receipt = run(settings)
    assert contents(settings, topic(settings)) == rows(messages, count)
    assert receipt.counts["messages"] == 200


def test_late_messages_are_added_and_the_receipt_says_so(settings: Settings, backfill: TopicPin) -> None:
    messages = history()
    load(settings, backfill, *messages)
    run(settings)
    late = trade(T0 + 3)
    load(settings, backfill, late)
    receipt = run(settings)
    assert (receipt.counts["written"], receipt.counts["behind"]) == (1, 1)
    assert any("came late" in note for note in receipt.notes)
    assert row(late) in contents(settings, topic(settings))[partition_of("BTCUSDT", 4)]


def test_a_target_that_holds_something_else_in_the_slice_is_refused_whole(
    settings: Settings, backfill: TopicPin
) -> None:
    load(settings, backfill, *history())
    topics.create(client.admin(settings), settings, topic(settings), 4, topics.FOREVER)
    publish(settings, topic(settings), 4, trade(T0 + 5, price=1.0))
    held = contents(settings, topic(settings))
    with pytest.raises(BadInput, match="already holds messages that this replay would not write"):
        run(settings)
    assert contents(settings, topic(settings)) == held


def test_a_target_that_holds_a_message_twice_is_refused(settings: Settings, backfill: TopicPin) -> None:
    messages = history()
    load(settings, backfill, *messages)
    topics.create(client.admin(settings), settings, topic(settings), 4, topics.FOREVER)
    publish(settings, topic(settings), 4, messages[0], messages[0])
    with pytest.raises(BadInput, match="already holds a message twice"):
        run(settings)


def test_what_a_target_holds_outside_the_slice_is_none_of_its_business(
    settings: Settings, backfill: TopicPin
) -> None:
    messages = history()
    load(settings, backfill, *messages)
    topics.create(client.admin(settings), settings, topic(settings), 4, topics.FOREVER)
    elsewhere = [trade(T0 - 1, price=7.0), trade(T0 + 60 * NS, price=7.0)]
    publish(settings, topic(settings), 4, *elsewhere)
    assert run(settings).counts["written"] == 200
    assert run(settings).counts["written"] == 0


def test_two_at_once_end_as_one(settings: Settings, backfill: TopicPin) -> None:
    messages = history()
    load(settings, backfill, *messages)
    done: list[Receipt] = []
    both = [threading.Thread(target=lambda: done.append(run(settings))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert contents(settings, topic(settings)) == rows(messages, 4)
    assert sum(receipt.counts["written"] for receipt in done) == 200
    assert [receipt.counts["messages"] for receipt in done] == [200, 200]


def test_an_empty_slice_is_a_receipt_of_zero_and_makes_no_topic(
    settings: Settings, backfill: TopicPin
) -> None:
    load(settings, backfill, *history())
    receipt = run(settings, of=Slice(T0 - 7200 * NS, T0 - 3600 * NS))
    assert (receipt.outcome, receipt.counts["messages"]) == ("empty", 0)
    assert not exists(settings, topic(settings))


def test_a_target_that_would_not_keep_the_records_is_refused(settings: Settings, backfill: TopicPin) -> None:
    load(settings, backfill, *history())
    admin = client.admin(settings)
    bad = {
        "a": ({}, "retention.ms=604800000, so Kafka would delete"),
        "b": ({**topics.FOREVER, "message.timestamp.type": "LogAppendTime"}, "its own clock"),
        "c": ({**topics.FOREVER, "cleanup.policy": "compact"}, "compacted away"),
        "d": ({**topics.FOREVER, "retention.bytes": "1000"}, "retention.bytes=1000"),
    }
    made = [NewTopic(topic(settings, name), 4, 1, config=config) for name, (config, _) in bad.items()]
    for future in admin.create_topics(made, operation_timeout=30).values():
        future.result()
    for name, (_, why) in bad.items():
        with pytest.raises(BadInput, match=why):
            run(settings, to=name)
        assert contents(settings, topic(settings, name)) == {}


def test_topics_of_tapedecks_own_are_refused(settings: Settings, backfill: TopicPin) -> None:
    own = [pin.name for pin in topics.ensure(settings, VENDOR).log]
    for name in [*own, meta.topic_name(settings), "__consumer_offsets", settings.live_topic("binance_spot")]:
        with pytest.raises(BadInput, match=f"the topic {name} is .*: replay to another topic"):
            replay.prepare(settings, VENDOR, SLICE, f"kafka:{name}")


@pytest.mark.parametrize(
    "to",
    ["out", "zmq:", "zmq:tcp://x", "ftp:x", "kafka:", "kafka:a b", "kafka:..", "kafka:" + "x" * 250],
)
def test_a_bad_target_is_one_sentence(settings: Settings, backfill: TopicPin, to: str) -> None:
    with pytest.raises(BadInput, match=r"nothing to replay to|can't be a topic's name|can't be published at"):
        replay.preview(settings, *replay.prepare(settings, VENDOR, SLICE, to))


def test_a_symbol_that_nobody_knows_is_refused_and_one_of_the_log_is_not(
    settings: Settings, backfill: TopicPin
) -> None:
    load(settings, backfill, *history())
    assert run(settings, symbols=["SOLUSDT"]).counts["written"] == 40  # in no setting and no library
    with pytest.raises(BadInput, match=r"no symbol 'BTCUSD' \(did you mean 'BTCUSDT'\?\)"):
        run(settings, to="other", symbols=["BTCUSD"])
    assert not exists(settings, topic(settings, "other"))


def test_stretches_of_a_long_slice_give_the_same(
    settings: Settings, backfill: TopicPin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapedeck.log.reading.STRETCH_RECORDS", 20)
    messages = history()
    load(settings, backfill, *messages)
    assert run(settings).counts["written"] == 200
    assert contents(settings, topic(settings)) == rows(messages, 4)
    assert run(settings).counts["written"] == 0


def test_a_frozen_plan_reads_the_same_after_more_has_come(settings: Settings, backfill: TopicPin) -> None:
    load(settings, backfill, *history())
    order, plan = replay.prepare(settings, VENDOR, SLICE, f"kafka:{topic(settings)}")
    plans.keep(settings, plan)
    load(settings, backfill, trade(T0 + 11))
    kept = plans.load(settings, order.plan)
    copied = [replay.copy_part(settings, order, kept, p) for p in replay.parts(settings, order)]
    assert sum(part.messages for part in copied) == 200
    assert timeline(VENDOR, settings).count(SLICE.start, SLICE.end).messages == 201


def test_a_lease_is_held_by_one_and_found_again_when_it_has_run_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        lease.held(settings, "x"),
        pytest.raises(Unavailable, match=r"written by .* for longer than 0 s"),
        lease.held(settings, "x", patience=0),
    ):
        pass
    with lease.held(settings, "x", patience=0) as held:
        held.check()
        monkeypatch.setattr(held, "_renewed", time.monotonic() - lease.SECONDS)
        with pytest.raises(Unavailable, match="has run out"):
            held.check()


def test_a_slice_of_which_kafka_has_deleted_some_is_refused_unless_what_is_left_is_wanted(
    settings: Settings,
) -> None:
    log = Published(settings)
    log.register(RECENT)
    log.publish(*(trade(RECENT + i * NS) for i in range(1, 60)))
    log.close(RECENT + 300 * NS)
    log.cut(30)
    of, to = Slice(RECENT, RECENT + 60 * NS), f"kafka:{settings.kafka.prefix}left"
    with pytest.raises(BadInput, match=r"Kafka has deleted records of binance_usdm .*--partial"):
        replay.prepare(settings, VENDOR, of, to)
    origin = Origin(who="test", started=time.time_ns())
    receipt = replay.replay(settings, VENDOR, of, to, origin=origin, partial=True)
    assert (receipt.complete, receipt.counts["written"]) == (False, 30)
    assert any("Kafka has deleted" in note for note in receipt.notes)
