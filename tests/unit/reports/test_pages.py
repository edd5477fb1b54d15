"""Pages out of made facts: a golden day, hostile names, ten thousand symbols, a day of nothing."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from msgspec import json, structs

from tapedeck import message as m
from tapedeck.checks.findings import Finding
from tapedeck.columns import from_messages
from tapedeck.jobs.receipts import Receipt
from tapedeck.log.quarantine import Entry
from tapedeck.reports import home, render
from tapedeck.reports.axis import axis
from tapedeck.reports.compose import Facts, Gathered, compose
from tapedeck.reports.day import Day, slice_of
from tapedeck.reports.tallies import Tally
from tapedeck.reports.thresholds import Thresholds
from tapedeck.slices import NS, Slice

DAY = date(2024, 8, 8)
WHOLE = slice_of(DAY)
NOON = WHOLE.start + 12 * 3600 * NS
GOLDEN = Path(__file__).with_name("golden.json")
HOSTILE = (
    "<script>alert(1)</script>", '"><img onerror=x>', "]]>", "../../etc/x", "=cmd()", "{{7*7}}", "A" * 64,
    "\u05d0\u05d1\u05d2", "-->", "a'b&amp;",
)  # fmt: skip


def tallied(facts: Facts, symbol: str, seconds: int) -> None:
    """A trade and a quote each second, received 20 ms after their event."""
    tally = Tally(symbol, facts.on, Thresholds(), facts.delays)
    times = [NOON + i * NS for i in range(seconds)]
    trades = [
        m.Trade(symbol, t - 20_000_000, t, 7 + i, 6 + i, 1, 100 + (i % 7) / 10, 1.5, 1)
        for i, t in enumerate(times)
    ]
    quotes = [
        m.Quote(symbol, t - 20_000_000, t + 5, 0, 0, 1, 99.9 + (i % 7) / 10, 100.1 + (i % 7) / 10, 1.0, 2.0)
        for i, t in enumerate(times)
    ]
    found = {}
    for kind, some in (("trade", trades), ("quote", quotes)):
        place = np.arange(seconds)
        columns = from_messages(kind, some)
        found[kind] = columns.with_arrays(topic=np.ones(seconds, np.int32), offset=place)
    tally.add(found)
    tally.end()
    facts.symbols[symbol] = {"symbol": symbol, "partition": 0, **tally.to_json()}
    facts.plots[symbol] = tally.plot()


def finding(symbol: str, reason: str = "upstream", check: str = "sequence") -> Finding:
    return Finding(
        id="0123456789abcdef", check=check, reason=reason, vendor="okx", symbol=symbol, kind="trade",  # type: ignore[arg-type]
        start=NOON + 10 * NS, end=NOON + 13 * NS, at=NOON + 13 * NS, messages=3,
        evidence={"why": "3 are missing", "first": 18, "next": 21},
    )  # fmt: skip


def receipt() -> Receipt:
    """Of a night that rebuilt the day."""
    return Receipt(
        id="abcdef", job="backfill", vendor="okx", start="2024-08-08T00:00:00Z", end="2024-08-09T00:00:00Z",
        who="night", run="", started="2024-08-09T00:00:00Z", ended="2024-08-09T00:01:00Z", seconds=60.0,
        outcome="written", complete=True, counts={}, before="", after="", plan="", ranges={}, asked={},
        notes=[],
    )  # fmt: skip


def facts_of(*symbols: str, seconds: int = 40) -> Facts:
    """A day of these symbols, proved by a receipt."""
    facts = Facts(WHOLE, axis(Slice(NOON, NOON + 600 * NS)))
    for symbol in symbols:
        tallied(facts, symbol, seconds)
    log = 2 * seconds * len(symbols)
    facts.balance = [
        {"partition": 0, "log": log, "arctic": log, "duplicates": 0, "voided": 0, "undecodable": 0}
    ]
    facts.receipts = [receipt()]
    return facts


def made(facts: Facts, expected: tuple[str, ...] = (), plots_of: int = 50) -> Gathered:
    return compose("okx", DAY, expected, True, True, facts, [], Thresholds(), plots_of)


def check_page(page: bytes) -> None:
    """Well-formed, nothing that runs, nothing of elsewhere."""
    for element in ET.fromstring(page.decode().removeprefix("<!doctype html>\n")).iter():  # noqa: S314
        if isinstance(element.tag, str):  # a comment's is not
            assert element.tag.split("}")[-1] not in ("script", "img", "iframe", "object", "embed", "form")
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert name not in ("href", "src") or re.match(r"[\w./#-]+(\?|$)", value), value


def test_a_fixed_day_gives_the_golden_json() -> None:
    facts = facts_of("BTC-USDT", "ETH-USDT")
    facts.found = [finding("BTC-USDT")]
    day = structs.replace(made(facts, ("BTC-USDT", "GONE-USDT")).day, code={})
    assert day.verdict == "FAIL"
    assert day.to_json().decode() == GOLDEN.read_text(), (
        "the report's JSON has changed: fields are only ever added within a schema; see docs/reports.md"
    )
    assert json.decode(day.to_json(), type=Day) == day


@pytest.mark.parametrize("symbol", HOSTILE)
def test_hostile_names_stay_text_and_harmless_files(symbol: str, tmp_path: Path) -> None:
    facts = facts_of(symbol)
    facts.found = [finding(symbol), finding(symbol, "writer", "windows")]
    facts.entries = [Entry(symbol.encode(), 1, NOON, 0, symbol)]
    gathered = made(facts)
    page = home.write(tmp_path, gathered, run=symbol, who=symbol, at=NOON)
    for path in tmp_path.rglob("*.html"):
        check_page(path.read_bytes())
        assert re.fullmatch(r"[A-Za-z0-9.-]+\.html", path.name)
        assert path.resolve().is_relative_to(tmp_path)
    check_page(render.with_repairs(page.read_bytes(), "okx/2024-08-08.html"))
    assert gathered.day.symbols[0]["symbol"] == symbol


def test_ten_thousand_symbols_are_one_small_page_of_the_worst() -> None:
    facts = facts_of("BAD", "GOOD")
    one = facts.symbols["GOOD"]
    for i in range(10_000):
        name = f"SYM{i:05d}"
        facts.symbols[name] = {**json.decode(json.encode(one)), "symbol": name}
        facts.plots[name] = facts.plots["GOOD"]
    facts.found = [finding("BAD")]
    gathered = made(facts)
    page = render.day_page(gathered.day, list(gathered.plots))
    check_page(page)
    assert len(page) < 1_000_000
    assert gathered.day.symbols[0]["symbol"] == "BAD"
    assert (len(gathered.day.symbols), len(gathered.plots)) == (10_002, 50)
    assert b"The worst 50 of 10,002 symbols" in page


def test_a_noisy_day_of_many_symbols_stays_below_a_megabyte() -> None:
    facts = facts_of(*(f"S{i}" for i in range(50)))
    random = np.random.default_rng(5)
    for one in facts.symbols.values():
        one["bins"] = random.integers(0, 400, facts.on.bins).tolist()
    facts.found = [
        structs.replace(finding(f"S{i % 50}"), id=f"{i:016x}", start=NOON + i * NS, end=NOON + (i + 1) * NS)
        for i in range(1000)
    ]
    gathered = made(facts)
    assert len(render.day_page(gathered.day, list(gathered.plots))) < 1_000_000


def test_a_vendors_first_day_and_an_empty_one_are_sensible() -> None:
    first = made(facts_of("BTC-USDT")).day
    assert (first.verdict, first.volume["baseline_days"]) == ("PASS", [])
    assert b"There are no reports of days before this one yet" in render.day_page(first, [])
    nothing = compose(
        "okx", DAY, (), False, True, Facts(WHOLE, axis(WHOLE)), [], Thresholds(), 50
    ).day  # fmt: skip
    assert (nothing.verdict, nothing.sentence) == ("PASS", "The market was closed and nothing was due.")
    check_page(render.day_page(nothing, []))


def test_a_symbol_that_was_delisted_before_is_closed_and_no_failure() -> None:
    facts = facts_of("BTC-USDT")
    day = compose(
        "okx", DAY, ("BTC-USDT", "GONE-USDT"), True, True, facts, [], Thresholds(), 50, {"GONE-USDT"}
    ).day
    assert (day.verdict, day.conditions["available"], day.conditions["closed"]) == ("PASS", 1, 1)
    weekend = Facts(WHOLE, axis(WHOLE))  # of a venue that is closed, but for a symbol of another calendar
    open_ = compose("okx", DAY, ("A", "B"), False, True, weekend, [], Thresholds(), 50, {"B"}).day
    assert {s["symbol"]: s["condition"] for s in open_.symbols} == {"A": "closed", "B": "missing"}
    assert open_.verdict == "FAIL"
