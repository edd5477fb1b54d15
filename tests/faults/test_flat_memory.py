"""A collector while Kafka is away: the tape grows, no half's memory does, then all of it is published."""

from __future__ import annotations

from pathlib import Path

import psutil
import zmq
from msgspec import structs

from tapedeck.settings import Settings, Vendor
from tapedeck.tape import position
from tests.proxy import Proxy
from tests.servers import free_port
from tests.tapes import SYMBOLS, VENDOR, Running, files, payloads, until

SLICES, SLICE = 8, 50_000
MOST_TAPER, MOST_PUBLISHER = 30 * 2**20, 60 * 2**20
"""Growth, of 5 and 15 MB measured. What is sent is 90 MB as bytes and more than twice that as Python's."""
PATIENCE = 180.0


def taped(folder: Path) -> int:
    """Bytes on the tape, none of which is compressed yet."""
    try:
        return sum((folder / name).stat().st_size for name in files(folder))
    except FileNotFoundError:
        return 0


def published(folder: Path) -> int:
    found = position.load(folder) if folder.exists() else None
    return sum(lane.sent for lane in found.lanes) if found else 0


def test_while_kafka_is_away_memory_is_flat_the_tape_takes_all_and_all_is_published_then(
    settings: Settings,
) -> None:
    port, sent = free_port(), payloads(SLICE)
    vendor = Vendor(bus=f"zmq:tcp://127.0.0.1:{port}", symbols=list(SYMBOLS))
    folder = settings.tape_dir(VENDOR, 1)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    bus = context.socket(zmq.XPUB)
    bus.setsockopt(zmq.SNDHWM, 0)
    bus.setsockopt(zmq.LINGER, 0)
    bus.bind(f"tcp://127.0.0.1:{port}")

    def send() -> None:
        """A slice of the market, and then until all of it is on the tape."""
        wanted = taped(folder) + sum(map(len, sent)) + 20 * len(sent)
        for payload in sent:
            bus.send(payload)
        until(lambda: taped(folder) >= wanted, PATIENCE)

    with Proxy.kafka(settings.kafka.bootstrap) as proxy:
        kafka = structs.replace(settings.kafka, bootstrap=proxy.address)
        deck = structs.replace(settings, kafka=kafka, vendors={VENDOR: vendor})
        try:
            with Running(deck, "collect", VENDOR) as collector:
                assert bus.poll(60_000), collector.said
                assert bus.recv() == b"\x01"
                send()
                until(lambda: published(folder) >= SLICE, PATIENCE)
                halves = collector.halves()
                before = {half: psutil.Process(pid).memory_info().rss for half, pid in halves.items()}
                proxy.leave()
                peak = dict(before)
                for _ in range(SLICES):
                    send()
                    for half, pid in halves.items():
                        peak[half] = max(peak[half], psutil.Process(pid).memory_info().rss)
                assert published(folder) < 2 * SLICE
                proxy.come_back()
                until(lambda: published(folder) >= (SLICES + 1) * SLICE, PATIENCE)
                assert collector.halves() == halves
                assert collector.end() == 0, collector.said
        finally:
            bus.close(0)
            context.term()
    grown = {half: peak[half] - before[half] for half in peak}
    assert grown["taper"] < MOST_TAPER, grown
    assert grown["publisher"] < MOST_PUBLISHER, grown
    assert "Kafka takes nothing" in collector.said
