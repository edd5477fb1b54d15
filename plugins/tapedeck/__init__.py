"""tapedeck: records the market's tape, keeps it, checks it, and plays it back.

`tapedeck.read` and `tapedeck.timeline` are the doors for research; importing this is quick, what they
need is loaded when they are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapedeck.log.timeline import Timeline
    from tapedeck.settings import Settings

__all__ = ["read", "timeline"]


def read(
    library: str,
    symbol: str | Sequence[str],
    start: str | int | datetime,
    end: str | int | datetime,
    columns: Sequence[str] | None = None,
    *,
    tail: bool = True,
    settings: Settings | None = None,
) -> Any:
    """The messages of `<vendor>.<kind>` as a pandas DataFrame; see `tapedeck.store.read.read`."""
    from tapedeck.store.read import read as read_frame

    return read_frame(library, symbol, start, end, columns, tail=tail, settings=settings)


def timeline(vendor: str, settings: Settings | None = None) -> Timeline:
    """The vendor's log by time; see `tapedeck.log.timeline.timeline`."""
    from tapedeck.log import timeline as timelines

    return timelines.timeline(vendor, settings)
