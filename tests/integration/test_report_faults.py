"""A day into which one fault of each sort was put, hop by hop: its page says these, and nothing else."""

from __future__ import annotations

import html
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import tapedeck
from tapedeck import message as m
from tapedeck.jobs import backfill
from tapedeck.jobs.origin import Origin
from tapedeck.log import client, meta, quarantine
from tapedeck.log.meta import Life
from tapedeck.partitions import partition_of
from tapedeck.reports import home, render
from tapedeck.reports.day import Day
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import documents, library
from tapedeck.store.encoder import encode
from tests.integration.test_report import check_page
from tests.published import HOUR, VENDOR, Published

WHOLE = Slice((time.time_ns() // (24 * HOUR) - 1) * 24 * HOUR, time.time_ns() // (24 * HOUR) * 24 * HOUR)
"""Yesterday: Kafka still holds all of it."""
DAY = datetime.fromtimestamp(WHOLE.start // NS, UTC).date().isoformat()
AT = WHOLE.start + 12 * HOUR
LAST = 1200


def named(stem: str, partition: int) -> str:
    """A symbol that lives in that one of four partitions."""
    return next(name for i in range(99) if partition_of(name := f"{stem}{i}USDT", 4) == partition)


BTC, ETH = "BTCUSDT", "ETHUSDT"
HOME = partition_of(ETH, 4)
ALONE, ASIDE = sorted({0, 1, 2, 3} - {HOME, partition_of(BTC, 4)})
CLEAN, FROZEN, OUT = (named(stem, HOME) for stem in ("CLEAN", "FROZEN", "OUT"))
SKEW, ZONE = (named(stem, ASIDE) for stem in ("SKEW", "ZONE"))
CUT = named("CUT", ALONE)

DROPPED, TWICE, SWAPPED, LOST = (100, 101, 102), (150, 151), 200, (800, 802)
STALL, KILLED, STOOD, FAR = (250, 310), (600, 603), (420, 560), 700
POISON, ALTERED = 850, 950


def number(i: int) -> int:
    """The sequence of the i-th second: the vendor counts on what it sends, and stood still once."""
    return 5000 + i - (STALL[1] - STALL[0]) * (i >= STALL[1])


class Tape:
    """What a collector received, with the stamps that it gave; its publisher's counts are true."""

    def __init__(self, log: Published, src: int) -> None:
        self.log, self.src = log, src

    def life(self, first: int, last: int, symbols: tuple[str, ...], shift: int = 0, end: bool = True) -> None:
        """A second of each symbol brings a trade and a quote; `shift` is put on the vendor's times (ns)."""
        since, producer = AT + first * NS, client.producer(self.log.settings)
        life = Life(vendor=VENDOR, src=self.src, since=since, topic_id=self.log.live.id)
        meta.put(self.log.settings, life)
        self.log.lives[self.src] = life
        sent = dict.fromkeys(range(4), 0)
        for i in range(first, last):
            for p in range(4):
                beat = m.Heartbeat("*", 0, AT + i * NS, 0, 0, self.src, since, sent[p])
                self.log.record(producer, self.log.live, p, beat)
            if STALL[0] <= i < STALL[1] or KILLED[0] <= i < KILLED[1]:
                continue
            for k, symbol in enumerate(symbols):
                for one in self.second(i, k, symbol, shift):
                    place = partition_of(symbol, 4)
                    sent[place] += 1
                    if symbol == BTC and i in LOST and isinstance(one, m.Trade):
                        continue
                    for _ in range(1 + (symbol == BTC and i in TWICE)):
                        self.log.record(producer, self.log.live, place, one)
        assert producer.flush(30) == 0
        if end:
            self.log.close(AT + last * NS, self.src)

    def second(self, i: int, k: int, symbol: str, shift: int) -> list[m.Trade | m.Quote]:
        at = AT + i * NS + (k + 1) * 1000
        event, price, seq, said = at - 20_000_000 + shift, 100 + (i % 7) / 10, number(i), 0
        if symbol == BTC and i in (SWAPPED, SWAPPED + 1):  # the later one came first
            said = 1 if i == SWAPPED else -1
        stood = symbol == FROZEN and STOOD[0] <= i < STOOD[1]
        mid = 100.0 if stood else price
        last = round(mid * 1.05, 1) if symbol == OUT and i == FAR else mid
        when, seq = event + min(said, 0) * NS, seq + said
        trade = m.Trade(symbol, when, at, seq, seq - 1, self.src, last, 1.0, 1)
        quote = m.Quote(symbol, event, at + 500, 0, 0, self.src, mid - 0.1, mid + 0.1, 1.0, 2.0)
        return [quote] if symbol == BTC and i in DROPPED else [trade, quote]


@pytest.fixture
def day(settings: Settings) -> Day:
    """The report of the day, once the night has rebuilt it and one row was altered on the disk."""
    log = Published(settings)
    collector = Tape(log, 1)
    symbols = (BTC, ETH, CLEAN, FROZEN, OUT, CUT)
    collector.life(0, KILLED[0], symbols, end=False)
    collector.life(KILLED[1], LAST, symbols)
    Tape(log, 2).life(340, 400, (SKEW,), shift=1_290_000_000)
    Tape(log, 3).life(430, 490, (ZONE,), shift=-5 * HOUR)
    poison = quarantine.Entry(b'{"p":"nan"}', 1, AT + POISON * NS, 0, "price is no number")
    put = client.producer(settings)
    put.produce(
        log.topics.quarantine.name, quarantine.encode(poison, 10**6), key=quarantine.key_of(1),
        partition=quarantine.lane_of(log.topics.quarantine, 1), timestamp=poison.recv_ns // 10**6,
    )  # fmt: skip
    assert put.flush(20) == 0
    log.cut(150, CUT)
    backfill.backfill(settings, VENDOR, WHOLE, origin=Origin(who="night", started=WHOLE.end))
    trades = library.ensure(settings, VENDOR)["trade"].collection
    place = {"_id": documents.document_id(AT + 600 * NS, ETH)}
    rows = documents.stored(trades.find_one(place) or {}).rows("trade")
    size = np.where(rows["ts_recv"] // NS == AT // NS + ALTERED, 7.0, rows["size"])
    trades.update_one(place, {"$set": encode(rows.with_arrays(size=size))})
    return tapedeck.report(VENDOR, DAY, settings=settings)


@pytest.mark.timeout(900)  # what it waits for is work, not time
def test_the_page_of_a_day_with_each_fault_says_each_at_its_hop_and_nothing_else(
    settings: Settings, day: Day
) -> None:
    found = sorted(
        (f["check"], f["reason"], f["severity"], f["symbol"], f["messages"])
        for f in day.completeness["findings"]
    )
    killed = [("sequence", "collector", "fail", s, 3) for s in (BTC, ETH, CLEAN, FROZEN, OUT, CUT)]
    assert found == sorted([
        ("sequence", "upstream", "fail", BTC, 3),
        ("silence", "upstream", "fail", "*", 0),
        ("clock", "collector", "warn", "*", 0),
        ("clock", "collector", "warn", "*", 0),
        ("collector", "collector", "fail", "*", 0), *killed,
        ("sequence", "publish", "fail", BTC, 1), ("sequence", "publish", "fail", BTC, 1),
        ("quarantine", "quarantine", "warn", "*", 1),
        ("expired", "expired", "fail", "*", 150), ("ledger", "expired", "warn", "*", 150),
        ("windows", "writer", "fail", ETH, 1),
    ])  # fmt: skip
    assert [(r.severity, r.about) for r in day.reasons] == [
        ("FAIL", "writer"), ("FAIL", "expired"), ("FAIL", "publish"), ("FAIL", "collector"),
        ("FAIL", "upstream"), ("FAIL", "upstream"), ("WARN", "expired"), ("WARN", "collector"),
        ("WARN", "quarantine"), ("WARN", "partial"), ("WARN", "stale"),
    ]  # fmt: skip
    said = " ".join(r.text for r in day.reasons)
    for words in (
        f"1 message of {ETH} differs between the log and Arctic", "Kafka deleted 150 records before Arctic",
        f"2 messages of {BTC} on the tape did not come into the log",
        "No collector was listening for 4.0 s: 18 messages", f"3 messages of {BTC} never came",
        "Nothing came of the whole feed for 61.0 s", "2 signs of trouble (collector)", "price is no number",
        f"Windows of {CUT} were built when Kafka had already", f"Quotes of {FROZEN} stood unchanged",
    ):  # fmt: skip
        assert words in said, said
    clocks = [f["evidence"]["why"] for f in day.completeness["findings"] if f["check"] == "clock"]
    assert sorted(clocks) == [
        "event times lie 5 h behind receipt: a time zone is wrong",
        "every message is received before it happens: the clock of source 2 is slow by 1.270 s, or the "
        "vendor's is fast",
    ]  # fmt: skip
    counted = {name: n for name, n in day.order.items() if n}
    counted.pop("identical_neighbours", 0)  # ticks repeat, which is no fault
    assert counted == {"duplicates": 2 * len(TWICE), "reorders": 1}
    assert [b["difference"] for b in day.reconciliation["balance"]] == [0] * 4
    assert day.reconciliation["differing_windows"] == 1
    marked = {rule: n for rule, n in day.validity["flags"].items() if n}
    assert marked == {"outside": 1, "far_price": 1}
    of = {s["symbol"]: s["validity"] for s in day.symbols}
    assert {s for s, v in of.items() if any(v["flags"].values())} == {OUT}
    assert {s for s, v in of.items() if any(stale["others_moved"] for stale in v["stale"])} == {FROZEN}
    wrong = ("crossed", "locked", "zero_or_negative", "off_tick")
    assert not any(v[name] for v in of.values() for name in wrong)
    assert day.quarantine["reasons"][0]["samples"][0]["payload"] == '{"p":"nan"}'
    delay = day.timeliness["kinds"]["trade"]
    assert (delay["min"], delay["p50"]) == (-1270, 20)
    assert delay["max"] == pytest.approx(5 * 3_600_000, rel=1e-5)
    page = home.page(settings, f"{VENDOR}/{DAY}.html")
    check_page(page)
    for f in day.completeness["findings"]:
        assert f["evidence"]["why"][:60] in html.unescape(page.decode()), f
    for symbol in (BTC, OUT):
        check_page(home.page(settings, f"{VENDOR}/{DAY}/{render.slug(symbol)}"))
    drawn = home.page(settings, f"{VENDOR}/{DAY}/{render.slug(OUT)}").decode()
    assert "trade outside the quote" in drawn
    if folder := os.environ.get("TAPEDECK_SCREENSHOTS"):  # to be looked at
        shutil.copytree(home.home(settings), Path(folder) / "reports", dirs_exist_ok=True)
