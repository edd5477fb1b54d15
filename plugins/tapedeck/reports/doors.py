"""Reports as they are called: by `import tapedeck`, by the command, by tasks."""

from __future__ import annotations

import time
from pathlib import Path

from tapedeck import endpoints
from tapedeck.jobs.origin import person
from tapedeck.reports import home
from tapedeck.reports.day import Day, parse_day
from tapedeck.reports.gather import Progress, gather
from tapedeck.settings import Settings, load


def report(
    vendor: str,
    day: str,
    *,
    out: str | Path | None = None,
    run: str = "",
    who: str = "",
    settings: Settings | None = None,
    progress: Progress = lambda done, total: None,
) -> Day:
    """The report of a vendor's day (`2024-08-08`, UTC), written under `out`, else the state directory.

    The baseline is the reports of days before it in the state directory. Raises BadInput, Unavailable.
    """
    deck = endpoints.resolve(settings or load())
    wanted = parse_day(day)
    deck.vendor(vendor)
    before = home.trailing(deck, vendor, wanted)
    made = gather(deck, vendor, wanted, trailing=before, progress=progress)
    folder = Path(out).expanduser().absolute() if out is not None else home.home(deck)
    home.write(folder, made, run=run or "by hand", who=who or person(), at=time.time_ns())
    return made.day
