"""A Kafka broker of a test's own, which may be killed: its supervisor starts it again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from tapedeck import endpoints
from tapedeck.embedded import stack
from tapedeck.errors import Unavailable
from tapedeck.log import client
from tapedeck.settings import Kafka, Settings, Vendor
from tests import servers
from tests.published import VENDOR


@contextmanager
def own_broker() -> Iterator[tuple[Settings, Path]]:
    """A broker during the block, and its state directory."""
    with servers.state_dir() as state:
        embedded = servers.stack_settings(state)
        stack.up(embedded, ["kafka"], print)
        kafka = Kafka(bootstrap=endpoints.bootstrap(embedded), partitions=2)
        vendors = {VENDOR: Vendor(), "binance_spot": Vendor(), "okx": Vendor()}
        yield structs.replace(embedded, kafka=kafka, vendors=vendors), state


def pid_of(state: Path) -> int:
    """The broker that runs now."""
    record = endpoints.read_server(Settings(state_dir=str(state)), "kafka")
    assert record is not None
    return record.pid


def kill(state: Path) -> int:
    """SIGKILL for the broker, whom its supervisor starts again; gives its pid."""
    pid = pid_of(state)
    os.kill(pid, signal.SIGKILL)
    return pid


def await_another(settings: Settings, state: Path, pid: int) -> None:
    """Return when a broker answers that is not the one of that pid."""
    deadline = time.monotonic() + 120
    while True:
        record = endpoints.read_server(Settings(state_dir=str(state)), "kafka")
        try:
            if record is not None and record.pid != pid:
                client.contact(settings)
                return
        except Unavailable:
            pass
        assert time.monotonic() < deadline, "no other broker has come"
        time.sleep(0.2)
