"""kcat, the yardstick of Kafka clients: reading a slice of a topic, and one kcat feeding another."""

from __future__ import annotations

import subprocess

from tapedeck.errors import Unavailable
from tapedeck.settings import Settings
from tapedeck.slices import Slice

DELIMITER = "|tapedeck|"
"""Between messages in a pipe: they are binary, so a line feed would cut them."""


def read(settings: Settings, topic: str, of: Slice) -> None:
    """Read a slice of whole ms, printing each offset to nowhere."""
    command = [*_consume(settings, topic, of), "-f", "%o\n"]
    _check(subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False))


def copy(settings: Settings, topic: str, of: Slice, to: str) -> None:
    """Copy the values of a slice of whole ms to another topic, lz4; keys and times are lost."""
    source = [*_consume(settings, topic, of), "-D", DELIMITER]
    sink = ["kcat", "-P", "-b", settings.kafka.bootstrap, "-t", to, "-z", "lz4", "-D", DELIMITER]
    with subprocess.Popen(source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        _check(subprocess.run(sink, stdin=reader.stdout, stderr=subprocess.PIPE, check=False))


def _consume(settings: Settings, topic: str, of: Slice) -> list[str]:
    bounds = ["-o", f"s@{of.start // 1_000_000}", "-o", f"e@{of.end // 1_000_000}", "-e"]
    return ["kcat", "-C", "-q", "-b", settings.kafka.bootstrap, "-t", topic, *bounds]


def _check(done: subprocess.CompletedProcess[bytes]) -> None:
    if done.returncode:
        raise Unavailable(f"kcat failed ({done.stderr.decode(errors='replace').strip()[-300:]})")
