"""Two collectors on one bus: either is killed, or stands still, and Arctic has every message exactly once."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import structs

from tapedeck.buses import captured
from tapedeck.checks.gap_check import gap_check
from tapedeck.log.timeline import timeline
from tapedeck.message import Book, Status
from tapedeck.settings import Settings, Vendor
from tapedeck.simulate import capture, market
from tapedeck.slices import NS, Slice
from tapedeck.store.read import read
from tests.faults import FEW, SEEDS
from tests.faults.strikes import PATIENCE, strike
from tests.road import Ids, await_exactly, await_stored, expected
from tests.tapes import VENDOR, Running, lines_on, taped, until

SECONDS = 8
BLOWS = 4


@pytest.mark.parametrize("seed", SEEDS)
def test_of_two_collectors_either_may_die_or_pause_without_a_gap_or_a_double(
    settings: Settings, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    path, ledger = tmp_path / "market.zst", tmp_path / "ledger.jsonl"
    made = market.generate(VENDOR, ["BTCUSDT", "A", "B", "C"], 1000.0, SECONDS, seed, 1_723_118_400 * NS)
    capture.write(path, made)
    *_, (_, last) = captured.read(path)
    windows = dict.fromkeys(("trade", "quote", "book"), 2)  # their edges lie within every pause
    vendors = {VENDOR: structs.replace(settings.vendor(VENDOR), window=windows)}
    settings = structs.replace(settings, vendors=vendors)
    mongo = {"TAPEDECK_MONGO__URI": settings.mongo.uri, "TAPEDECK_MONGO__DATABASE": settings.mongo.database}
    tapes = [settings.tape_dir(VENDOR, src) for src in (1, 2)]
    start = time.time_ns()
    with (
        Running(settings, "write", VENDOR, **mongo) as writer,
        Running(settings, "collect", VENDOR, "--src", "1") as first,
        Running(settings, "collect", VENDOR, "--src", "2") as second,
        Running(
            settings, "simulate", VENDOR, str(path), "--ledger", str(ledger), "--json",
            "--wait-subscribers", "2",
        ) as player,
    ):  # fmt: skip
        until(lambda: all(lines_on(tape) for tape in tapes), PATIENCE)
        for blow in range(BLOWS):
            time.sleep(dice.uniform(0.1, 0.5))
            victim, half = (first, second)[blow % 2], dice.choice(["taper", "publisher"])
            tape, other = tapes[blow % 2], tapes[1 - blow % 2]
            strike(victim, half, tape, other, player, dice)
        assert player.process.wait(60) == 0, player.said
        until(lambda: any(last in lines_on(tape) for tape in tapes), PATIENCE)
        assert (first.end(), second.end()) == (0, 0), first.said + second.said
        of = Slice(start, time.time_ns())
        sent = expected(VENDOR, path, ledger)
        await_stored(settings, writer, sent, of, PATIENCE)
        assert writer.end() == 0, writer.said
    for src in (1, 2):
        own = Counter[Ids](
            (type(m).__name__.lower(), m.symbol, m.seq)
            for m in taped(settings, src)
            if not isinstance(m, Status)
        )
        assert not own - sent
        assert own


@pytest.mark.parametrize("seed", FEW)
def test_nor_where_the_vendor_has_no_sequence(settings: Settings, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = tmp_path / "market.zst"
    capture.write(path, _books(dice, 500.0))
    *_, (_, last) = captured.read(path)
    name = "coinbase"
    vendor = Vendor(bus=settings.vendor(VENDOR).bus, symbols=["A", "B"], window={"book": 2})
    settings = structs.replace(settings, vendors={name: vendor})
    mongo = {"TAPEDECK_MONGO__URI": settings.mongo.uri, "TAPEDECK_MONGO__DATABASE": settings.mongo.database}
    tapes = [settings.tape_dir(name, src) for src in (1, 2)]
    start = time.time_ns()
    with (
        Running(settings, "write", name, **mongo) as writer,
        Running(settings, "collect", name, "--src", "1") as first,
        Running(settings, "collect", name, "--src", "2") as second,
        Running(settings, "simulate", name, str(path), "--json", "--wait-subscribers", "2") as player,
    ):
        until(lambda: all(lines_on(tape) for tape in tapes), PATIENCE)
        for blow in range(BLOWS):
            time.sleep(dice.uniform(0.1, 0.5))
            victim, half = (first, second)[blow % 2], dice.choice(["taper", "publisher"])
            strike(victim, half, tapes[blow % 2], tapes[1 - blow % 2], player, dice)
        assert player.process.wait(60) == 0, player.said
        until(lambda: any(last in lines_on(tape) for tape in tapes), PATIENCE)
        assert (first.end(), second.end()) == (0, 0), first.said + second.said
        of = Slice(start, time.time_ns())
        sent = Counter(float(json.loads(payload)["changes"][0][1]) for _, payload in captured.read(path))

        def held() -> Counter[float]:
            found: Counter[float] = Counter()
            for symbol in ("A", "B"):
                frame = read(
                    f"{name}.book", symbol, of.start, of.end, ["price"], tail=False, settings=settings
                )
                found.update(frame["price"].tolist())
            return found

        await_exactly(held, writer, sent, PATIENCE)
        assert writer.end() == 0, writer.said
    read_back = timeline(name, settings).between(of.start, of.end, kinds=["book"])
    books = [one for one in read_back if isinstance(one, Book)]
    assert Counter(one.bids[0][0] for one in books) == sent
    turns = {
        (before.src, after.src)
        for symbol in "AB"
        for before, after in pairwise(one for one in books if one.symbol == symbol)
    }
    found = [f.evidence for f in gap_check(settings, name, of).findings if f.check == "switch"]
    assert {(one["from"], one["to"]) for one in found} == {turn for turn in turns if turn[0] != turn[1]}


def _books(dice: random.Random, rate: float) -> list[tuple[int, bytes]]:
    """Changes of two books, without a sequence, each with a price of its own."""
    at, made = 1_723_118_400 * NS, []
    for price in range(1, int(rate * SECONDS)):
        at += int(dice.expovariate(rate) * NS) + 1
        change = {
            "type": "l2update", "product_id": dice.choice("AB"), "changes": [["buy", f"{price}", "1"]],
            "time": "2024-08-08T12:00:00.000000Z",
        }  # fmt: skip
        made.append((at, json.dumps(change).encode()))
    return made
