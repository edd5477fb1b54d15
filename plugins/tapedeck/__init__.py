"""tapedeck: records the market's tape, keeps it, checks it, and plays it back.

`tapedeck.read`, `stream`, `libraries`, `symbols` and `timeline` are the doors for research, `tapedeck.gaps`
and `tapedeck.reconcile` those of the checks; importing this is quick, what they need is loaded when they are
called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapedeck.checks.report import Report
    from tapedeck.log.timeline import Timeline
    from tapedeck.reports.conditions import SymbolDay
    from tapedeck.reports.day import Day
    from tapedeck.settings import Settings

__all__ = [
    "condition", "gaps", "libraries", "read", "reconcile", "report", "stream", "symbols", "timeline",
]  # fmt: skip


def read(
    library: str,
    symbol: str | Sequence[str],
    start: str | int | datetime,
    end: str | int | datetime,
    columns: Sequence[str] | None = None,
    *,
    tail: bool = True,
    require: str = "",
    as_of: str | int | datetime | None = None,
    arrow: bool = False,
    settings: Settings | None = None,
) -> Any:
    """The messages of `<vendor>.<kind>` as a pandas DataFrame, or as a pyarrow.Table where `arrow` is true;
    see `tapedeck.store.read.read`.

    `require="available"` raises Incomplete, with the days' names, where a day that [start, end) meets is
    not available or closed by its report; "degraded" lets days with known gaps pass too.
    """
    from tapedeck.store.read import read as read_frame

    if require:
        from tapedeck.reports import doors

        doors.require(library, symbol, start, end, require, settings=settings)
    return read_frame(
        library, symbol, start, end, columns, tail=tail, as_of=as_of, arrow=arrow, settings=settings
    )


def stream(
    library: str,
    symbol: str | Sequence[str],
    start: str | int | datetime,
    end: str | int | datetime,
    columns: Sequence[str] | None = None,
    *,
    rows: int = 1_000_000,
    tail: bool = True,
    as_of: str | int | datetime | None = None,
    arrow: bool = False,
    settings: Settings | None = None,
) -> Iterator[Any]:
    """What `read` gives, in frames of about so many rows, for slices larger than memory; see
    `tapedeck.store.stream.stream`."""
    from tapedeck.store.stream import stream as stream_frames

    return stream_frames(
        library,
        symbol,
        start,
        end,
        columns,
        rows=rows,
        tail=tail,
        as_of=as_of,
        arrow=arrow,
        settings=settings,
    )


def libraries(settings: Settings | None = None) -> list[str]:
    """The libraries, `<vendor>.<kind>`, that were made for the vendors of the settings, sorted."""
    from tapedeck.store import library as store

    return store.names(settings)


def symbols(library: str, settings: Settings | None = None) -> list[str]:
    """The symbols that Arctic holds anything of in a library, sorted. Raises BadInput for a wrong name."""
    from tapedeck.store import library as store

    return store.symbols(library, settings)


def timeline(vendor: str, settings: Settings | None = None) -> Timeline:
    """The vendor's log by time; see `tapedeck.log.timeline.timeline`."""
    from tapedeck.log import timeline as timelines

    return timelines.timeline(vendor, settings)


def gaps(vendor: str, start: str | int, end: str | int, *, settings: Settings | None = None) -> Report:
    """What is missing of a vendor in [start, end), with its reasons; see `tapedeck.checks.doors.gaps`."""
    from tapedeck.checks import doors

    return doors.gaps(vendor, start, end, settings=settings)


def reconcile(
    vendor: str, start: str | int, end: str | int, *, repair: bool = False, settings: Settings | None = None
) -> Report:
    """Where the log and Arctic differ in [start, end); see `tapedeck.checks.doors.reconcile`."""
    from tapedeck.checks import doors

    return doors.reconcile(vendor, start, end, repair=repair, settings=settings)


def report(vendor: str, day: str, *, out: str | None = None, settings: Settings | None = None) -> Day:
    """The quality of a vendor's day (`2024-08-08`, UTC); see `tapedeck.reports.doors.report`."""
    from tapedeck.reports import doors

    return doors.report(vendor, day, out=out, settings=settings)


def condition(
    vendor: str,
    start: str,
    end: str,
    symbols: str | Sequence[str] | None = None,
    *,
    settings: Settings | None = None,
) -> list[SymbolDay]:
    """What each day (UTC) of a vendor's symbols is worth; see `tapedeck.reports.doors.condition`."""
    from tapedeck.reports import doors

    return doors.condition(vendor, start, end, symbols, settings=settings)
