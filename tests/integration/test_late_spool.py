"""An hour that one collector spooled, over ten thousand symbols, costs one pass over each partition's log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from msgspec import structs

from tapedeck.log.plan import Range
from tapedeck.log.read import Records
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings, Writer
from tapedeck.slices import NS
from tapedeck.store import positions, reread
from tests.integration.test_writer import messages_of, next_of, until, writing
from tests.published import HOUR, T0, VENDOR, Published, trade

SYMBOLS = [f"S{i:05}" for i in range(10_000)]
SLOW = 240
"""Seconds that a busy machine may take for ten thousand documents."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    vendor = structs.replace(settings.vendors[VENDOR], window={"trade": 3600})
    return structs.replace(settings, vendors={VENDOR: vendor}, writer=Writer(late_every="4s", session="2s"))


def test_no_record_is_read_twice_to_mend_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Published(settings)
    log.register(T0)
    log.publish(*(trade(T0 + p * NS, 1, SYMBOLS[p]) for p in range(50)))
    log.beat(T0 + HOUR + 120 * NS)
    with writing(settings):
        until(lambda: _closed(settings) >= T0 + HOUR, SLOW)
    until(lambda: messages_of(settings) == 50, SLOW)
    log.register(T0, src=2)
    log.publish(*(trade(T0 + i * 300_000_000 + 1, 7, s, src=2) for i, s in enumerate(SYMBOLS)))
    log.beat(T0 + HOUR + 121 * NS, src=2)

    ranges: list[Range] = []
    real = reread.read

    def counted(settings: Settings, some: Iterable[Range], *more: Any) -> Iterator[Records]:
        some = list(some)
        ranges.extend(some)
        return real(settings, some, *more)

    monkeypatch.setattr(reread, "read", counted)
    ends = log.ends(log.live)
    with writing(settings) as writer:
        until(lambda: messages_of(settings) == 50 + len(SYMBOLS), SLOW)
        until(lambda: all(next_of(settings, log.live, p) == end for p, end in ends.items()), SLOW)
    assert writer.reports.late == len(SYMBOLS)
    read = Counter[int]()
    for r in ranges:
        if r.topic_id == log.live.id:
            read[r.partition] += r.stop - r.start
    late = Counter(partition_of(symbol, log.live.partitions) for symbol in SYMBOLS)
    assert read.keys() == late.keys()
    for p, count in read.items():
        assert late[p] <= count <= ends[p], f"partition {p} of {ends[p]} records: {count} were read"


def _closed(settings: Settings) -> int:
    """The least end of the last closed windows of trades, over the live topic's partitions."""
    saved = [p for p in positions.read(settings, VENDOR).values() if p.closed]
    return min((p.closed["trade"] for p in saved), default=0) if len(saved) >= 4 else 0
