"""A replay that is SIGKILLed while it publishes, and repeated."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import msgspec

from tapedeck.jobs import lease, replay
from tapedeck.jobs.origin import Origin
from tapedeck.log import meta, topics
from tapedeck.log.meta import Extent
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import database
from tests.published import T0, VENDOR, Published, trade
from tests.topics import contents, rows

COUNT = 6000
_KILLED = """
import os, signal, sys, time, msgspec
from tapedeck.jobs import replay
from tapedeck.jobs.origin import Origin
from tapedeck.log.produce import Outbox
from tapedeck.settings import Settings
from tapedeck.slices import Slice

send, sent = Outbox.send_all, 0
def send_some(self, lane, values, keys, times):
    global sent
    for at in range(0, len(values), 500):
        send(self, lane, values.part(at, at + 500), keys.part(at, at + 500), times[at : at + 500])
        sent += len(times[at : at + 500])
        if sent <= 1500:
            self.drain()  # so many have surely arrived
        if sent >= 3000:
            os.kill(os.getpid(), signal.SIGKILL)
Outbox.send_all = send_some
settings = msgspec.json.decode(sys.argv[1], type=Settings)
of = Slice(int(sys.argv[3]), int(sys.argv[4]))
replay.replay(settings, "binance_usdm", of, sys.argv[2], origin=Origin(who="killed", started=1))
"""


def test_a_replay_killed_midway_is_completed_by_the_next_without_a_double(settings: Settings) -> None:
    pin = topics.ensure(settings, VENDOR).backfill
    meta.put(settings, Extent(id="a", vendor=VENDOR, topic_id=pin.id, src=1, start={}, next=None))
    messages = [trade(T0 + i * NS // 100, i + 1, f"S{i % 5}") for i in range(COUNT)]
    Published(settings).publish(*messages, to=pin)
    of, topic = Slice(T0, T0 + 60 * NS), f"{settings.kafka.prefix}out"
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, msgspec.json.encode(settings).decode(), f"kafka:{topic}",
         str(of.start), str(of.end)],
        timeout=100, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    held = sum(len(part) for part in contents(settings, topic).values())
    assert 1500 <= held < COUNT
    with database.answering(settings):  # as when the dead process's lease has run out
        assert database.collection(settings, lease.COLLECTION).delete_many({}).deleted_count == 1
    receipt = replay.replay(
        settings, VENDOR, of, f"kafka:{topic}", origin=Origin(who="test", started=time.time_ns())
    )
    assert contents(settings, topic) == rows(messages, 4)
    assert receipt.counts["messages"] == COUNT
    assert receipt.counts["already"] >= 1500
