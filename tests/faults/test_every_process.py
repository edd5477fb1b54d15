"""kill -9 of every process of the embedded stack in turn while a feed runs, with the end state right.

Servers are started again by their supervisor, halves by their collector; the supervisor, collectors and
writers by whoever started them: here the test, elsewhere systemd or Docker.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapedeck import endpoints
from tapedeck.embedded import airflow, process, stack, supervisor
from tapedeck.embedded.airflow_api import Client
from tapedeck.jobs import receipts
from tapedeck.settings import Settings
from tapedeck.slices import NS, format_time
from tapedeck.tape.segment import segments
from tests.cluster.road import PATIENCE, Road, cluster, up
from tests.dags import runs
from tests.faults.strikes import covered
from tests.tapes import VENDOR, Running, until

pytestmark = [
    pytest.mark.skipif("FAULT_SEEDS" not in os.environ, reason="make faults: it takes minutes"),
    pytest.mark.timeout(0),
]
WINDOW = 60 * NS


@pytest.fixture(scope="module")
def deck() -> Iterator[Settings]:
    with cluster(print, nodes=1, only="kafka,mongo,airflow") as settings:
        yield settings


def test_every_process_is_killed_once(deck: Settings) -> None:
    begun = time.time_ns()
    with Road(deck, rate=300, writers=2) as road:
        names = [server.name for server in supervisor.records(deck.state)]
        assert {"kafka", "mongod", "postgres", airflow.API, *airflow.COMPONENTS} == set(names)
        for name in names:
            calm(road)
            kill_server(deck, name)
            print(f"{name} killed, and works again")
        calm(road)
        kill_supervisor(deck.state)
        for src in (1, 2):
            for half in ("taper", "publisher"):
                calm(road)
                kill_half(road, src, half)
        for src in (1, 2):
            calm(road)
            kill_collector(road, src)
        for _ in range(2):
            calm(road)
            kill_writer(road)
        calm(road)
        counted = road.finish()
    assert counted["in_arctic"] == counted["sent"] + counted["statuses"]
    the_night_agrees(deck, begun, counted["in_arctic"])


def calm(road: Road) -> None:
    """Return once nobody lags."""
    until(lambda: road.is_caught_up(road.standing()), PATIENCE)
    road.alive()


def kill_server(deck: Settings, name: str) -> None:
    """Wait until another process of that name works."""
    before = endpoints.read_server(deck, name)
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    servers = {one.name: one for one in (*stack.brokers(deck), *stack.members(deck), stack.POSTGRES)}

    def works() -> bool:
        record = endpoints.read_server(deck, name)
        if record is None or record.pid == before.pid or not process.alive(record):
            return False
        return servers[name].is_ready(record) if name in servers else airflow.is_ready(record)

    until(works, PATIENCE)


def kill_supervisor(state: Path) -> None:
    """Who looks after the servers; `tapedeck up` begins another."""
    before = supervisor.on_record(state)
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)
    up(state)
    after = supervisor.on_record(state)
    assert after is not None
    assert after.pid != before.pid
    assert process.alive(after)


def kill_half(road: Road, src: int, half: str) -> None:
    """Its collector starts it again; what a taper missed is on the other's tape before that is struck."""
    collector, tape = road.collectors[src - 1], road.settings.tape_dir(VENDOR, src)
    life, before = segments(tape)[-1].life, collector.halves()[half]
    os.kill(before, signal.SIGKILL)
    until(lambda: collector.halves().get(half, before) != before, PATIENCE)
    if half == "taper":
        until(lambda: covered(tape, life, road.settings.tape_dir(VENDOR, 3 - src)), PATIENCE)


def kill_collector(road: Road, src: int) -> None:
    """Who looks after both halves: they end with it, and whoever started it starts another."""
    tape = road.settings.tape_dir(VENDOR, src)
    life = segments(tape)[-1].life
    _kill(road.collectors[src - 1])
    road.begin_collector(src)
    until(lambda: covered(tape, life, road.settings.tape_dir(VENDOR, 3 - src)), PATIENCE)


def kill_writer(road: Road) -> None:
    """The other one takes its partitions; then there are two again."""
    _kill(road.writers.pop(0))
    road.add_writer()
    until(lambda: len(road.shared()) == 2 and min(road.shared()) > 0, PATIENCE)


def _kill(one: Running) -> None:
    one.process.kill()
    one.process.wait()


def the_night_agrees(deck: Settings, begun: int, messages: int) -> None:
    """A rebuild through the Airflow that was killed finds what the feed left, and nothing to write."""
    api = Client(deck.airflow.url, *airflow.login(deck))
    runs.loaded(api, "nightly_backfill")
    start, end = begun // WINDOW * WINDOW, time.time_ns() // WINDOW * WINDOW + WINDOW
    span = {"start_exact": format_time(start), "end_exact": format_time(end)}
    run = runs.start(api, "nightly_backfill", {"vendors": [VENDOR], **span})
    done = runs.wait(api, "nightly_backfill", run, 900)
    assert done.state == "success", done.tasks
    [made] = [one for one in receipts.recent(deck, 100, VENDOR, "backfill") if one.run == run]
    assert (made.counts["messages"], made.counts["windows_written"]) == (messages, 0)
