"""Reports as they are called: by `import tapedeck`, by the command, by tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tapedeck import endpoints
from tapedeck.jobs.origin import person
from tapedeck.reports import conditions, home, kept
from tapedeck.reports.conditions import SymbolDay
from tapedeck.reports.day import Day, parse_day
from tapedeck.reports.gather import Ground, Progress, check_gaps, gather, ground, read_one
from tapedeck.settings import Settings, load
from tapedeck.slices import parse_slice


def report(
    vendor: str,
    day: str,
    *,
    out: str | Path | None = None,
    run: str = "",
    who: str = "",
    quick: bool = False,
    settings: Settings | None = None,
    progress: Progress = lambda done, total: None,
) -> Day:
    """The report of a vendor's day (`2024-08-08`, UTC), written under `out`, else the state directory.

    The baseline is the reports of days before it in the state directory. `quick`: what an earlier report or
    `read` has read, and what has not changed since, is not read again. Raises BadInput, Unavailable.
    """
    deck = endpoints.resolve(settings or load())
    on = _ground(deck, vendor, day)
    made = gather(
        deck, on, home.reads(deck, vendor, day), quick=quick, progress=progress,
        trailing=home.trailing(deck, vendor, parse_day(day)),
    )  # fmt: skip
    folder = Path(out).expanduser().absolute() if out is not None else home.home(deck)
    at = time.time_ns()
    home.write(folder, made, run=run or "by hand", who=who or person(), at=at)
    conditions.keep(deck, made.day, at)
    return made.day


def parts(vendor: str, day: str, *, settings: Settings | None = None) -> tuple[int, ...]:
    """The partitions that `read_day` reads of a day, by themselves. Raises BadInput, Unavailable."""
    return _ground(endpoints.resolve(settings or load()), vendor, day).partitions


def read_day(
    vendor: str,
    day: str,
    partition: int | None,
    *,
    quick: bool = False,
    settings: Settings | None = None,
    told: Callable[[str], object] = lambda line: None,
) -> int:
    """Read one partition of a day, or check its gaps where none is named, ahead of a `report(quick=True)`.

    `quick`: not where nothing has changed since. `told` gets lines of how far it is. Gives the messages read.
    Raises BadInput, Unavailable.
    """
    deck = endpoints.resolve(settings or load())
    on, folder = _ground(deck, vendor, day), home.reads(deck, vendor, day)
    if partition is None:
        if not quick or on.plan is None or kept.load_gaps(folder, on.plan) is None:
            check_gaps(deck, on, folder)
        return 0
    if quick and (same := on.fingerprints.get(partition)) and kept.load(folder, partition, same):
        return 0
    return read_one(deck, on, partition, folder, told).rows


def _ground(deck: Settings, vendor: str, day: str) -> Ground:
    wanted = parse_day(day)
    deck.vendor(vendor)
    return ground(deck, vendor, wanted)


def condition(
    vendor: str,
    start: str,
    end: str,
    symbols: str | Sequence[str] | None = None,
    *,
    settings: Settings | None = None,
) -> list[SymbolDay]:
    """What each day (UTC) that [start, end) meets is worth, by day and symbol, as its last report found it.

    `start`, `end`: RFC 3339 text or `2d` ago. `symbols`: all that are due or came where it is None. A day
    without a report is pending. Raises BadInput, Unavailable.
    """
    deck = endpoints.resolve(settings or load())
    some = [symbols] if isinstance(symbols, str) else symbols
    return conditions.conditions(deck, vendor, parse_slice(start, end), some)
