"""How collectors and writers stand, in words: a line each for `tapedeck status`, tables for `--watch`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tapedeck.partitions import numbers

FRESH_SECONDS = 5.0
"""A writer's record that is older than this says so."""


def span(seconds: float | None) -> str:
    """A length of time for a person: `1.4 s`, `12.0 min`, `3.5 h`."""
    if seconds is None:
        return "—"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def amount(size: float) -> str:
    """Bytes for a person: `0 B`, `3.1 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def details(role: str, process: dict[str, Any]) -> str:
    """What else is known of a live process, in one line."""
    found = _collector(process) if role == "collector" else _writer(process)
    return " · ".join(f"{name} {value}" for name, value in found.items() if value)


def tables(now: dict[str, Any], servers: Sequence[Sequence[str]]) -> Group:
    """All that `tapedeck status` knows; `servers` are rows of name, state, address and what is said of it."""
    first = Table("server", "state", "address", "", box=None, pad_edge=False, header_style="dim")
    for row in servers:
        first.add_row(row[0], _coloured(row[1]), *map(Text, row[2:]))
    parts: list[Any] = [first]
    for role, tell in (("collector", _collector), ("writer", _writer)):
        if now[f"{role}s"]:
            rows = [(one, tell(one)) for one in now[f"{role}s"]]
            names = list(dict.fromkeys(name for _, told in rows for name in told))
            table = Table(role, "state", *names, box=None, pad_edge=False, header_style="dim")
            for one, told in rows:
                state = "not running" if not one["running"] else "held" if one.get("held") else "running"
                table.add_row(title(one), _coloured(state), *(Text(told.get(name, "")) for name in names))
            parts += ["", table]
        else:
            parts += ["", Text(f"no {role} is on record", "dim")]
    if now.get("jobs"):
        names = list(job(now["jobs"][0]))
        table = Table("jobs", *names, box=None, pad_edge=False, header_style="dim")
        for one in now["jobs"]:
            table.add_row(one["vendor"], *map(Text, job(one).values()))
        parts += ["", table]
    return Group(*parts)


def job(one: dict[str, Any]) -> dict[str, str]:
    """What a vendor's jobs left, in words; all have the same keys."""
    findings = ", ".join(f"{count:,} {reason}" for reason, count in sorted(one["findings"].items()))
    hours, free = one["retention_hours"], one["mongo_free"]
    return {
        "findings open": findings or "none",
        "last nightly": _ago(one["backfill"]),
        "last reconciliation": _ago(one["reconcile"]),
        "Kafka deletes unproven": "—" if hours is None else f"in {span(hours * 3600)}",
        "MongoDB's disk free": "—" if free is None else amount(free),
    }


def _ago(at: float | None) -> str:
    return "never" if at is None else f"{span(max(0.0, time.time() - at))} ago"


def title(process: dict[str, Any]) -> str:
    """A live process's vendor, its number where it has one, and its machine where that is another."""
    number = f" {process['src']}" if process.get("src") is not None else ""
    host = process.get("host") or os.uname().nodename
    return f"{process.get('vendor') or '?'}{number}{f' on {host}' if host != os.uname().nodename else ''}"


def _collector(process: dict[str, Any]) -> dict[str, str]:
    return {
        "messages": f"{process.get('messages', 0):,}",
        "lag": span(process.get("lag")),
        "spool": amount(process.get("waiting", 0)),
        "disk free": amount(process.get("free", 0)),
        "health": process.get("health", ""),
        "held by": process.get("held", ""),
    }


def _writer(process: dict[str, Any]) -> dict[str, str]:
    age = time.time() - process["at"] if "at" in process else 0.0
    return {
        "messages": f"{process.get('messages', 0):,}",
        "lag": _behind(process),
        "partitions": numbers(process.get("partitions", [])),
        "oldest window": span(process.get("oldest") or None),
        "memory": amount(process.get("memory", 0)),
        "windows": f"{process.get('written', 0):,}",
        "late": f"{process.get('late', 0):,}",
        "health": process.get("health", ""),
        "held by": process.get("held", ""),
        "told": f"{span(age)} ago" if age > FRESH_SECONDS else "",
    }


def _behind(process: dict[str, Any]) -> str:
    """How many records it has yet to read, and in which partition most of them are."""
    lag, behind = process.get("lag", 0), process.get("behind") or {}
    worst = max(behind, key=lambda p: behind[p], default="")
    most = f" ({behind[worst]:,} in {worst})" if lag and len(behind) > 1 else ""
    return f"{lag:,} records{most}"


def _coloured(state: str) -> Text:
    return Text(state, {"running": "green", "held": "yellow", "not started": "dim"}.get(state, "red"))
