"""The log by time, on a real broker."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from msgspec import structs

from tapedeck import message as m
from tapedeck.errors import BadInput, Incomplete, Mismatch
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import Extent, Life, Meta
from tapedeck.log.plan import Range, from_json
from tapedeck.log.read import read
from tapedeck.log.resolve import resolve
from tapedeck.log.stop import first_shown
from tapedeck.log.timeline import timeline
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tests.published import Published

VENDOR = "binance_usdm"
T0 = (time.time_ns() // NS // 3600 - 6) * 3600 * NS  # within the live topic's retention


def trade(ts: int, symbol: str = "BTCUSDT", src: int = 1, seq: int = 0) -> m.Trade:
    return m.Trade(symbol, ts, ts, seq or ts - T0 + 86_400 * NS, 0, src, 100.0, 1.0, 1)


def publish(settings: Settings, pin: meta.TopicPin, *messages: m.Message) -> None:
    """Publish in the order given; heartbeats go to every partition."""
    producer = client.producer(settings)
    for message in messages:
        home = partition_of(message.symbol, pin.partitions)
        everywhere = isinstance(message, m.Heartbeat | m.Void) and message.symbol == m.WHOLE_FEED
        for partition in range(pin.partitions) if everywhere else [home]:
            producer.produce(
                pin.name, m.encode(message), key=message.symbol, partition=partition,
                timestamp=message.ts_recv // 1_000_000,
            )  # fmt: skip
    assert producer.flush(20) == 0


def beat(ts: int, since: int, src: int = 1, closing: int = 0) -> m.Heartbeat:
    return m.Heartbeat("*", 0, ts, 0, 0, src, since, 0, closing)


def stamps(settings: Settings, start: int, end: int) -> list[int]:
    return [message.ts_recv for message in timeline(VENDOR, settings).between(start, end)]


def test_topics_are_made_once_with_the_right_retention_and_pinned(settings: Settings) -> None:
    made = topics.ensure(settings, VENDOR)
    again = topics.ensure(settings, VENDOR)
    assert made == again
    assert len({pin.number for pin in (*made.log, made.quarantine)}) == 3
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap})
    names = [made.live[0].name, made.backfill.name, made.quarantine.name, meta.topic_name(settings)]
    configs = topics.configs(admin, names)
    assert configs[names[0]]["retention.ms"] == str(7 * 86_400_000)
    for name in names[1:3]:
        assert configs[name]["retention.ms"] == configs[name]["retention.bytes"] == "-1"
    assert configs[names[3]]["cleanup.policy"] == "compact"
    assert {configs[name]["message.timestamp.type"] for name in names} == {"CreateTime"}


def test_a_topic_pinned_with_another_partitioner_is_refused_with_a_sentence(settings: Settings) -> None:
    pinned = topics.ensure(settings, VENDOR)
    known = meta.read(settings)
    other = structs.replace(pinned.live[0], partitioner="crc32")
    with pytest.raises(Mismatch, match="pinned with the partitioner crc32"):
        topics.verify(settings, VENDOR, Meta({**known.pins, other.id: other}, known.lives, known.extents))


def test_a_topic_made_again_is_refused_with_a_sentence(settings: Settings) -> None:
    Published(settings).delete()
    with pytest.raises(Mismatch, match=r"is gone|made again"):
        topics.verify(settings, VENDOR)


def test_a_backfill_topic_with_a_retention_is_refused(settings: Settings) -> None:
    made = topics.ensure(settings, VENDOR)
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, made.backfill.name, incremental_configs=[entry])
    admin = client.admin(settings)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)
    with pytest.raises(Mismatch, match=r"retention\.ms=1000 but needs -1"):
        topics.verify(settings, VENDOR)


def test_a_slice_is_half_open_to_the_nanosecond(settings: Settings) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    publish(settings, pin, *(trade(T0 + i) for i in (0, 1, 2, 1_000_000, 1_000_001)))
    assert stamps(settings, T0, T0 + 2) == [T0, T0 + 1]
    assert stamps(settings, T0 + 2, T0 + 1_000_001) == [T0 + 2, T0 + 1_000_000]
    assert stamps(settings, T0 + 3, T0 + 1_000_000) == []


def test_an_empty_log_and_a_slice_past_its_end_hold_nothing(settings: Settings) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    assert stamps(settings, T0, T0 + NS) == []
    publish(settings, pin, trade(T0))
    assert stamps(settings, T0 + 3600 * NS, T0 + 3601 * NS) == []
    assert stamps(settings, T0 - 3600 * NS, T0) == []


def test_a_vendor_of_which_nothing_is_recorded_is_one_sentence(settings: Settings) -> None:
    with pytest.raises(BadInput, match="nothing is recorded of binance_usdm yet"):
        timeline(VENDOR, settings).between(T0, T0 + 1)


def test_spooled_messages_hours_behind_are_in_the_slice_and_the_stop_is_exact(settings: Settings) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    since = T0 - 10 * NS
    meta.put(settings, *(Life(vendor=VENDOR, src=s, since=since, topic_id=pin.id) for s in (1, 2)))
    hours = 3 * 3600 * NS
    publish(settings, pin, beat(since, since), trade(T0 + 1), beat(T0 + hours, since))
    line = timeline(VENDOR, settings)
    waiting = line.between(T0, T0 + NS)
    assert not waiting.plan.complete
    assert "collector 2 has not yet shown a time past" in waiting.plan.notes[0]
    with pytest.raises(Incomplete, match="collector 2"):
        line.between(T0, T0 + NS, incomplete="refuse")
    publish(settings, pin, trade(T0 + 2, src=2), beat(T0 + hours, since, src=2))
    whole = line.between(T0, T0 + NS)
    assert whole.plan.complete
    assert {r.stop_reason for r in whole.plan.ranges if r.topic == pin.name} == {"exact"}
    assert [message.ts_recv for message in whole] == [T0 + 1, T0 + 2]


def test_a_closed_collector_is_not_waited_for(settings: Settings) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    since = T0 - NS
    publish(settings, pin, beat(since, since), trade(T0), beat(T0 + NS, since, closing=1))
    ends = {p: 3 if p == partition_of("BTCUSDT", pin.partitions) else 2 for p in range(pin.partitions)}
    life = Life(vendor=VENDOR, src=1, since=since, topic_id=pin.id, closed=T0 + NS, closing=ends)
    meta.put(settings, life)
    reading = timeline(VENDOR, settings).between(T0, T0 + 7200 * NS)
    assert reading.plan.complete
    assert reading.count().messages == 1


def test_backfill_extents_join_the_timeline_and_resends_are_left_out(settings: Settings) -> None:
    made = topics.ensure(settings, VENDOR)
    home = partition_of("BTCUSDT", made.backfill.partitions)
    old = [trade(T0 - 86_400 * NS + i, src=5000) for i in range(10)]
    publish(settings, made.backfill, *old, *old[3:6])
    extent = Extent(
        id="a", vendor=VENDOR, topic_id=made.backfill.id, src=5000, start={home: 0}, next={home: 13},
        first=old[0].ts_recv, last=old[-1].ts_recv,
    )  # fmt: skip
    meta.put(settings, extent)
    count = timeline(VENDOR, settings).count(T0 - 86_400 * NS, T0)
    assert (count.messages, count.duplicates) == (10, 3)
    assert timeline(VENDOR, settings).plan(T0, T0 + NS).records == 0


def test_poison_is_counted_and_its_neighbours_stay(settings: Settings) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    producer = client.producer(settings)
    home = partition_of("BTCUSDT", pin.partitions)
    for i, value in enumerate([m.encode(trade(T0)), b"\xc1", b"", m.encode(trade(T0 + 3_000_000))]):
        producer.produce(pin.name, value, key="BTCUSDT", partition=home, timestamp=T0 // 1_000_000 + i)
    wrong_home = (home + 1) % pin.partitions
    producer.produce(
        pin.name, m.encode(trade(T0)), key="BTCUSDT", partition=wrong_home, timestamp=T0 // 1_000_000
    )
    assert producer.flush(10) == 0
    count = timeline(VENDOR, settings).count(T0, T0 + NS)
    assert (count.messages, count.undecodable) == (2, 3)


def test_a_cut_log_is_flagged_and_never_passed_off_as_whole(settings: Settings) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    since = T0 - NS
    meta.put(settings, Life(vendor=VENDOR, src=1, since=since, topic_id=pin.id))
    publish(settings, pin, beat(since, since), *(trade(T0 + i * NS) for i in range(10)))
    publish(settings, pin, beat(T0 + 100 * NS, since))
    plan = resolve(settings, VENDOR, Slice(T0, T0 + 10 * NS))
    assert plan.complete
    home = partition_of("BTCUSDT", pin.partitions)
    admin = client.admin(settings)
    for future in admin.delete_records([TopicPartition(pin.name, home, 5)]).values():
        future.result(10)
    with pytest.raises(Incomplete, match="no longer holds offset"):
        list(read(settings, plan.ranges))
    cut = resolve(settings, VENDOR, Slice(T0, T0 + 10 * NS))
    assert cut.expired == (home,)
    assert not cut.complete
    assert len(stamps(settings, T0, T0 + 10 * NS)) == 6


def test_a_plan_is_the_same_after_storing_and_gives_the_same_records(settings: Settings) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    publish(settings, pin, *(trade(T0 + i * NS) for i in range(10)))
    plan = resolve(settings, VENDOR, Slice(T0, T0 + 5 * NS))
    publish(settings, pin, *(trade(T0 + NS + i) for i in range(1, 5)))
    stored = from_json(plan.to_json())
    assert stored == plan
    assert stored.digest == plan.digest
    values = [value for records in read(settings, stored.ranges) for value in records.values]
    assert len(values) == 10


def test_a_slice_read_in_stretches_holds_what_it_holds_read_whole(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapedeck.log.reading.STRETCH_RECORDS", 10)
    pin = topics.ensure(settings, VENDOR).live[0]
    since = T0 - NS
    meta.put(settings, Life(vendor=VENDOR, src=1, since=since, topic_id=pin.id))
    wanted = [T0 + i * 97 * NS for i in range(40)]
    publish(settings, pin, beat(since, since), *(trade(t) for t in wanted), beat(T0 + 9000 * NS, since))
    assert stamps(settings, T0, T0 + 5000 * NS) == wanted


def test_a_source_that_was_retired_long_ago_does_not_make_new_slices_partial(settings: Settings) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    gone, since = T0 - 3600 * NS, T0 - NS
    lives = [Life(vendor=VENDOR, src=2, since=gone, topic_id=pin.id, retired=True)]
    meta.put(settings, *lives, Life(vendor=VENDOR, src=1, since=since, topic_id=pin.id))
    publish(settings, pin, beat(gone, gone, src=2), beat(since, since), trade(T0))
    publish(settings, pin, beat(T0 + 100 * NS, since), beat(T0 + 200 * NS, since))
    admin = client.admin(settings)
    everywhere = [TopicPartition(pin.name, p, 1) for p in range(pin.partitions)]
    for future in admin.delete_records(everywhere).values():
        future.result(10)
    assert resolve(settings, VENDOR, Slice(T0 + 40 * NS, T0 + 60 * NS)).notes == ()
    assert resolve(settings, VENDOR, Slice(gone, gone + NS)).expired == tuple(range(pin.partitions))


def test_who_shows_itself_late_in_one_partition_is_found_while_the_others_are_done(
    settings: Settings,
) -> None:
    pin = topics.ensure(settings, VENDOR).live[0]
    names: dict[int, str] = {}
    for n in range(100):
        names.setdefault(partition_of(f"S{n}", pin.partitions), f"S{n}")
    late = 3
    sources = {p: 2 if p == late else 1 for p in range(pin.partitions)}
    publish(
        settings, pin,
        *(trade(T0 + i * NS // 100, names[p], sources[p]) for i in range(3000) for p in names),
        *(trade(T0 + 60 * NS, names[p], 1) for p in names),
    )  # fmt: skip
    ranges = [
        Range(
            topic=pin.name, topic_id=pin.id, number=pin.number, partition=p, start=0, stop=3001,
            start_reason="exact", stop_reason="exact",
        )
        for p in names
    ]  # fmt: skip
    shown = first_shown(settings, ranges, [1], T0)
    assert {p: found[1].offset for p, found in shown.items()} == {p: 3000 if p == late else 0 for p in names}
