"""The whole live road in tests: simulator, collector and writer as processes, and what must come out."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tapedeck import vendors
from tapedeck.buses import captured
from tapedeck.checks.gap_check import gap_check
from tapedeck.message import Message
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import library
from tapedeck.store.read import read
from tests.tapes import VENDOR, Running

T = TypeVar("T")
Ids = tuple[str, str, int]
"""(kind, symbol, seq): what tells a simulated market's messages apart."""


def in_file(vendor: str, path: Path) -> list[list[Message]]:
    """The messages of each payload of a captured file, in order; of a refused payload none."""
    normalise = vendors.get(vendor).normalise
    return [
        [m for m in normalise(payload, recv_ns, 1) if hasattr(m, "ts_recv")]
        for recv_ns, payload in captured.read(path)
    ]  # type: ignore[misc]


def expected(vendor: str, path: Path, ledger: Path) -> Counter[Ids]:
    """What the bus sent, by the ledger: the file less what was dropped, plus what was sent twice."""
    payloads = in_file(vendor, path)
    times = Counter(dict.fromkeys(range(len(payloads)), 1))
    for line in ledger.read_text().splitlines()[:-1]:
        fault = json.loads(line)
        times[fault["index"]] += {"drop": -1, "dup": 1}.get(fault["fault"], 0)
    found: Counter[Ids] = Counter()
    for index, messages in enumerate(payloads):
        for m in messages:
            found[type(m).__name__.lower(), m.symbol, m.seq] += times[index]  # type: ignore[union-attr]
    return +found


def stored(settings: Settings, vendor: str, wanted: Counter[Ids], of: Slice, *, tail: bool) -> Counter[Ids]:
    """What `tapedeck.read` gives of the kinds and symbols that are wanted."""
    found: Counter[Ids] = Counter()
    for kind, symbol in sorted({(kind, symbol) for kind, symbol, _ in wanted}):
        name = f"{vendor}.{kind}"
        if tail or symbol in library.symbols_of(settings, name):
            frame = read(name, symbol, of.start, of.end, ["seq", "offset"], tail=tail, settings=settings)
            seqs = frame.drop_duplicates(["seq", "offset"])["seq"].tolist()
            found.update((kind, symbol, seq) for seq in seqs)
    return found


CHAINED = ("trade", "book")
"""Kinds whose messages name the one before them."""


def named_exactly(settings: Settings, vendor: str, of: Slice, path: Path, held: Counter[Ids]) -> None:
    """Hold what the gap check names in a slice against what a file has and `held` has not: each message of a
    chain that is missing between others is in exactly one finding, and no finding is of none that is.

    What is missing at a chain's ends nobody can tell from sequences.
    """
    whole = [m for payload in in_file(vendor, path) for m in payload]
    found = [f for f in gap_check(settings, vendor, of).findings if f.check == "sequence"]
    missing = 0
    for kind, symbol in {(type(m).__name__.lower(), m.symbol) for m in whole}:
        if kind not in CHAINED:
            continue
        seqs = [m.seq for m in whole if (type(m).__name__.lower(), m.symbol) == (kind, symbol)]  # type: ignore[union-attr]
        heard = [seq for seq in seqs if (kind, symbol, seq) in held]
        lost = {seq for seq in seqs if heard and heard[0] < seq < heard[-1]} - {*heard}
        named = [f for f in found if (f.symbol, f.kind) == (symbol, kind)]
        spans = [(f.evidence["first"], f.evidence["next"]) for f in named]
        for seq in lost:
            assert sum(first <= seq < after for first, after in spans) == 1, (kind, symbol, seq, spans)
        for first, after in spans:
            assert any(first <= seq < after for seq in lost), (kind, symbol, first, after, sorted(lost))
        missing += len(lost)
    assert bool(found) == bool(missing)


def await_stored(
    settings: Settings, writer: Running, wanted: Counter[Ids], of: Slice, seconds: float, vendor: str = VENDOR
) -> None:
    """Wait until Arctic alone holds exactly what is wanted; says what is missing and what is too much."""
    await_exactly(lambda: stored(settings, vendor, wanted, of, tail=False), writer, wanted, seconds)


def await_exactly(
    found_now: Callable[[], Counter[T]], writer: Running, wanted: Counter[T], seconds: float
) -> None:
    """Wait until what is found is exactly what is wanted; says what is missing and what is too much."""
    deadline = time.monotonic() + seconds
    while (found := found_now()) != wanted:
        assert writer.process.poll() is None, writer.said
        missing, extra = wanted - found, found - wanted
        assert time.monotonic() < deadline, (
            f"{missing.total()} missing, {extra.total()} too much: {[*missing][:5]} {[*extra][:5]}"
        )
        time.sleep(0.5)
