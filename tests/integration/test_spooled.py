"""Two collectors on one bus, one of which spooled for an hour: what it brings late takes its place, once."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec import structs

from tapedeck import message as m
from tapedeck.checks.gap_check import gap_check
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings, Writer
from tapedeck.slices import NS, Slice
from tapedeck.store.read import read
from tapedeck.store.rebuild import rebuild
from tests.integration.test_writer import until, writing
from tests.published import HOUR, T0, VENDOR, Published

OF = Slice(T0, T0 + HOUR)
STEP = 10
COUNT = 3600 // STEP


def heard(src: int, sequenced: bool, begin: int = 0, end: int = COUNT) -> list[m.Message]:
    """A market of one trade each 10 s as one source heard it, with a heartbeat behind each."""
    found: list[m.Message] = []
    for i in range(begin, end):
        at = T0 + i * STEP * NS + src * 1_000_000
        seq = i + 1 if sequenced else 0
        found.append(m.Trade("BTCUSDT", at, at, seq, 0, src, 100.0 + i, 1.0, 1))
        found.append(m.Heartbeat("*", 0, at + NS, 0, 0, src, T0, 0))
    return found


@pytest.mark.parametrize("sequenced", [True, False])
def test_an_hour_that_comes_late_of_the_lower_one_replaces_the_others_once(
    settings: Settings, sequenced: bool
) -> None:
    vendor = structs.replace(settings.vendors[VENDOR], window={"trade": 60})
    writer = Writer(grace="60s", late_every="300ms", session="2s")
    settings = structs.replace(settings, vendors={VENDOR: vendor}, writer=writer)
    log = Published(settings)
    for src in (1, 2):
        log.register(T0, src)

    def sources(*, tail: bool) -> Counter[int]:
        frame = read(f"{VENDOR}.trade", "BTCUSDT", *_ends(), ["price", "src"], tail=tail, settings=settings)
        assert len(set(frame["price"])) == len(frame), "none is there twice"
        return Counter(frame["src"].tolist())

    with writing(settings):
        log.publish(*heard(2, sequenced))
        until(lambda: sources(tail=False)[2] > COUNT // 2, 120)
        assert sources(tail=True) == {2: COUNT}
        log.publish(*heard(1, sequenced, end=COUNT // 2))  # it is half an hour behind still
        assert sources(tail=True).total() == COUNT
        assert sources(tail=True)[1] >= COUNT // 2 - 3, "at its end who listened is the other"
        log.publish(*heard(1, sequenced, COUNT // 2))
        assert sources(tail=True) == {1: COUNT}
        for src in (1, 2):
            log.beat(T0 + HOUR + 300 * NS, src)
            log.close(T0 + HOUR + 301 * NS, src)
        until(lambda: sources(tail=False) == {1: COUNT}, 120)
    done = rebuild(settings, VENDOR, OF)
    assert (done.written, done.messages, done.duplicates) == (0, COUNT, COUNT)
    count = timeline(VENDOR, settings).count(OF.start, OF.end)
    assert (count.kinds["trade"], count.duplicates) == (COUNT, COUNT)
    assert not [f for f in gap_check(settings, VENDOR, OF).findings if f.check == "switch"]


def _ends() -> tuple[int, int]:
    return OF.start, OF.end
