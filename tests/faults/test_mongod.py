"""mongod killed, cut off, mute or full beside a running writer and readers: each message once in Arctic.

Of a writer that takes what one server has in memory for written the same blows must cost messages: else
nothing would be proved.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from pymongo import MongoClient

from tapedeck.settings import Mongo, Settings
from tests.faults import ONCE
from tests.flow import Flow, Process, await_that, is_right, lacking, quick, read_to_the_end, watched
from tests.mongods import ReplicaSet, replica_set
from tests.proxy import Proxy
from tests.published import VENDOR

SMALL = ("--syncdelay", "1", "--wiredTigerEngineConfigString", "log=(file_max=2MB,prealloc=false)")
"""A mongod that needs little of a disk, and writes to it each second."""


def kept_at(settings: Settings, uri: str) -> Settings:
    """The flow's settings, its store at this MongoDB."""
    return structs.replace(quick(settings), mongo=Mongo(uri=uri, database=settings.mongo.database))


def windows(host: str) -> int:
    """How many windows this very server holds, a majority or not."""
    with MongoClient[dict[str, Any]](host, directConnection=True, serverSelectionTimeoutMS=5000) as client:
        return client[f"arctic_{VENDOR}"]["trade"].estimated_document_count()


def await_windows(host: str, more: int) -> None:
    """Wait until it holds so many windows more than now."""
    before = windows(host)
    await_that(lambda: windows(host) >= before + more, lambda: f"no {more} windows more than {before}")


def killed_as_it_writes(servers: ReplicaSet, careless: bool = False) -> None:
    """SIGKILL the moment that windows are written, and start it again."""
    (one,) = servers.members
    for _ in range(3 if careless else 2):
        await_windows(one.host, 4)
        await_windows(one.host, 1)
        one.kill()
        one.start()
        servers.primary()


def cut_off_and_killed(servers: ReplicaSet, careless: bool = False) -> None:
    """The primary takes what the others, standing still, never get, and dies. One of them is elected; back
    again, the first must give up what it had alone. (Who cares waits for them, so that may be no window.)"""
    first = servers.primary()
    await_windows(first.host, 4)
    others = [one for one in servers.members if one is not first]
    for one in others:
        one.send(signal.SIGSTOP)
    try:
        if careless:
            await_windows(first.host, 2)  # the first write may answer what was asked before
        else:
            await_that(lambda: servers.has_alone(first), lambda: "nothing is written")
        first.kill()
    finally:
        for one in others:
            one.send(signal.SIGCONT)
    servers.primary()
    first.start()
    await_windows(servers.primary().host, 4)


Blow = tuple[int, Callable[..., None]]
BLOWS: dict[str, Blow] = {"alone": (1, killed_as_it_writes), "of three": (3, cut_off_and_killed)}
CONTROLS = list(BLOWS) if len(ONCE) > 1 else ["alone"]
"""A short run sees a careless writer lose by the quicker of the two."""


@pytest.mark.parametrize("seed", ONCE)
@pytest.mark.parametrize("blow", BLOWS.values(), ids=BLOWS)
def test_a_server_that_dies_takes_nothing_with_it(
    settings: Settings, tmp_path: Path, blow: Blow, seed: int
) -> None:
    members, strike = blow
    with replica_set(tmp_path, members) as servers:
        settings = kept_at(settings, servers.uri)
        with watched(settings, seed) as flow, Process(settings) as writer:
            strike(servers)
            flow.end()
            is_right(settings, flow, writer)


@pytest.mark.parametrize("name", CONTROLS)
def test_of_a_careless_writer_it_does(settings: Settings, tmp_path: Path, name: str) -> None:
    """The control: with w=1 and j=false, the positions in the end lie behind messages that are nowhere."""
    members, strike = BLOWS[name]
    with replica_set(tmp_path, members) as servers:
        settings = kept_at(settings, servers.uri)
        with Flow(settings, calm=True) as flow, Process(settings, careless=True) as writer:
            strike(servers, careless=True)
            flow.end()
            await_that(lambda: read_to_the_end(settings, flow), lambda: writer.said)
            assert lacking(settings, flow) > 0


@pytest.mark.parametrize("seed", ONCE)
def test_acknowledgements_that_are_lost_on_the_wire_double_nothing(settings: Settings, seed: int) -> None:
    host = settings.mongo.uri.removeprefix("mongodb://").partition("/")[0]
    with Proxy(host) as wire:
        settings = kept_at(settings, f"mongodb://{wire.address}/?directConnection=true")
        with watched(settings, seed) as flow, Process(settings) as writer:
            for turn in range(4):
                await_windows(host, 2)
                wire.lose_replies()
                before = wire.lost
                await_that(lambda before=before: wire.lost > before, lambda: writer.said)  # type: ignore[misc]
                wire.cut()
                if turn % 2:
                    wire.leave()
                    wire.come_back()
            flow.end()
            is_right(settings, flow, writer)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tapedeck-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("seed", ONCE)
def test_a_full_disk_holds_the_writer_up_and_freed_it_loses_nothing(
    settings: Settings, small_disk: Path, seed: int
) -> None:
    with replica_set(small_disk, 1, *SMALL) as servers:
        (one,) = servers.members
        settings = kept_at(settings, servers.uri)
        with watched(settings, seed) as flow, Process(settings) as writer:
            await_windows(one.host, 4)
            _fill(small_disk / "filler")
            await_that(lambda: not one.runs, lambda: "mongod lives on a full disk")
            await_that(lambda: "paused until it is possible" in writer.said, lambda: writer.said)
            (small_disk / "filler").unlink()
            one.start()
            servers.primary()
            await_windows(one.host, 4)
            flow.end()
            is_right(settings, flow, writer)


def _fill(path: Path) -> None:
    """Write until no byte more has room."""
    block = bytes(2**16)
    with path.open("wb", buffering=0) as file:
        while block:
            try:
                while file.write(block) == len(block):
                    pass
            except OSError:
                block = block[: len(block) // 2]
