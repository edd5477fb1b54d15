"""Two collectors on one bus: either is killed, or stands still, and Arctic has every message exactly once."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tapedeck.buses import captured
from tapedeck.checks.findings import Finding
from tapedeck.checks.gap_check import gap_check
from tapedeck.log.timeline import timeline
from tapedeck.message import Book, Status
from tapedeck.simulate import capture, market
from tapedeck.slices import NS, Slice
from tapedeck.store import library
from tapedeck.store.read import read
from tests.faults import FEW, SEEDS
from tests.faults.standing import PATIENCE, Road, Roads
from tests.faults.strikes import stopped, strike
from tests.road import Ids, await_exactly, await_stored, expected
from tests.tapes import VENDOR, until

SECONDS, BLOWS = 5, 4
NOON = 1_723_118_400 * NS
MARGIN = 12
"""Seconds. A pause is safe up to nine tenths of it; what is left is for a machine that is busy besides."""
UNSEQUENCED = "coinbase"


@pytest.mark.parametrize("seed", SEEDS)
def test_of_two_collectors_either_may_die_or_pause_without_a_gap_or_a_double(
    roads: Roads, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    path, ledger, symbols = tmp_path / "market.zst", tmp_path / "ledger.jsonl", _symbols(seed)
    capture.write(path, market.generate(VENDOR, symbols, 800.0, SECONDS, seed, NOON))
    with roads.taken(VENDOR, margin=f"{MARGIN}s") as road:
        of = _bounced(road, path, dice, "--ledger", str(ledger))
        sent = expected(VENDOR, path, ledger)
        await_stored(road.settings, road.writer, sent, of, PATIENCE)
        for src in road.sources:
            own = Counter[Ids](
                (type(m).__name__.lower(), m.symbol, m.seq)
                for m in road.taped(src)
                if not isinstance(m, Status) and m.symbol in symbols
            )
            assert not own - sent
            assert own
        assert _missing(road, of, symbols) == [], "nothing was lost, so no gap has a name"


@pytest.mark.parametrize("seed", FEW)
def test_nor_where_the_vendor_has_no_sequence(roads: Roads, tmp_path: Path, seed: int) -> None:
    dice, path = random.Random(seed), tmp_path / "market.zst"
    symbols = [f"A{seed}", f"B{seed}"]
    capture.write(path, _books(dice, symbols, 400.0, SECONDS))
    with roads.taken(UNSEQUENCED, margin=f"{MARGIN}s") as road:
        _await_books(road, path, symbols, of := _bounced(road, path, dice))
        _check_turns(road, path, symbols, of)


@pytest.mark.parametrize("seed", FEW)
def test_a_pause_of_nearly_the_margin_leaves_no_gap_and_no_double(
    roads: Roads, tmp_path: Path, seed: int
) -> None:
    """The taper, the publisher or both stand still, while their bus goes on."""
    dice, path = random.Random(seed), tmp_path / "market.zst"
    halves = dice.choice([("taper",), ("publisher",), ("taper", "publisher")])
    pause = MARGIN * dice.uniform(0.6, 0.75)
    sequenced = dice.random() < 0.5
    symbols = [f"{symbol}P" for symbol in _symbols(seed)]
    if sequenced:
        capture.write(path, market.generate(VENDOR, symbols, 100.0, pause + 3, seed, NOON))
    else:
        capture.write(path, _books(dice, symbols, 100.0, pause + 3))
    with roads.taken(VENDOR if sequenced else UNSEQUENCED, margin=f"{MARGIN}s") as road:
        start, ledger = time.time_ns(), tmp_path / "ledger.jsonl"
        with road.playing(path, "--ledger", str(ledger)) as player:
            time.sleep(dice.uniform(0.2, 1.0))
            with stopped(road.collector(dice.choice(road.sources)), *halves):
                time.sleep(pause)
            assert player.process.wait(PATIENCE) == 0, player.said
        of = Slice(start, _heard_out(road, path))
        if sequenced:
            await_stored(road.settings, road.writer, expected(VENDOR, path, ledger), of, PATIENCE)
        else:
            _await_books(road, path, symbols, of)
        assert _missing(road, of, symbols) == []


def _symbols(seed: int) -> list[str]:
    return [f"{name}{seed}" for name in ("BTCUSDT", "A", "B", "C")]


def _bounced(road: Road, path: Path, dice: random.Random, *words: str) -> Slice:
    """Play it while the collectors are struck in turn; gives when that was."""
    start = time.time_ns()
    with road.playing(path, *words) as player:
        for blow in range(BLOWS):
            time.sleep(dice.uniform(0.1, 0.5))
            strike(road, road.sources[blow % 2], dice.choice(["taper", "publisher"]), player, dice)
        assert player.process.wait(PATIENCE) == 0, player.said
    return Slice(start, _heard_out(road, path))


def _heard_out(road: Road, path: Path) -> int:
    """A time by which some collector had heard all of it (UTC ns)."""
    *_, (_, last) = captured.read(path)
    until(lambda: any(last in road.heard(src) for src in road.sources), PATIENCE, 0.1)
    return time.time_ns()


def _missing(road: Road, of: Slice, symbols: list[str]) -> list[Finding]:
    """What the gap check says is missing of these symbols."""
    found = gap_check(road.settings, road.vendor, of).findings
    return [f for f in found if f.check == "sequence" and f.symbol in symbols]


def _await_books(road: Road, path: Path, symbols: list[str], of: Slice) -> None:
    """Wait until Arctic has each change of the file once."""
    sent = _prices(path)

    def held() -> Counter[float]:
        found: Counter[float] = Counter()
        for symbol in {*symbols} & {*library.symbols_of(road.settings, f"{road.vendor}.book")}:
            frame = read(
                f"{road.vendor}.book", symbol, of.start, of.end, ["price"], tail=False, settings=road.settings
            )
            found.update(frame["price"].tolist())
        return found

    await_exactly(held, road.writer, sent, PATIENCE)


def _check_turns(road: Road, path: Path, symbols: list[str], of: Slice) -> None:
    """A reader of the log has each change once, and each change of the source is a finding."""
    read_back = timeline(road.vendor, road.settings).between(
        of.start, of.end, symbols=symbols, kinds=["book"]
    )
    books = [one for one in read_back if isinstance(one, Book)]
    assert Counter(one.bids[0][0] for one in books) == _prices(path)
    turns = {
        (before.src, after.src)
        for symbol in symbols
        for before, after in pairwise(one for one in books if one.symbol == symbol)
        if before.src != after.src
    }
    found = gap_check(road.settings, road.vendor, of).findings
    assert {(f.evidence["from"], f.evidence["to"]) for f in found if f.check == "switch"} == turns


def _prices(path: Path) -> Counter[float]:
    return Counter(float(json.loads(payload)["changes"][0][1]) for _, payload in captured.read(path))


def _books(dice: random.Random, symbols: list[str], rate: float, seconds: float) -> list[tuple[int, bytes]]:
    """Changes of books, without a sequence, each with a price of its own."""
    at, made = NOON, []
    for price in range(1, int(rate * seconds)):
        at += int(dice.expovariate(rate) * NS) + 1
        change = {
            "type": "l2update", "product_id": dice.choice(symbols), "changes": [["buy", f"{price}", "1"]],
            "time": "2024-08-08T12:00:00.000000Z",
        }  # fmt: skip
        made.append((at, json.dumps(change).encode()))
    return made
