"""tapedeck: records the market's tape, keeps it, checks it, and plays it back.

`tapedeck.read`, `stream`, `libraries`, `symbols`, `coverage`, `timeline` and `condition` are the doors for
research; the others are the command's verbs of the same name. Importing this is quick: what a door needs is
loaded when it is called. Every door takes `settings`; without, it loads those that the command would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapedeck.checks.findings import Finding
    from tapedeck.checks.report import Report
    from tapedeck.jobs.receipts import Receipt
    from tapedeck.log.timeline import Timeline
    from tapedeck.reports.conditions import SymbolDay
    from tapedeck.reports.day import Day
    from tapedeck.settings import Settings
    from tapedeck.tape.load import Loaded

__all__ = [
    "backfill", "condition", "coverage", "findings", "gaps", "libraries", "load", "read", "receipts",
    "reconcile", "replay", "report", "stream", "symbols", "timeline", "void",
]  # fmt: skip

Time = str | int | datetime
"""RFC 3339 text with a zone (or `5m` ago), an aware datetime, or int ns since the epoch, UTC."""


def read(
    library: str,
    symbol: str | Sequence[str],
    start: Time,
    end: Time,
    columns: Sequence[str] | None = None,
    *,
    tail: bool = True,
    require: str = "",
    as_of: Time | None = None,
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
    start: Time,
    end: Time,
    columns: Sequence[str] | None = None,
    *,
    rows: int = 1_000_000,
    tail: bool = True,
    as_of: Time | None = None,
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


def coverage(
    library: str,
    symbol: str,
    start: Time | None = None,
    end: Time | None = None,
    *,
    settings: Settings | None = None,
) -> Any:
    """What there is of a symbol, what is missing and why, and through when it is complete, as a pandas
    DataFrame; see `tapedeck.checks.coverage.coverage`."""
    from tapedeck.checks.coverage import coverage as table

    return table(library, symbol, start, end, settings=settings)


def timeline(vendor: str, settings: Settings | None = None) -> Timeline:
    """The vendor's log by time; see `tapedeck.log.timeline.timeline`."""
    from tapedeck.log import timeline as timelines

    return timelines.timeline(vendor, settings)


def gaps(vendor: str, start: Time, end: Time, *, settings: Settings | None = None) -> Report:
    """What is missing of a vendor in [start, end), with its reasons; see `tapedeck.checks.doors.gaps`."""
    from tapedeck.checks import doors

    return doors.gaps(vendor, start, end, settings=settings)


def reconcile(
    vendor: str, start: Time, end: Time, *, repair: bool = False, settings: Settings | None = None
) -> Report:
    """Where the log and Arctic differ in [start, end); see `tapedeck.checks.doors.reconcile`."""
    from tapedeck.checks import doors

    return doors.reconcile(vendor, start, end, repair=repair, settings=settings)


def report(
    vendor: str, day: str, *, out: str | None = None, quick: bool = False, settings: Settings | None = None
) -> Day:
    """The quality of a vendor's day (`2024-08-08`, UTC); see `tapedeck.reports.doors.report`."""
    from tapedeck.reports import doors

    return doors.report(vendor, day, out=out, quick=quick, settings=settings)


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


def findings(vendor: str = "", status: str = "", *, settings: Settings | None = None) -> list[Finding]:
    """What checks have found, of all vendors or one; see `tapedeck.checks.doors.findings`."""
    from tapedeck.checks import doors

    return doors.findings(vendor, status, settings=settings)


def load(
    vendor: str, files: str | Path | Sequence[str | Path], symbol: str | None = None, *,
    settings: Settings | None = None,
) -> list[Loaded]:  # fmt: skip
    """Captured files as history of a vendor; see `tapedeck.tape.doors.load_files`."""
    from tapedeck.tape import doors

    return doors.load_files(vendor, files, symbol, settings=settings)


def backfill(vendor: str, start: Time, end: Time, *, settings: Settings | None = None) -> list[Receipt]:
    """Rebuild a slice from the log, then fill it from history; see `tapedeck.checks.doors.backfill`."""
    from tapedeck.checks import doors

    return doors.backfill(vendor, start, end, settings=settings)


def replay(
    vendor: str,
    start: Time,
    end: Time,
    to: str,
    *,
    symbols: Sequence[str] = (),
    kinds: Sequence[str] = (),
    settings: Settings | None = None,
    **more: Any,
) -> Receipt:
    """Play a slice to a topic, onto a bus, into a store; see `tapedeck.jobs.doors.replay`."""
    from tapedeck.jobs import doors

    return doors.replay(vendor, start, end, to, symbols=symbols, kinds=kinds, settings=settings, **more)


def void(
    vendor: str,
    start: Time,
    end: Time,
    *,
    src: int,
    reason: str,
    symbols: Sequence[str] = (),
    settings: Settings | None = None,
) -> Receipt:
    """What a source sent in a slice is no data; see `tapedeck.jobs.doors.void`."""
    from tapedeck.jobs import doors

    return doors.void(vendor, start, end, src=src, reason=reason, symbols=symbols, settings=settings)


def receipts(
    vendor: str = "", job: str = "", limit: int = 20, *, settings: Settings | None = None
) -> list[Receipt]:
    """What finished jobs have proved, newest first; see `tapedeck.jobs.doors.receipts`."""
    from tapedeck.jobs import doors

    return doors.receipts(vendor, job, limit, settings=settings)
