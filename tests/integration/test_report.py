"""A day's report on real servers: what was done to the tape is what the page says, in the same bytes."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import tapedeck
from tapedeck import message as m
from tapedeck.cli.main import run
from tapedeck.errors import BadInput, Incomplete
from tapedeck.jobs import backfill
from tapedeck.jobs.origin import Origin
from tapedeck.partitions import partition_of
from tapedeck.reports import doors, gather, home, render
from tapedeck.reports.day import Day, days_of, from_json, parse_day, slice_of
from tapedeck.reports.reading import PartRead
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store import library
from tests.published import VENDOR, Published, environment

DAY = "2024-08-08"
AT = slice_of(parse_day(DAY)).start + 12 * 3600 * NS
HOSTILE = '<script>alert(1)</script>"]]>'
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture
def log(settings: Settings) -> Published:
    return Published(settings)


def market(symbol: str, seconds: int = 120, drop: tuple[int, ...] = ()) -> list[m.Message]:
    """A trade and a quote each second, received 20 ms after their event, without the trades in `drop`."""
    made: list[m.Message] = []
    for i in range(seconds):
        at, price = AT + i * NS + partition_of(symbol, 997), 100 + (i % 7) / 10
        if i not in drop:
            made.append(m.Trade(symbol, at - 20_000_000, at, 1000 + i, 999 + i, 1007, price, 1.0, 1))
        made.append(
            m.Quote(symbol, at - 20_000_000, at + 1000, 0, 0, 1007, price - 0.1, price + 0.1, 1.0, 2.0)
        )
    return made


def proved(settings: Settings) -> None:
    """The nightly rebuild, with its receipt."""
    backfill.backfill(settings, VENDOR, slice_of(parse_day(DAY)), origin=Origin(who="night", started=AT))


def written(folder: Path) -> dict[str, bytes]:
    """All that must not differ between two runs."""
    files = sorted(folder.glob(f"{VENDOR}/{DAY}.[hj]*")) + sorted(folder.glob(f"{VENDOR}/{DAY}/*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def check_page(page: bytes) -> None:
    """Well-formed, and nothing is asked of anywhere else."""
    text = page.decode()
    ET.fromstring(text.removeprefix("<!doctype html>\n"))  # noqa: S314
    assert "<script" not in text
    assert not re.search(r'(src|href)\s*=\s*"(https?:|//|data:)|url\(|@import', text)
    assert "default-src 'none'" in text


def report(settings: Settings, **more: Any) -> Day:
    return tapedeck.report(VENDOR, DAY, settings=settings, **more)


def test_a_whole_day_passes_in_the_same_bytes_each_time(
    settings: Settings, log: Published, tmp_path: Path
) -> None:
    log.load([one for symbol in SYMBOLS for one in market(symbol)])
    proved(settings)
    day = report(settings, out=str(tmp_path / "one"))
    assert (day.verdict, day.conditions["available"]) == ("PASS", 2), day.reasons
    assert day.sentence == "All 480 messages of 2 symbols are in Arctic as in the log, without a gap."
    assert day.reconciliation["difference"] == 0
    delay = day.timeliness["kinds"]["trade"]
    assert (delay["messages"], delay["min"], delay["p50"], delay["max"]) == (240, 20, 20, 20)
    report(settings, out=str(tmp_path / "two"))
    first, second = written(tmp_path / "one"), written(tmp_path / "two")
    assert first == second
    assert set(first) >= {f"{VENDOR}/{DAY}.html", f"{VENDOR}/{DAY}.json"}
    assert len(first) == 4
    for name, content in first.items():
        if name.endswith(".html"):
            check_page(content)
    check_page((tmp_path / "one" / "index.html").read_bytes())
    assert from_json(first[f"{VENDOR}/{DAY}.json"]) == day
    assert "by hand" in (tmp_path / "one" / "index.html").read_text()


def test_dropped_messages_and_a_lost_window_fail_with_their_sentences(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log.load(market("BTCUSDT", drop=(40, 41, 42, 80)) + market("ETHUSDT"))
    proved(settings)
    for name, value in environment(settings).items():
        if name.startswith("TAPEDECK_"):
            monkeypatch.setenv(name, value)
    assert run(["report", VENDOR, DAY, "--json"]) == 1
    said = json.loads(capfd.readouterr().out)
    assert said["verdict"] == "FAIL"
    assert said["sentence"] == (
        "4 messages of BTCUSDT never came from the vendor: 2 spans, the first after 2024-08-08T12:00:39Z."
    )
    conditions = {s["symbol"]: s["condition"] for s in said["symbols"]}
    assert conditions == {"BTCUSDT": "degraded", "ETHUSDT": "available"}
    page = home.page(settings, f"{VENDOR}/{DAY}.html").decode()
    assert said["sentence"] in page
    drawn = home.page(settings, f"{VENDOR}/{DAY}/{render.slug('BTCUSDT')}").decode()
    assert "<title>gap, 2024-08-08T12:00:39" in drawn
    form = f"run/nightly_backfill?vendors={VENDOR}&amp;start_exact=2024%2D08%2D08T12%3A00%3A39"
    shown = render.with_repairs(page.encode(), f"{VENDOR}/{DAY}.html").decode()
    assert f'<a class="repair" href="../../{form}' in shown
    assert "asks the vendor's history for it" in html.unescape(page)
    ET.fromstring(shown.removeprefix("<!doctype html>\n"))  # noqa: S314
    check_page(home.page(settings, f"{VENDOR}/{DAY}/{render.slug('BTCUSDT')}"))
    assert run(["report", VENDOR, DAY]) == 1
    assert capfd.readouterr().out.startswith(f"FAIL {VENDOR} {DAY}: 4 messages of BTCUSDT")
    one = library.named(settings, f"{VENDOR}.trade")
    one.collection.delete_one({"sy": "ETHUSDT"})
    worse = report(settings)
    assert worse.sentence == (
        "The balance is not zero: the log holds 120 more messages than the other side accounts for in "
        f"partition {partition_of('ETHUSDT', 4)}."
    )
    assert worse.reconciliation["difference"] == 120
    assert {s["symbol"]: s["condition"] for s in worse.symbols}["ETHUSDT"] == "degraded"
    proved(settings)
    assert report(settings).reconciliation["difference"] == 0
    [entry] = home.entries(home.home(settings))
    assert entry["runs"] == ["by hand"] * 4
    assert (entry["revision"], entry["earlier"]) == (3, [1, 2])
    assert worse == from_json(home.page(settings, f"{VENDOR}/{DAY}.r2.json"))
    earlier = home.page(settings, f"{VENDOR}/{DAY}.r2.html")
    check_page(earlier)
    assert worse.sentence in earlier.decode()
    assert b"Superseded: " in earlier
    index = home.page(settings, "index.html")
    check_page(index)
    assert f'href="{VENDOR}/{DAY}.r2.html"' in index.decode()
    assert report(settings).reconciliation["difference"] == 0
    assert home.entries(home.home(settings))[0]["revision"] == 3


def test_a_quick_report_reads_only_what_has_changed_and_says_the_same(
    settings: Settings, log: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.load([one for symbol in SYMBOLS for one in market(symbol)])
    proved(settings)
    of = {symbol: partition_of(symbol, 4) for symbol in SYMBOLS}
    assert len(set(of.values())) == 2
    read: list[int] = []
    reading = gather.read_part

    def counted(*given: Any) -> PartRead:
        read.append(given[7])
        return reading(*given)

    monkeypatch.setattr(gather, "read_part", counted)
    assert [doors.read_day(VENDOR, DAY, p, settings=settings) for p in range(4)] == [
        240 if p in of.values() else 0 for p in range(4)
    ]
    doors.read_day(VENDOR, DAY, None, settings=settings)
    assert read == [0, 1, 2, 3]
    quick = report(settings, quick=True, out=str(tmp_path / "quick"))
    assert read == [0, 1, 2, 3]
    report(settings, out=str(tmp_path / "whole"))
    assert read == [0, 1, 2, 3] * 2
    assert written(tmp_path / "quick") == written(tmp_path / "whole")
    assert quick.verdict == "PASS"
    late = [m.Trade("BTCUSDT", 0, AT + 200 * NS, 0, 0, 1007, 100.0, 1.0, 1)]
    log.load([*market("BTCUSDT"), *late])
    proved(settings)
    read.clear()
    assert report(settings, quick=True).messages == 481
    assert read == [of["BTCUSDT"]]
    trades = library.named(settings, f"{VENDOR}.trade").collection
    sound = trades.find_one({"sy": "ETHUSDT"})
    assert sound is not None
    packed = sound["cs"]["price"]["d"]
    trades.update_one({"_id": sound["_id"]}, {"$set": {"cs.price.d": packed[:-1] + bytes([packed[-1] ^ 1])}})
    assert report(settings, quick=True).verdict == "PASS"  # the sums say nothing of the disk
    assert report(settings).verdict == "FAIL"
    assert report(settings, quick=True).verdict == "FAIL"
    trades.replace_one({"_id": sound["_id"]}, sound)  # as a repair does, which leaves the sums as they were
    read.clear()
    assert report(settings, quick=True).verdict == "PASS"
    assert read == [of["ETHUSDT"]]
    for path in home.reads(settings, VENDOR, DAY).iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    read.clear()
    assert report(settings, quick=True).messages == 481
    assert read == [0, 1, 2, 3]


def test_days_of_little_or_nothing_give_a_sound_page(settings: Settings, log: Published) -> None:
    nothing = report(settings)
    assert (nothing.verdict, nothing.conditions["missing"]) == ("FAIL", 2)
    assert nothing.sentence == f"Nothing of {VENDOR} was received though its market was open."
    check_page(home.page(settings, f"{VENDOR}/{DAY}.html"))
    unrecorded = tapedeck.report("binance_spot", DAY, settings=settings)
    assert unrecorded.notes == ["nothing was ever recorded of binance_spot"]
    check_page(home.page(settings, f"binance_spot/{DAY}.html"))
    log.load([m.Trade(HOSTILE, 0, AT, 7, 0, 1007, 5.0, 1.0, 1)])
    proved(settings)
    one = report(settings)
    [tick] = [s for s in one.symbols if s["messages"]]
    assert (tick["symbol"], tick["condition"], tick["delay_ms"]) == (HOSTILE, "available", {"messages": 0})
    page = home.page(settings, f"{VENDOR}/{DAY}.html")
    check_page(page)
    assert b"&lt;script&gt;alert(1)" in page
    check_page(home.page(settings, f"{VENDOR}/{DAY}/{render.slug(HOSTILE)}"))
    for path in ("../secret", f"{VENDOR}/../../x", f"{VENDOR}/{DAY}.entry.json", "index.html/.."):
        with pytest.raises(BadInput):
            home.page(settings, path)


def test_a_day_without_a_receipt_is_pending(settings: Settings, log: Published) -> None:
    log.load(market("BTCUSDT") + market("ETHUSDT"))
    from tapedeck.store.rebuild import rebuild

    rebuild(settings, VENDOR, slice_of(parse_day(DAY)))
    day = report(settings)
    assert (day.verdict, day.conditions["pending"]) == ("WARN", 2)
    assert "is not proved yet" in day.sentence
    assert days_of(Slice(AT, AT + 1)) == [parse_day(DAY)]


def test_research_reads_only_days_that_a_report_stands_behind_where_it_asks_for_that(
    settings: Settings, log: Published
) -> None:
    log.load(market("BTCUSDT", drop=(40, 41)) + market("ETHUSDT"))
    proved(settings)
    day = slice_of(parse_day(DAY))
    next_day = Slice(day.end, day.end + 3600 * NS)

    def count(symbol: str, of: Slice = day, wanted: str = "available") -> int:
        read = tapedeck.read(f"{VENDOR}.trade", symbol, of.start, of.end, require=wanted, settings=settings)
        return len(read)

    with pytest.raises(Incomplete, match=f"not available in 1 day of {VENDOR}'s symbols: {DAY} ETHUSDT"):
        count("ETHUSDT")
    report(settings)
    assert count("ETHUSDT") == 120
    with pytest.raises(Incomplete, match=rf"{DAY} BTCUSDT is degraded \(upstream: 2 messages, "):
        count("BTCUSDT")
    assert count("BTCUSDT", wanted="degraded") == 118
    with pytest.raises(Incomplete, match=r"2024-08-09 ETHUSDT is pending \(no report of this day"):
        count("ETHUSDT", Slice(day.start, next_day.end))
    with pytest.raises(BadInput, match="ask for one of available, degraded"):
        count("ETHUSDT", wanted="perfect")
    bounds = (format_time(day.start), format_time(next_day.end))
    told = {(d.day, d.symbol): d.condition for d in tapedeck.condition(VENDOR, *bounds, settings=settings)}
    assert told == {
        (DAY, "BTCUSDT"): "degraded", (DAY, "ETHUSDT"): "available",
        ("2024-08-09", "BTCUSDT"): "pending", ("2024-08-09", "ETHUSDT"): "pending",
    }  # fmt: skip
