"""What happens to a cluster, one blow at a time, and how long until nobody notices any more."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from pymongo import MongoClient

from tapedeck import endpoints
from tapedeck.embedded import kafka, mongod, supervisor
from tapedeck.log import growth
from tapedeck.settings import Settings
from tapedeck.tape import position
from tests.cluster.road import CAUGHT_UP, GROUPS, NODES, PATIENCE, Road, away, is_whole, leaders, up
from tests.tapes import VENDOR, until

CUT_SECONDS = 10.0
CALM_SECONDS = CAUGHT_UP + 5
"""So long the road must have been without lag before the next blow, and after the last: longer than a
standstill takes to show itself."""


class Blow(NamedTuple):
    """What is done to the road; `strike` returns when no more of it is to come."""

    title: str
    strike: Callable[[Road], None]


class Figures(msgspec.Struct, frozen=True):
    """What one blow did."""

    blow: str
    worst_lag: float
    """Seconds that Kafka was behind the tapes, at most."""
    worst_behind: int
    """Records that the writers were behind Kafka, at most."""
    caught_up: float
    """Seconds from the blow until nobody lagged."""
    whole: float
    """Seconds until every replica was in sync and every mongod in its set."""


def endure(road: Road, blow: Blow) -> Figures:
    """Strike once the road is calm, and wait until it is again and the cluster is whole."""
    _calm(road)
    seen: list[tuple[float, tuple[float, int, str]]] = []
    broken: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):  # the wires are threads of this process, too
            seen.append((time.monotonic(), road.standing()))

    def inspect() -> None:
        while not over.wait(2):
            if not is_whole(road.settings):
                broken.append(time.monotonic())

    watching = [threading.Thread(target=work) for work in (look, inspect)]
    for thread in watching:
        thread.start()
    begun = time.monotonic()
    try:
        blow.strike(road)
        _calm(road)
        until(lambda: is_whole(road.settings), PATIENCE)
        _calm(road)
    finally:
        over.set()
        for thread in watching:
            thread.join()
    lagged = [at for at, standing in seen if not road.is_caught_up(standing)]
    return Figures(
        blow=blow.title,
        worst_lag=round(max(lag for _, (lag, _, _) in seen), 1),
        worst_behind=max(behind for _, (_, behind, _) in seen),
        caught_up=round(max(lagged, default=begun) - begun, 1),
        whole=round(max(broken, default=begun) - begun, 1),
    )


def _calm(road: Road) -> None:
    """Return once nobody has lagged for CALM_SECONDS."""
    end, since = time.monotonic() + PATIENCE, time.monotonic()
    while time.monotonic() - since < CALM_SECONDS:
        road.alive()
        if not road.is_caught_up(found := road.standing()):
            since = time.monotonic()
            assert since < end, found
        time.sleep(0.5)


def kill_server(settings: Settings, name: str) -> int:
    """SIGKILL for an embedded server, whom the supervisor starts again; gives its pid."""
    record = endpoints.read_server(settings, name)
    assert record is not None, name
    os.kill(record.pid, signal.SIGKILL)
    return record.pid


def controller(settings: Settings) -> int:
    """The number of the node whose controller leads the quorum, as the nodes noted it."""
    newest = {"leaderEpoch": -1, "leaderId": 0}
    for node in range(1, settings.kafka.nodes + 1):
        place = settings.state / kafka.name_of(node) / "data" / "__cluster_metadata-0" / "quorum-state"
        told = json.loads(place.read_bytes())
        newest = max(newest, told, key=lambda one: (one["leaderEpoch"], one["leaderId"]))
    return int(newest["leaderId"])


def primary(settings: Settings) -> int:
    """The number of the mongod that is the primary."""
    hosts = settings.mongo.uri.removeprefix("mongodb://").partition("/")[0].split(",")
    with MongoClient[dict[str, object]](settings.mongo.uri) as found:
        found.admin.command("ping")
        assert found.primary is not None
        return hosts.index(f"{found.primary[0]}:{found.primary[1]}") + 1


def leader(settings: Settings, but: int = 0) -> int:
    """The number of the broker that leads most of the live topic's partitions, another than `but`."""
    led = leaders(settings)
    return max((node for node in range(1, NODES + 1) if node != but), key=lambda node: led.get(node, 0))


def kill_broker(road: Road) -> None:
    """A leader of partitions, not the controller."""
    deck = road.settings
    kill_server(deck, kafka.name_of(leader(deck, but=controller(deck))))


def kill_controller(road: Road) -> None:
    """The node that leads the quorum, a broker too."""
    kill_server(road.settings, kafka.name_of(controller(road.settings)))


def kill_primary(road: Road) -> None:
    """The mongod that takes the writes."""
    kill_server(road.settings, mongod.name_of(primary(road.settings)))


def kill_at_once(road: Road) -> None:
    """Controller and primary in one moment."""
    kill_controller(road)
    kill_primary(road)


def lose_broker(road: Road) -> None:
    """A broker and its disk; `tapedeck up` makes an empty one in its place, as the runbook says."""
    _lose(road.settings, kafka.name_of(leader(road.settings, but=controller(road.settings))), "data", "kafka")


def lose_member(road: Road) -> None:
    """The primary and its disk, likewise."""
    _lose(road.settings, mongod.name_of(primary(road.settings)), "", "mongo")


def _lose(settings: Settings, name: str, folder: str, part: str) -> None:
    kill_server(settings, supervisor.NAME)  # else it is quicker
    kill_server(settings, name)
    home = settings.state / name
    for path in [home / folder] if folder else [one for one in home.iterdir() if one.name != "members"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    up(settings.state, "--only", part)


def cut_kafka(road: Road) -> None:
    """Nobody reaches Kafka."""
    away(road.to_kafka, CUT_SECONDS)


def cut_leader(road: Road) -> None:
    """A leader that its cluster sees and nobody else does."""
    away([road.to_kafka[leader(road.settings) - 1]], CUT_SECONDS)


def cut_mongo(road: Road) -> None:
    """Nobody reaches MongoDB."""
    away(road.to_mongo, CUT_SECONDS)


def grow(road: Road) -> None:
    """The vendor gets twice the partitions, and both collectors move there."""
    new = growth.grow(road.settings, VENDOR, 2 * GROUPS).live[-1]

    def moved(src: int) -> bool:
        found = position.load(road.settings.tape_dir(VENDOR, src))
        return found is not None and found.topic_id == new.id

    until(lambda: moved(1) and moved(2), PATIENCE)


def scale_writers(road: Road) -> None:
    """One writer, four, one."""
    before = len(road.writers)
    while len(road.writers) < 4:
        road.add_writer()
    until(lambda: len(road.shared()) == 4 and min(road.shared()) > 0, PATIENCE)
    until(lambda: road.is_caught_up(road.standing()), PATIENCE)
    while len(road.writers) > before:
        road.end_writer()
    until(lambda: road.shared() == [GROUPS], PATIENCE)


ALL = (
    Blow("a broker killed", kill_broker),
    Blow("the controller killed", kill_controller),
    Blow("MongoDB's primary killed", kill_primary),
    Blow("controller and primary killed at once", kill_at_once),
    Blow("the wire to one leader cut for 10 s", cut_leader),
    Blow("the wire to Kafka cut for 10 s", cut_kafka),
    Blow("the wire to MongoDB cut for 10 s", cut_mongo),
    Blow("writers 1, 4, 1", scale_writers),
    Blow(f"grown from {GROUPS} to {2 * GROUPS} partitions", grow),
    Blow("a broker killed, its disk lost", lose_broker),
    Blow("the primary killed, its disk lost", lose_member),
)


def chosen(name: str) -> tuple[Blow, ...]:
    """The blows whose title has that text."""
    return tuple(blow for blow in ALL if name in blow.title)


def campaign(road: Road, blows: Iterable[Blow], say: Callable[[str], None]) -> list[Figures]:
    """All blows in turn."""
    found = []
    for blow in blows:
        found.append(endure(road, blow))
        say(line(found[-1]))
    return found


HEAD = (
    "| blow | Kafka behind the tapes, at most | Arctic behind Kafka, at most | no lag after | whole after |"
)


def line(one: Figures) -> str:
    """A row of the table in docs/reliability.md."""
    return (
        f"| {one.blow} | {one.worst_lag:.1f} s | {one.worst_behind:,} records | {one.caught_up:.1f} s "
        f"| {one.whole:.1f} s |"
    )
