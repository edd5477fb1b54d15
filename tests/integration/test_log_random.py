"""Random logs, and slices of them held against a scan of everything by the plain words of DESIGN §2.

The scan reads each topic from its first record to its last with a bare consumer, decodes with the
`msgpack` package and judges one message at a time; it shares no code with what it checks.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgpack
import pytest
from confluent_kafka import TopicPartition
from msgspec import structs

from tapedeck import message as m
from tapedeck.log import client
from tapedeck.log import reading as readings
from tapedeck.log.meta import VendorTopics
from tapedeck.log.timeline import timeline
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings, Vendor
from tapedeck.slices import NS
from tests.published import T0, VENDOR, Published

MARGIN = 2 * NS
SPAN = 120 * NS
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
FILE = 1007
LONG = {"t": "trade", "q": "quote", "b": "book", "s": "status", "f": "fields"}
Name = tuple[int, str, str, int]
"""(src, kind, symbol, ts_recv)."""


@dataclass
class Scanned:
    """One record of the log."""

    topic: int
    backfill: bool
    partition: int
    offset: int
    ms: int
    fields: list[Any] = field(default_factory=list)

    @property
    def name(self) -> Name:
        kind, symbol, _, ts_recv, _, _, src = self.fields[:7]
        return src, LONG[kind], symbol, ts_recv


def market(log: Published, dice: random.Random, dead: bool, grown: int = 0) -> None:
    """Two collectors on one bus, the second spooling for long; a third that ends, cleanly or not; a file.

    `grown`: the vendor grows to so many partitions in between, and the first two move, one after the other.
    """
    per_source: dict[int, list[m.Message]] = {1: [], 2: [], 3: []}
    stamp = dict.fromkeys((*per_source, FILE), T0)
    captured: list[m.Message] = []
    for seq in range(1, 90):
        at = T0 + dice.randrange(SPAN // 90) + seq * (SPAN // 90)
        symbol, kind = dice.choice(SYMBOLS), dice.choice("ttqbsf")
        repeats = 2 if dice.random() < 0.2 else 1
        for src in (1, 2, 3, FILE):
            if dice.random() < 0.3 or (src == 3 and at > T0 + SPAN // 2):
                continue
            for _ in range(repeats):
                ts = stamp[src] = max(stamp[src] + dice.choice((1, 999, 10**6)), at + dice.randrange(NS // 4))
                one = said(kind, symbol, ts, seq if kind != "f" else 0, src, dice.randrange(2))
                (captured if src == FILE else per_source[src]).append(one)
    for src, own in per_source.items():
        since = T0 + src
        log.register(since, src)
        end = T0 + SPAN // 2 + 2 * NS if src == 3 else T0 + 2 * SPAN
        beats = range(T0 + 5 * NS, end, 5 * NS)
        own += [m.Heartbeat("*", 0, t + src, 0, 0, src, since) for t in beats]
        own.sort(key=lambda one: one.ts_recv)
    spooled = dice.randrange(20, 60) * NS
    order = sorted(
        (one for own in per_source.values() for one in own),
        key=lambda one: one.ts_recv + (spooled if one.src == 2 and one.ts_recv < T0 + SPAN else 0),
    )
    order = in_order_of_each(order)
    for _ in range(3):  # publishers that were killed resend
        at = dice.randrange(20, len(order))
        src = order[at].src
        order[at:at] = [one for one in order[at - 20 : at] if one.src == src]
    moves = dict.fromkeys(per_source, T0 + 9 * SPAN)
    if grown:
        moves |= {1: T0 + SPAN // 3 + 1, 2: T0 + SPAN // 3 + 10 * NS + 2}
    before = [one for one in order if one.ts_recv < moves[one.src]]
    log.publish(*before[:100])
    log.garbage(before[99].ts_recv)
    log.publish(*before[100:])
    if grown:
        new = log.grow(grown)
        for src in (1, 2):
            log.move(moves[src], src)
        after = [one for one in order if one.ts_recv >= moves[one.src]]
        after = [structs.replace(x, since=moves[x.src]) if isinstance(x, m.Heartbeat) else x for x in after]
        log.publish(*after, to=new)
        log.garbage(after[-1].ts_recv, to=new)
    if not dead:
        log.close(T0 + SPAN // 2 + 3 * NS, 3)
    log.load(captured[: len(captured) // 2], FILE)
    end = log.ends(log.topics.backfill)
    symbol = dice.choice(SYMBOLS)
    voids: list[m.Message] = [
        m.Void("*", 0, T0 + 20 * NS, 0, 0, dice.choice((1, 2)), T0 + 25 * NS, 0, "test"),
        m.Void(
            symbol, 0, T0, 0, 0, FILE, T0 + SPAN, end[partition_of(symbol, log.live.partitions)] // 2, "test"
        ),
    ]
    log.load(voids, FILE)
    log.load(captured[len(captured) // 3 :], FILE)  # an earlier part again


def said(kind: str, symbol: str, ts: int, seq: int, src: int, flag: int) -> m.Message:
    if kind == "t":
        return m.Trade(symbol, 0, ts, seq, 0, src, 1.0, 2.0, 1)
    if kind == "q":
        return m.Quote(symbol, 0, ts, seq, 0, src, 1.0, 2.0)
    if kind == "b":
        return m.Book(symbol, 0, ts, seq, 0, src, seq % 2, [(1.0, 2.0)] * flag)
    if kind == "s":
        return m.Status("*" if seq % 3 == 0 else symbol, 0, ts, seq, 0, src, m.OTHER, "x")
    return m.Fields(symbol, 0, ts, 0, 0, src, {"mark": 1.0})


def in_order_of_each(order: list[m.Message]) -> list[m.Message]:
    """The same places for each source, its own messages in the order of their stamps."""
    own = {
        src: iter(sorted((x for x in order if x.src == src), key=lambda x: x.ts_recv)) for src in (1, 2, 3)
    }
    return [next(own[one.src]) for one in order]


def scan(log: Published) -> list[Scanned]:
    """Every record of the vendor's topics."""
    found: list[Scanned] = []
    with client.consumer(log.settings) as consumer:
        for pin in log.topics.log:
            for p in range(pin.partitions):
                low, high = consumer.get_watermark_offsets(TopicPartition(pin.name, p), 10)
                consumer.assign([TopicPartition(pin.name, p, low)])
                left = high - low
                while left:
                    for record in consumer.consume(1000, 0.1):
                        if record.error() is None:
                            left -= 1
                            one = Scanned(
                                pin.number, pin.role == "backfill", p, record.offset(), record.timestamp()[1]
                            )
                            if record.value()[:1] != b"\xc1":
                                one.fields = msgpack.unpackb(record.value())
                            found.append(one)
    return found


def judged(log: list[Scanned], pins: VendorTopics) -> dict[str, list[Name]]:
    """Names of messages that are kept, duplicate, voided."""
    home = {pin.number: partition_of("*", pin.partitions) for pin in pins.log}
    voids = [one for one in log if one.fields and one.fields[0] == "v"]
    out: dict[str, list[Name]] = {"kept": [], "duplicate": [], "voided": []}
    seen: set[Name] = set()
    likes: dict[tuple[Any, ...], list[Scanned]] = defaultdict(list)
    for one in sorted(log, key=lambda one: (one.topic, one.offset)):
        if not one.fields or one.fields[0] in "hv":
            continue
        kind, symbol, _, _, seq = one.fields[:5]
        if symbol == "*" and one.partition != home[one.topic]:
            continue
        if any(is_meant(one, void, pins.groups) for void in voids):
            out["voided"].append(one.name)
        elif one.name in seen:
            out["duplicate"].append(one.name)
        else:
            seen.add(one.name)
            if kind == "s" or not seq:
                out["kept"].append(one.name)
            else:
                likes[kind, symbol, one.fields[7] if kind == "b" else 0, seq].append(one)
    for group in likes.values():
        of_source: dict[int, list[Scanned]] = defaultdict(list)
        for one in sorted(group, key=lambda one: one.fields[3]):
            of_source[one.fields[6]].append(one)
        most = max(map(len, of_source.values()))
        for n in range(most):
            nth = sorted(
                (own[n] for own in of_source.values() if n < len(own)), key=lambda one: one.fields[6]
            )
            out["kept"].append(nth[0].name)
            out["duplicate"] += [one.name for one in nth[1:]]
    return out


def is_meant(one: Scanned, void: Scanned, groups: int) -> bool:
    _, symbol, _, start, _, _, src, end, before, _ = void.fields
    if one.partition % groups != void.partition or src != one.fields[6] or not start <= one.fields[3] < end:
        return False
    if symbol not in ("*", one.fields[1]):
        return False
    return not one.backfill or one.offset < before


def raw_names(reading: readings.Reading) -> Iterator[Name]:
    """Of the raw records, each proved to be whole: its key, its CreateTime, its partition."""
    for records in reading.records():
        for i, value in enumerate(records.values):
            kind, symbol, _, ts_recv, _, _, src = msgpack.unpackb(value)[:7]
            assert records.keys[i] == symbol.encode()
            assert records.timestamps_ms[i] == ts_recv // 10**6
            assert records.range.partition == partition_of(symbol, reading.plan.count_of(records.range))
            yield src, LONG[kind], symbol, ts_recv


def bounds_of(names: list[Name], dice: random.Random) -> list[tuple[int, int]]:
    """Slices: exactly on messages and one ns beside, within a ms, before all, after all, of everything."""
    stamps = sorted({name[3] for name in names})
    found = [(T0 - 3600 * NS, stamps[0]), (stamps[-1] + 1, stamps[-1] + SPAN // 2), (1, stamps[-1] + 1)]
    for _ in range(5):
        a, b = sorted(dice.sample(stamps, 2))
        found.append((a + dice.choice((-1, 0, 1)), b + dice.choice((0, 1, 2))))
    at = dice.choice(stamps)
    return [*found, (at, at + 1), (at - 1, at), (at + 1, at + 500_000)]


def let_expire(log: Published, before: int) -> None:
    """What is wholly older than a time (UTC ns), segment by segment, as Kafka itself deletes it."""
    places = [(log.live.name, p) for p in range(log.live.partitions)]
    log.configure(retention_ms=(time.time_ns() - before) // 10**6)
    deadline = time.monotonic() + 60
    while not any(low for low, _ in client.bounds(log.settings, places).values()):
        assert time.monotonic() < deadline, "Kafka has deleted nothing"
        time.sleep(0.2)
    log.configure(retention_ms=7 * 86_400_000)
    time.sleep(2)  # one more round of its deleting may be under way


@pytest.mark.parametrize(
    ("seed", "dead", "cut", "stretched", "grown"),
    [
        (1, False, "records", False, 0),
        (2, True, "", False, 0),
        (4, False, "", True, 0),
        (7, False, "retention", False, 0),
        (11, False, "", False, 12),
        (4, False, "records", True, 8),
    ],
)
def test_any_slice_of_a_random_log_is_what_a_scan_of_everything_says(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    dead: bool,
    cut: str,
    stretched: bool,
    grown: int,
) -> None:
    if stretched:
        monkeypatch.setattr(readings, "STRETCH_RECORDS", 300)
    hold(settings, random.Random(seed), dead, cut, resends=not stretched, grown=grown)


def hold(
    settings: Settings, dice: random.Random, dead: bool, cut: str, resends: bool = False, grown: int = 0
) -> None:
    """Make a log and hold slices of it against the scan. `dead`: a collector did not say goodbye; `cut`: how
    records of it are deleted; `resends`: none lies behind an end, where it would not be read; `grown`: to how
    many partitions the vendor grows in between."""
    settings = structs.replace(settings, vendors={VENDOR: Vendor(margin="2s", lateness="3s")})
    log = Published(settings)
    if cut == "retention":
        log.configure(segment_ms=20_000)
    market(log, dice, dead, grown)
    whole = judged(scan(log), log.topics)
    if cut == "records":
        log.cut(log.ends(log.live)[log.partition()] * 9 // 20)
    elif cut == "retention":
        let_expire(log, T0 + 2 * SPAN // 3)
    everything = scan(log)
    told = judged(everything, log.topics)
    lost = {name[3] for name in set().union(*whole.values()) - set().union(*told.values())}
    line = timeline(VENDOR, settings)
    complete = 0
    for start, end in bounds_of(told["kept"], dice):
        symbols = dice.choice(((), (), ("BTCUSDT",), ("ETHUSDT", "XRPUSDT")))
        reading = line.between(start, end, symbols=symbols)
        expected = {
            word: sorted(n for n in names if start <= n[3] < end and (not symbols or n[2] in symbols))
            for word, names in told.items()
        }
        found = [(x.src, m.KIND_OF[type(x)], x.symbol, x.ts_recv) for x in reading]
        assert [name[3] for name in found] == sorted(name[3] for name in found)
        if not symbols and any(start <= ts < end for ts in lost):
            assert reading.plan.expired
        if dead and not reading.plan.complete:
            assert all("collector 3 has not yet shown" in note for note in reading.plan.notes)
            continue
        assert reading.plan.complete or cut
        complete += 1
        assert sorted(found) == expected["kept"]
        assert sorted(raw_names(reading)) == expected["kept"]
        count = reading.count()
        assert count.messages == len(expected["kept"])
        duplicates = len(expected["duplicate"])
        assert count.duplicates == duplicates if resends else count.duplicates <= duplicates
        assert count.voided == len(expected["voided"])
        if not symbols:
            bad = [one for one in everything if not one.fields and start <= one.ms * 10**6 < end]
            assert count.undecodable == len(bad)
    assert complete >= (2 if dead else 11)
