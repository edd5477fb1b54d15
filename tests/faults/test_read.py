"""Reading through a broker that is SIGKILLed and starts again, and a segment that is damaged on the disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from tapedeck.checks.gap_check import gap_check
from tapedeck.errors import Incomplete, TapedeckError
from tapedeck.log import reading
from tapedeck.log.timeline import timeline
from tapedeck.message import Message
from tapedeck.settings import Mongo, Settings
from tapedeck.slices import NS, Slice
from tests.faults.broker import await_another, kill, own_broker
from tests.published import T0, VENDOR, Published, trade
from tests.tapes import until

COUNT = 60_000


@pytest.fixture(scope="module")
def broker() -> Iterator[tuple[Settings, Path]]:
    """A broker of this file's own, which may be killed, with its supervisor; and its state directory."""
    with own_broker() as found:
        yield found


def test_a_broker_killed_in_mid_read_gives_the_whole_slice_and_its_tail(
    broker: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "STRETCH_RECORDS", 10_000)
    settings, state = broker
    log = Published(settings)
    log.publish(*(trade(T0 + i * 1_000_000, i + 1) for i in range(COUNT)))
    followed: list[Message] = []
    done = threading.Event()

    tail = timeline(VENDOR, settings).tail(T0)

    def follow() -> None:
        for batch in tail.batches():
            followed.extend(batch)
            if len(followed) > COUNT or done.is_set():
                return

    following = threading.Thread(target=follow)
    following.start()
    found: list[int] = []
    for message in timeline(VENDOR, settings).between(T0, T0 + 3600 * NS):
        found.append(message.ts_recv)
        if len(found) == COUNT // 4:
            kill(state)
    assert found == [T0 + i * 1_000_000 for i in range(COUNT)]
    until(lambda: len(followed) == COUNT, 120)
    assert tail.behind.records == 0
    await_another(settings, state, kill(state))  # once more, while the tail waits at the end
    log.publish(trade(T0 + 3000 * NS, COUNT + 1))
    following.join(120)
    done.set()
    assert [one.seq for one in followed] == list(range(1, COUNT + 2))


def test_a_damaged_segment_is_an_error_that_names_partition_and_offset(broker: tuple[Settings, Path]) -> None:
    settings, state = broker
    log = Published(settings, "binance_spot")
    for first in range(0, 300, 100):  # three batches
        log.publish(*(trade(T0 + i, i + 1) for i in range(first, first + 100)))
    home = log.partition()
    [segment] = state.rglob(f"{log.live.name}-{home}/00000000000000000000.log")
    size = segment.stat().st_size
    with segment.open("r+b") as file:
        file.seek(size // 2)
        byte = file.read(1)
        file.seek(size // 2)
        file.write(bytes([byte[0] ^ 0xFF]))
    with pytest.raises(TapedeckError, match=rf"{log.live.name}\[{home}\] at offset 100\b.*CRC"):
        list(timeline("binance_spot", settings).between(T0, T0 + NS))
    tail = iter(timeline("binance_spot", settings).tail(T0))
    assert [next(tail).seq for _ in range(100)] == list(range(1, 101))
    with pytest.raises(TapedeckError, match=rf"{log.live.name}\[{home}\] at offset 100\b"):
        next(tail)


def test_offsets_that_the_broker_lost_are_a_finding_and_never_passed_over(
    broker: tuple[Settings, Path], mongo: str
) -> None:
    settings, state = broker
    settings = structs.replace(settings, mongo=Mongo(uri=mongo, database="tapedeck_lost"))
    log = Published(settings, "okx")
    log.configure(segment_ms=10_000)
    log.register(T0 - NS)
    for minute in range(3):  # a segment each
        log.publish(*(trade(T0 + minute * 60 * NS + i, 100 * minute + i + 1) for i in range(100)))
    log.close(T0 + 300 * NS)
    home, of = log.partition(), Slice(T0, T0 + 120 * NS + 50)
    named = rf"{log.live.name}\[{home}\] lacks offsets 101 to 200 "
    before = timeline("okx", settings).plan(of.start, of.end)
    for part in state.rglob(f"{log.live.name}-{home}/*101.*"):
        part.unlink()
    await_another(settings, state, kill(state))
    line = timeline("okx", settings)
    for reading_ in (line.reading(before), line.between(of.start, of.end)):
        with pytest.raises(Incomplete, match=named):
            list(reading_)
    with pytest.raises(Incomplete, match=named):
        list(line.tail(T0))
    for _ in range(2):
        report = gap_check(settings, "okx", of)
        [found] = [one for one in report.findings if one.check == "lost"]
        evidence = {name: found.evidence[name] for name in ("topic", "partition", "first", "next")}
        assert evidence == {"topic": log.live.name, "partition": home, "first": 101, "next": 201}
        assert (found.reason, found.messages, found.status) == ("publish", 100, "open")
        assert (found.start, found.end) == (T0, T0 + 120 * NS + 50)
        assert report.verdict == "fail"
        assert report.counts["messages"] == 150
    aside = gap_check(settings, "okx", Slice(T0 + 200 * NS, T0 + 250 * NS))
    assert [one.check for one in aside.findings if one.check == "lost"] == []
