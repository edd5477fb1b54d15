"""Where reports lie: `reports/` in the state directory, a plain folder that any web server may serve.

`<vendor>/<day>.html`, its twin `.json`, `<day>/<symbol>.html`, and what only the index tells: `.entry.json`
with the run and the time of making. Files are replaced whole. A report that says something else than the one
before it is a new revision: the earlier one stays as `<day>.r1.html` and `.json`, marked as superseded.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from tapedeck.errors import BadInput, Mismatch, Unavailable
from tapedeck.reports import render, scorecard
from tapedeck.reports.compose import Gathered
from tapedeck.reports.day import Day, from_json
from tapedeck.settings import Settings
from tapedeck.slices import format_time

RUNS = 20
"""So many of the newest runs that made a day's report are told of."""
TRAILING = 20
"""Trailing days that make a baseline."""
_PAGE = re.compile(
    r"(index\.html|[A-Za-z]\w{0,39}/\d{4}-\d{2}-\d{2}((\.r\d{1,6})?\.(html|json)|/[A-Za-z0-9-]{1,60}\.html))",
    re.ASCII,
)


def home(settings: Settings) -> Path:
    """The folder of all reports."""
    return settings.state / "reports"


def reads(settings: Settings, vendor: str, day: str) -> Path:
    """Where what was read of a day is kept (see `tapedeck.reports.kept`)."""
    return home(settings) / vendor / f"{day}.reads"


def write(folder: Path, made: Gathered, *, run: str, who: str, at: int) -> Path:
    """Write a day's page, its JSON and its symbols' pages, then the index. `at`: ns, UTC. Raises Unavailable.

    Gives the page. A report of the same day that says something else is kept as an earlier revision.
    """
    day = made.day
    own = folder / day.vendor
    entry: dict[str, Any] = {
        "vendor": day.vendor, "day": day.day, "verdict": day.verdict, "sentence": day.sentence,
        "messages": day.messages, "conditions": day.conditions, "run": run, "who": who,
        "made": format_time(at // 10**9 * 10**9), "score": scorecard.of_day(day),
    }  # fmt: skip
    try:
        (own / day.day).mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            earlier = _supersede(own, day)
            names = set()
            for symbol, plot in made.plots.items():
                names.add(name := render.slug(symbol))
                _replace(own / day.day / name, render.symbol_page(day, symbol, plot))
            for old in (own / day.day).iterdir():
                if old.name not in names:
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
            _replace(own / f"{day.day}.json", day.to_json())
            _replace(own / f"{day.day}.html", render.day_page(day, list(made.plots)))
            told = own / f"{day.day}.entry.json"
            runs = [*(_entry(told).get("runs", []) if told.is_file() else []), run][-RUNS:]
            entry |= {"revision": len(earlier) + 1, "earlier": earlier, "runs": runs}
            _replace(told, msgspec.json.encode(entry))
            _replace(folder / "index.html", render.index_page(entries(folder)))
    except OSError as e:
        raise Unavailable(
            f"the report can't be written to {folder} ({e.strerror}): make room there, or give another --out"
        ) from e
    return own / f"{day.day}.html"


def _supersede(own: Path, day: Day) -> list[int]:
    """Keep the report that stands if the new one says something else; gives the earlier revisions' numbers.

    Killed anywhere, it is done again: a revision that was kept already is not kept twice.
    """
    standing, fresh = own / f"{day.day}.json", day.to_json()
    kept = sorted(int(path.name.split(".")[1][1:]) for path in own.glob(f"{day.day}.r*.json"))
    if not standing.is_file() or standing.read_bytes() == fresh:
        return kept
    if kept and (own / f"{day.day}.r{kept[-1]}.json").read_bytes() == standing.read_bytes():
        return kept
    number = kept[-1] + 1 if kept else 1
    page = standing.with_suffix(".html")
    if page.is_file():
        marked = render.superseded(page.read_bytes(), page.name)
        _replace(own / f"{day.day}.r{number}.html", marked)
    _replace(own / f"{day.day}.r{number}.json", standing.read_bytes())
    return [*kept, number]


def entries(folder: Path) -> list[dict[str, Any]]:
    """What the index tells of each report, by vendor and day."""
    return [_entry(path) for path in sorted(folder.glob("*/*.entry.json"))]


def _entry(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as e:
        raise Mismatch(f"{path} is no entry of a report ({e}): remove it, and make the report anew") from e


def trailing(settings: Settings, vendor: str, before: date) -> list[Day]:
    """Reports of the newest days before a day, oldest first: the baseline."""
    named = sorted((home(settings) / vendor).glob("????-??-??.json"))
    days = [path for path in named if path.stem < before.isoformat()][-TRAILING:]
    return [from_json(path.read_bytes()) for path in days]


def page(settings: Settings, path: str) -> bytes:
    """A file of the reports by its address. Raises BadInput for whatever is none of them."""
    place = home(settings) / path
    if not _PAGE.fullmatch(path) or not place.is_file():
        raise BadInput(f"there is no report {path[:80]!r}: `tapedeck report VENDOR DAY` makes one")
    return place.read_bytes()


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
