"""The live processes on record, `<state_dir>/live/<role>-<vendor>….json`: collectors and writers.

Each keeps its own record: the fields of `endpoints.Server` (`pid` and `started` at least) and what
else is worth showing, such as `vendor`, `src` and `lag`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tapedeck.embedded import process
from tapedeck.endpoints import Server
from tapedeck.settings import Settings


def records(settings: Settings) -> list[Server]:
    """The live processes that are on record, running or not."""
    return [server for _, server, _ in _read(settings)]


def describe(settings: Settings, role: str) -> list[dict[str, Any]]:
    """The live processes of a role (`collector`, `writer`) as `tapedeck status --json` shows them:
    what their records say, and whether they run."""
    return [
        {"vendor": None, "src": None, **table, "running": process.alive(server)}
        for path, server, table in _read(settings)
        if path.name.startswith(f"{role}-")
    ]


def forget(settings: Settings) -> None:
    """Remove the records of processes that no longer run."""
    for path, server, _ in _read(settings):
        if not process.alive(server):
            path.unlink(missing_ok=True)


def _read(settings: Settings) -> Iterator[tuple[Path, Server, dict[str, Any]]]:
    """Each record, as a server and as it stands; what is no record is passed over."""
    for path in sorted((settings.state / "live").glob("*.json")):
        try:
            table = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            server = msgspec.convert({"name": path.stem, "address": "", "log": "", **table}, Server)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            continue
        yield path, server, table
