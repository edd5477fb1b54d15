"""A writer killed in the middle of a market: everything in Arctic once, as a rebuild would have it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import psutil
from msgspec import structs

from tapedeck import message as m
from tapedeck.settings import Settings, Writer
from tapedeck.slices import NS, Slice
from tapedeck.store import library, positions
from tapedeck.store.rebuild import rebuild
from tests.published import HOUR, T0, VENDOR, Published, environment, trade
from tests.servers import PROGRAM

OF = Slice(T0, T0 + HOUR)
SECONDS = 1200


def start(settings: Settings) -> subprocess.Popen[bytes]:
    log = open(f"{settings.state_dir}.writer.log", "ab")  # noqa: SIM115
    with log:
        return subprocess.Popen(
            [str(PROGRAM), "write", VENDOR], env=environment(settings), stdout=log, stderr=log
        )


def messages_of(settings: Settings) -> int:
    one = library.ensure(settings, VENDOR)["trade"]
    return sum(d["kept"]["n"] for d in one.collection.find({}, {"kept": 1}))


def market(log: Published, stop: threading.Event) -> None:
    """Twenty minutes in seconds: two symbols, resends behind every minute."""
    for first in range(0, SECONDS, 20):
        if stop.wait(0.1):
            return
        messages: list[m.Message] = [
            trade(T0 + i * NS + k, i + 1, symbol)
            for i in [*range(first, first + 20), *range(max(0, first - 70), max(0, first - 65))]
            for k, symbol in enumerate(("BTCUSDT", "ETHUSDT"))
        ]
        log.publish(*messages)
        log.beat(T0 + (first + 20) * NS)
    log.close(T0 + (SECONDS + 60) * NS)


def test_killed_mid_flow_again_and_again_it_writes_each_message_once(settings: Settings) -> None:
    vendor = structs.replace(settings.vendors[VENDOR], window={"trade": 60})
    settings = structs.replace(
        settings, vendors={VENDOR: vendor}, writer=Writer(grace="60s", late_every="500ms", session="2s")
    )
    log, stop = Published(settings), threading.Event()
    log.register(T0)
    producer = threading.Thread(target=market, args=(log, stop))
    producer.start()
    writer = start(settings)
    try:
        for wanted in (200, 900):
            deadline = time.monotonic() + 60
            while messages_of(settings) < wanted:
                assert writer.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            psutil.Process(writer.pid).send_signal(signal.SIGKILL)
            writer.wait()
            writer = start(settings)
        producer.join(120)
        deadline = time.monotonic() + 60
        p, end = log.partition(), log.ends(log.live)[log.partition()]
        while (
            messages_of(settings) < 2 * SECONDS or positions.read(settings, VENDOR)[log.live.id, p].next < end
        ):
            assert writer.poll() is None
            assert time.monotonic() < deadline, (messages_of(settings), positions.read(settings, VENDOR))
            time.sleep(0.05)
        record = settings.state / "live" / f"writer-{VENDOR}.json"
        assert record.exists()
        writer.terminate()
        assert writer.wait(60) == 0
        assert not record.exists()
    finally:
        stop.set()
        producer.join(60)
        if writer.poll() is None:
            writer.kill()
            writer.wait()
    done = rebuild(settings, VENDOR, OF)
    assert done.messages == 2 * SECONDS
    assert done.duplicates > 0
    assert done.written == 0


def test_stopped_past_its_session_it_is_replaced_and_harms_nothing_when_it_wakes(settings: Settings) -> None:
    vendor = structs.replace(settings.vendors[VENDOR], window={"trade": 60})
    settings = structs.replace(
        settings, vendors={VENDOR: vendor}, writer=Writer(grace="60s", late_every="500ms", session="2s")
    )
    log = Published(settings)
    log.register(T0)
    seconds = [trade(T0 + i * NS, i + 1) for i in range(600)]

    def until(wanted: int) -> None:
        deadline = time.monotonic() + 90
        while messages_of(settings) != wanted:
            assert all(writer.poll() is None for writer in writers)
            assert time.monotonic() < deadline, messages_of(settings)
            time.sleep(0.05)

    writers = [start(settings)]
    try:
        log.publish(*seconds[:190])
        log.beat(T0 + 200 * NS)
        until(120)
        os.kill(writers[0].pid, signal.SIGSTOP)  # it holds the rows of an open window
        log.publish(*seconds[190:400])
        log.beat(T0 + 400 * NS)
        writers.append(start(settings))
        until(360)
        os.kill(writers[0].pid, signal.SIGCONT)
        log.publish(*seconds[400:], *seconds[100:110])
        log.close(T0 + 700 * NS)
        until(600)
        for writer in writers:
            writer.terminate()
            assert writer.wait(60) == 0
    finally:
        for writer in writers:
            if writer.poll() is None:
                writer.kill()
                writer.wait()
    done = rebuild(settings, VENDOR, OF)
    assert (done.messages, done.duplicates, done.written) == (600, 10, 0)
