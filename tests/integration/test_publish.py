"""The publisher against a real broker: everything on the tape is in the log, in order, resumed exactly."""

from __future__ import annotations

import json

import msgspec
import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from msgspec import structs

from tapedeck import metrics, vendors
from tapedeck.clock import Stamps
from tapedeck.errors import BadInput, Mismatch
from tapedeck.log import meta, quarantine, topics
from tapedeck.message import (
    CONNECTED,
    DISCONNECTED,
    Heartbeat,
    Message,
    Status,
    Trade,
)
from tapedeck.metrics import Values
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.settings import Tape as TapeSettings
from tapedeck.slices import NS, Slice
from tapedeck.tape import alone, lock, position
from tapedeck.tape import publish as publish_module
from tests.tapes import (
    VENDOR,
    Tape,
    files,
    firsts,
    messages,
    payloads,
    publish_all,
    publishing,
    records,
    until,
)


def normalised(stamps: list[int], sent: list[bytes]) -> list[Message]:
    """What the tape's lines must become."""
    vendor = vendors.get(VENDOR)
    return [m for at, p in zip(stamps, sent, strict=True) for m in vendor.normalise(p, at, 1)]  # type: ignore[misc]


def by_partition(wanted: list[Message], partitions: int) -> list[list[Message]]:
    return [[m for m in wanted if partition_of(m.symbol, partitions) == p] for p in range(partitions)]


def test_every_line_is_published_in_order_to_its_symbols_partition_with_key_and_time(
    settings: Settings,
) -> None:
    tape = Tape(settings)
    sent = payloads(2000)
    stamps = tape.take(*sent)
    tape.end()
    assert publish_all(settings) == []
    pin = topics.verify(settings, VENDOR).live[0]
    log = [firsts(partition) for partition in messages(settings, pin)]
    assert log == by_partition(normalised(stamps, sent), 4)
    for p, partition in enumerate(records(settings, pin)):
        for part in partition:
            for ms, key, value in zip(part.timestamps_ms, part.keys, part.values, strict=True):
                fields = msgspec.msgpack.decode(value)
                assert (key, ms) == (fields[1].encode(), fields[3] // 1_000_000)
                assert fields[1] == "*" or partition_of(fields[1], 4) == p


def test_heartbeats_say_what_was_sent_before_them_in_each_partition(settings: Settings) -> None:
    first = Tape(settings)
    for part in range(5):
        first.take(*payloads(100 + part, seed=part))
        first.own("heartbeat")
    first.writer.close()
    second = Tape(settings, stamps=first.stamps)  # the first life was killed
    second.take(*payloads(50))
    second.end()
    publish_all(settings)
    beats = 0
    for log in messages(settings, topics.verify(settings, VENDOR).live[0]):
        before = {first.life: 0, second.life: 0}
        for message in log:
            life = max(since for since in before if since <= message.ts_recv)
            if isinstance(message, Heartbeat):
                assert (message.since, message.sent) == (life, before[life])
                beats += 1
            else:
                before[life] += 1
    assert beats == 4 * 6


def test_the_connections_changes_are_statuses_whose_copy_in_the_stars_partition_counts(
    settings: Settings,
) -> None:
    tape = Tape(settings)
    up = tape.own("connect", why="tcp://somewhere")
    down = tape.own("disconnect", why="gone")
    tape.end()
    publish_all(settings)
    expected = [
        Status("*", 0, up, 0, 0, 1, CONNECTED, "tcp://somewhere"),
        Status("*", 0, down, 0, 0, 1, DISCONNECTED, "gone"),
    ]
    for p, log in enumerate(messages(settings, topics.verify(settings, VENDOR).live[0])):
        assert log[:2] == expected
        assert isinstance(log[2], Heartbeat)
        assert log[2].sent == (2 if p == partition_of("*", 4) else 0)


def test_a_life_is_registered_by_its_first_stamp_and_closed_behind_its_closing_heartbeat(
    settings: Settings,
) -> None:
    tape = Tape(settings)
    tape.take(*payloads(100))
    with publishing(settings):
        until(lambda: [life.since for life in meta.read(settings).lives] == [tape.life])
        assert meta.read(settings).lives[0].closed is None
        closing = tape.end()
    pin = topics.verify(settings, VENDOR).live[0]
    [life] = meta.read(settings).lives
    assert (life.vendor, life.src, life.topic_id, life.closed) == (VENDOR, 1, pin.id, closing)
    log = messages(settings, pin)
    assert life.closing == {p: len(log[p]) for p in range(4)}
    assert all(isinstance(part[-1], Heartbeat) and part[-1].closing == 1 for part in log)


def test_what_cannot_be_normalised_is_quarantined_with_its_reason_and_keeps_its_k(
    settings: Settings,
) -> None:
    tape = Tape(settings)
    good = payloads(3)
    stamps = tape.take(good[0], b"\xff not\njson", good[1], b'{"result":null,"id":1}', b"!", good[2])
    place = (tape.folder / files(tape.folder)[0]).stat().st_size
    tape.writer.write(b"no line of a tape\n")
    last = tape.take(payloads(4)[3])[0]
    tape.end()
    publish_all(settings)
    entries = quarantine.standing(settings, VENDOR)
    assert [(e.payload, e.src, e.recv_ns, e.k) for e in entries] == [
        (b"\xff not\njson", 1, stamps[1], 0),
        (b"!", 1, stamps[4], 0),
        (b"no line of a tape", 1, stamps[5], -place - 1),
    ]
    assert [bool(e.reason) for e in entries] == [True, True, True]
    assert entries[2].reason == "the tape's line is damaged"
    assert quarantine.count(settings, VENDOR, Slice(stamps[1], stamps[4])) == 1
    log = [
        m.ts_recv
        for part in messages(settings, topics.verify(settings, VENDOR).live[0])
        for m in firsts(part)
    ]
    assert sorted(log) == [stamps[0], stamps[2], stamps[5], last]
    counts = position.load(tape.folder)
    assert counts is not None
    assert (counts.counts["refused"], counts.counts["chatter answer"]) == (3, 1)


def test_a_message_too_long_for_kafka_is_quarantined_before_it_is_produced(settings: Settings) -> None:
    tape = Tape(settings)
    level = b'["1.5","2.5"],'
    levels = level * 80_000
    book = (
        b'{"stream":"btcusdt@depth","data":{"e":"depthUpdate","E":1700000000000,"s":"BTCUSDT","U":1,"u":2,'
        b'"pu":0,"b":[%b],"a":[]}}' % levels[:-1]
    )
    [before, stamp, after] = tape.take(payloads(1)[0], book, payloads(2)[1])
    tape.end()
    assert publish_all(settings) == []
    [entry] = quarantine.standing(settings, VENDOR)
    assert (entry.recv_ns, entry.size, entry.payload) == (stamp, len(book), book[: quarantine.CUT])
    assert "longer than" in entry.reason
    log = [
        m.ts_recv
        for part in messages(settings, topics.verify(settings, VENDOR).live[0])
        for m in firsts(part)
    ]
    assert sorted(log) == [before, after]


def test_resuming_sends_nothing_again_that_was_acknowledged(settings: Settings) -> None:
    tape = Tape(settings, size=20_000)
    sent = payloads(900)
    stamps = []
    for part in range(3):
        stamps += tape.take(*sent[part * 300 : part * 300 + 300])
        publish_all(settings)
    tape.end()
    publish_all(settings)
    log = messages(settings, topics.verify(settings, VENDOR).live[0])
    bare = [[m for m in part if not isinstance(m, Heartbeat)] for part in log]
    assert bare == by_partition(normalised(stamps, sent), 4)
    assert [part[-1].sent for part in log] == [len(part) for part in bare]  # type: ignore[union-attr]


def test_a_lane_behind_the_others_is_resumed_by_itself_with_its_own_count(settings: Settings) -> None:
    tape = Tape(settings)
    sent = payloads(400)
    stamps = tape.take(*sent[:200])
    publish_all(settings)
    whole = position.load(tape.folder)
    assert whole is not None
    pin = topics.verify(settings, VENDOR).live[0]
    late = next(p for p in range(4) if len(messages(settings, pin)[p]) > 20)
    lanes = list(whole.lanes)
    lanes[late] = position.Lane(lanes[late].segment, 0, 0)  # as if this one were never acknowledged
    position.save(tape.folder, msgspec.structs.replace(whole, lanes=lanes))
    stamps += tape.take(*sent[200:])
    tape.end()
    publish_all(settings)
    log = messages(settings, pin)
    wanted = by_partition(normalised(stamps, sent), 4)
    for p in range(4):
        resent = [m for m in wanted[p] if m.ts_recv <= stamps[199]] if p == late else []
        assert [m for m in log[p] if not isinstance(m, Heartbeat)] == [
            *[m for m in wanted[p] if m.ts_recv <= stamps[199]],
            *resent,
            *[m for m in wanted[p] if m.ts_recv > stamps[199]],
        ]
        assert log[p][-1].sent == len(wanted[p])  # type: ignore[union-attr]


def test_a_message_is_in_kafka_soon_after_it_is_on_the_tape_while_the_taper_goes_on(
    settings: Settings,
) -> None:
    tape = Tape(settings)
    sent = payloads(3)
    with publishing(settings):
        for i, payload in enumerate(sent):
            tape.take(payload)
            until(
                lambda wanted=i + 1: (
                    sum(len(part) for part in _live(settings)) == wanted  # type: ignore[misc]
                )
            )


def _live(settings: Settings) -> list[list[Message]]:
    known = meta.read(settings)
    return messages(settings, known.topics(VENDOR).live[0]) if known.pins else []


def test_lines_over_fifty_minutes_ahead_wait_for_the_clock_with_an_alarm(settings: Settings) -> None:
    tape = Tape(settings)
    ahead = Stamps(above=tape.life + 70 * 60 * NS)
    good = tape.take(*payloads(5))
    tape.stamps = ahead
    tape.take(*payloads(6)[5:])
    shown: list[tuple[str, Values]] = []
    with publishing(settings, show=lambda held, values: shown.append((held, values))) as said:
        until(lambda: any("50 minutes ahead" in sentence for sentence in said))
        until(lambda: sum(len(part) for part in _live(settings)) == 5)
        until(lambda: "50 minutes ahead" in shown[-1][0])
    assert shown[-1][1][metrics.HOLDS] == 1
    assert "remains on the tape" in said[-1]
    assert sorted(m.ts_recv for part in _live(settings) for m in part) == good


def test_after_a_refusal_for_good_nothing_behind_overtakes(settings: Settings) -> None:
    topics.ensure(settings, VENDOR)
    pin = topics.verify(settings, VENDOR).live[0]
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap})

    def allow_ahead(milliseconds: int) -> None:
        entry = ConfigEntry(
            "message.timestamp.after.max.ms", str(milliseconds), incremental_operation=AlterConfigOpType.SET
        )
        resource = ConfigResource(ResourceType.TOPIC, pin.name, incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(10)

    allow_ahead(60_000)
    tape = Tape(settings)
    sent = payloads(3000)
    stamps = tape.take(*sent[:1000])
    tape.stamps = Stamps(above=tape.life + 10 * 60 * NS)  # refused while only a minute is allowed
    with publishing(settings) as said:
        stamps += tape.take(*sent[1000:])
        until(lambda: any("for good" in sentence for sentence in said))
        allow_ahead(3_600_000)
        until(lambda: sum(len(firsts(part)) for part in messages(settings, pin)) == 3000)
    log = [firsts(part) for part in messages(settings, pin)]
    assert log == by_partition(normalised(stamps, sent), 4)


def test_a_topic_that_is_made_again_stops_the_publisher_with_a_sentence(settings: Settings) -> None:
    tape = Tape(settings)
    tape.take(*payloads(10))
    publish_all(settings)
    pin = topics.verify(settings, VENDOR).live[0]
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap})
    with pytest.raises(Mismatch, match=r"is gone|deleted"), publishing(settings) as said:  # noqa: PT012
        until(lambda: position.load(tape.folder) is not None)
        admin.delete_topics([pin.name])[pin.name].result(10)
        again = NewTopic(pin.name, num_partitions=4, replication_factor=1)
        admin.create_topics([again])[pin.name].result(10)
        tape.take(*payloads(20)[10:])  # the producer would go on in the new topic without a word
        until(lambda: bool(said) or not lock.is_held(tape.folder, "publisher"))
    assert json.loads((tape.folder / position.FILE).read_text())["topic_id"] == pin.id


def test_a_position_of_another_topic_is_refused_with_what_to_do(settings: Settings) -> None:
    tape = Tape(settings)
    tape.take(*payloads(10))
    publish_all(settings)
    found = position.load(tape.folder)
    assert found is not None
    position.save(tape.folder, msgspec.structs.replace(found, topic_id="another"))
    with pytest.raises(Mismatch, match="remove that file to publish the whole tape"):
        publish_all(settings)
    (tape.folder / position.FILE).unlink()
    publish_all(settings)
    log = messages(settings, topics.verify(settings, VENDOR).live[0])
    assert [len(firsts(part)) * 2 for part in log] == [len(part) for part in log]
    assert all(isinstance(m, Trade) or m.ts_recv for part in log for m in part)


def test_a_publisher_whose_number_is_alive_elsewhere_refuses_to_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = Tape(settings)
    tape.take(*payloads(10))
    tape.own("heartbeat")
    publish_all(settings)
    publish_all(settings)  # its own life, which is open, keeps nobody out
    there = structs.replace(settings, state_dir=f"{settings.state_dir}-elsewhere")
    Tape(there).take(*payloads(10))
    with pytest.raises(BadInput, match="collector 1 of binance_usdm is alive elsewhere: it beat at"):
        publish_all(there)
    assert len(meta.read(settings).lives) == 1
    monkeypatch.setattr(alone, "ALIVE_SECONDS", 0)
    publish_all(there)
    assert len(meta.read(settings).lives) == 2


def test_old_segments_go_once_kafka_has_acknowledged_them_and_publishing_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_module, "PRUNE_SECONDS", 0.1)
    settings = structs.replace(settings, tape=TapeSettings(keep_bytes=20_000))
    tape = Tape(settings, size=10_000)
    sent = payloads(500)
    stamps = tape.take(*sent[:1])
    for payload in sent[1:]:
        stamps += tape.take(payload)
    tape.writer.rotate()
    assert len(files(tape.folder)) > 5
    with publishing(settings):
        until(lambda: len(files(tape.folder)) <= 3)
        stamps += tape.take(*sent[:100])
    log = [m for part in messages(settings, topics.verify(settings, VENDOR).live[0]) for m in firsts(part)]
    assert sorted(m.ts_recv for m in log) == stamps
