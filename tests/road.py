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
        time.sleep(0.2)
