"""highstorm, a replayer of Kafka topics in Rust (`pip install highstorm`), on the same slice."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

from tapedeck.errors import Unavailable
from tapedeck.log import client, topics
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time

_CONFIG = """\
version = 1
current_context = "bench"
[contexts.bench]
source = "from"
destination = "to"
speed = {speed}
unpaced = {unpaced}
[clusters.here]
bootstrap_servers = "{bootstrap}"
security_protocol = "PLAINTEXT"
[clusters.here.consumer]
[clusters.here.producer]
[registries]
[sources.from]
kind = "kafka"
cluster = "here"
topic = "{topic}"
timestamp = "kafka"
[destinations.to]
cluster = "here"
topic = "{to}"
partitioning = "preserve"
kafka_timestamp = "historical"
"""


def replay(settings: Settings, folder: Path, topic: str, partitions: int, of: Slice, speed: float = 0) -> Any:
    """Replay a slice into a new topic, as fast as possible or at a speed; gives highstorm's own report."""
    to = f"highstorm.{uuid.uuid4().hex}"
    topics.create(client.admin(settings), settings, to, partitions, topics.FOREVER)
    topics.await_topic(client.admin(settings), settings, to)
    folder.mkdir(parents=True, exist_ok=True)
    config, report = folder / "highstorm.toml", folder / "highstorm.json"
    config.write_text(
        _CONFIG.format(
            speed=float(speed or 1), unpaced=str(not speed).lower(), bootstrap=settings.kafka.bootstrap,
            topic=topic, to=to,
        )
    )  # fmt: skip
    done = subprocess.run(
        [str(shutil.which("highstorm")), "replay", "--config", str(config), "--start", format_time(of.start),
         "--end", format_time(of.end), "--quiet", "--report", str(report)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Unavailable(f"highstorm failed ({done.stderr.strip()[-500:]})")
    return json.loads(report.read_text())


def p99_ms(report: Any) -> float:
    """The 99th percentile of how late it sent, in ms."""
    found = report["scheduling_lateness"]["p99"]
    return float(found["secs"] * 1000 + found["nanos"] / 1e6)
