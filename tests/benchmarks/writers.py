"""Live writers as processes, and what they say of themselves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tapedeck.settings import Settings
from tests.published import environment
from tests.servers import PROGRAM

PROCESSES = 2


@contextmanager
def writers(settings: Settings, vendor: str, processes: int = PROCESSES) -> Iterator[psutil.Process]:
    """`tapedeck write` during the block."""
    command = [str(PROGRAM), "write", vendor, "--processes", str(processes)]
    with subprocess.Popen(command, env=environment(settings)) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def held_by(settings: Settings, vendor: str) -> list[dict[str, object]]:
    """The writers' records."""
    found = []
    for path in Path(settings.state_dir).glob(f"live/writer-{vendor}*.json"):
        try:
            found.append(dict(json.loads(path.read_bytes())))
        except (OSError, ValueError):
            continue  # just being renewed
    return found
