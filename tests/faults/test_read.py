"""Reading through a broker that is SIGKILLed and starts again, and a segment that is damaged on the disk."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from tapedeck import endpoints
from tapedeck.embedded import stack
from tapedeck.errors import TapedeckError
from tapedeck.log import reading
from tapedeck.log.timeline import timeline
from tapedeck.message import Message
from tapedeck.settings import Kafka, Settings, Vendor
from tapedeck.slices import NS
from tests import servers
from tests.published import T0, VENDOR, Published, trade

COUNT = 60_000


@pytest.fixture(scope="module")
def broker() -> Iterator[tuple[Settings, Path]]:
    """A broker of this file's own, which may be killed, with its supervisor; and its state directory."""
    with servers.state_dir() as state:
        embedded = servers.stack_settings(state)
        stack.up(embedded, ["kafka"], print)
        kafka = Kafka(bootstrap=endpoints.bootstrap(embedded), partitions=2)
        vendors = {VENDOR: Vendor(), "binance_spot": Vendor()}
        yield structs.replace(embedded, kafka=kafka, vendors=vendors), state


def kill(state: Path) -> None:
    record = endpoints.read_server(Settings(state_dir=str(state)), "kafka")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)


def test_a_broker_killed_in_mid_read_gives_the_whole_slice_and_its_tail(
    broker: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "STRETCH_RECORDS", 10_000)
    settings, state = broker
    log = Published(settings)
    log.publish(*(trade(T0 + i * 1_000_000, i + 1) for i in range(COUNT)))
    followed: list[Message] = []
    done = threading.Event()

    def follow() -> None:
        for batch in timeline(VENDOR, settings).tail(T0).batches():
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
    log.publish(trade(T0 + 3000 * NS, COUNT + 1))
    following.join(60)
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
