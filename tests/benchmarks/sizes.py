"""What a message costs at each hop, CPU and bytes: docs/operations.md sizes machines by it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tapedeck import endpoints
from tapedeck.errors import Unavailable
from tapedeck.log import topics
from tapedeck.settings import Settings
from tapedeck.store import database
from tests import tapes
from tests.benchmarks.bench import Bench
from tests.benchmarks.bus_to_arctic import Road
from tests.benchmarks.registry import benchmark
from tests.benchmarks.result import Must, Result

RATE, SECONDS = int(os.environ.get("SIZES_RATE", "20000")), int(os.environ.get("SIZES_SECONDS", "60"))
BUDGET = 16.0
"""µs of CPU a message: a day's peak, 125,000 a second, on two cores."""


@benchmark("sizes")
def sizes(bench: Bench) -> Result:
    """CPU of each process and bytes of each store, a message, at a steady rate of the whole road."""
    road = Road(bench, "sizes")
    with road.running() as (sender, collector, writer):
        halves = collector.halves()
        processes = {
            "taper": [psutil.Process(halves["taper"])],
            "publisher": [psutil.Process(halves["publisher"])],
            "Kafka": [_server(bench.settings, "kafka")],
            "writers": writer.children(recursive=True),
            "MongoDB": [_server(bench.settings, "mongod")],
        }
        before, taped = {name: _cpu(found) for name, found in processes.items()}, _taped(road)
        sent, _, _ = road.sent(sender, RATE, SECONDS)
        used = {name: (_cpu(found) - before[name]) / sent * 1e6 for name, found in processes.items()}
        memory = {
            name: max(one.memory_info().rss for one in found) >> 20 for name, found in processes.items()
        }
        collector.end()
        road.all_stored(sent, taped, bench)
    bench.say(f"CPU a message (µs): {_said(used, '.2f')}; memory (MB): {_said(memory, 'd')}")
    bench.say(f"bytes a message: {_said(_bytes(bench.settings, road.settings, sent), '.1f')}")
    return Result(
        value=sum(used.values()), unit="µs a message", baseline_name="a day's peak on two cores",
        baseline=BUDGET, must=Must(1.0, at_most=True),
    )  # fmt: skip


def _taped(road: Road) -> int:
    return int(str(road.record()["messages"]))


def _said(found: Mapping[str, Any], how: str) -> str:
    return ", ".join(f"{name} {value:{how}}" for name, value in found.items())


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (one.cpu_times() for one in processes))


def _server(settings: Settings, name: str) -> psutil.Process:
    record = endpoints.read_server(settings, name)
    if record is None:
        raise Unavailable(f"no {name} is on record in {settings.state}: its CPU can't be told")
    return psutil.Process(record.pid)


def _bytes(embedded: Settings, settings: Settings, sent: int) -> dict[str, float]:
    """On the disk: the compressed tape, one replica of the live topic, one member's libraries."""
    name = topics.verify(settings, tapes.VENDOR).live[0].name
    log = [path for place in _logs(embedded, name) for path in place.glob("*")]
    client = database.client(settings)
    client.admin.command("fsync")
    store = client[f"arctic_{tapes.VENDOR}"].command("dbStats")
    ours = client[settings.mongo.database].command("dbStats")
    return {
        "tape": sum(p.stat().st_size for p in settings.tape_dir(tapes.VENDOR, 1).glob("*.tape*")) / sent,
        "Kafka": sum(_on_disk(path) for path in log) / sent,
        "Arctic": store["storageSize"] / sent,
        "Arctic's indexes": store["indexSize"] / sent,
        "our collections": (ours["storageSize"] + ours["indexSize"]) / sent,
    }


def _logs(embedded: Settings, topic: str) -> list[Path]:
    return list((embedded.state / "kafka" / "data").glob(f"{topic}-*"))


def _on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512  # indexes are laid out ahead, with holes
