"""Pages out of days: HTML that needs nothing but itself, the same bytes for the same day."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tapedeck.checks.repairs import Repair
from tapedeck.reports import plots
from tapedeck.reports.day import Day
from tapedeck.reports.scorecard import Score, scores
from tapedeck.reports.tallies import RULES
from tapedeck.slices import parse_time

SHOWN = 50
"""Symbols on a page, the worst first; the JSON has all."""
FINDINGS = 200
_REPAIR = re.compile(rb"<!--repair:([\w/?&;=%.+~]+)-->")
"""What stands in a page, which any web server may show, in the place of a repair link."""
GAPS = ("sequence", "collector", "heartbeat", "publish", "silence", "expired", "lost")
"""Checks whose findings say when something did not come; others say what is wrong with what did."""
MARKS = {"PASS": "✓", "WARN": "!", "FAIL": "✕"}


@functools.cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("tapedeck.reports"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"n": _number, "share": _share, "ms": _ms, "time": _time, "form": _form}
    made.globals |= {"marks": MARKS, "rules": RULES}
    return made


def day_page(day: Day, drawn: Sequence[str]) -> bytes:
    """The page of a day; `drawn` are the symbols that have a page of their own."""
    on = plots.axis_of(day.axis)
    rows = [s for s in day.symbols if s["messages"]][:SHOWN]
    heat = [(s["symbol"], f"{s['messages']:,}", s["bins"], _gaps(day, s["symbol"])) for s in rows]
    return _render(
        "page.html", day=day, shown=day.symbols[:SHOWN], findings=day.completeness["findings"][:FINDINGS],
        heat=Markup(plots.heat_map(on, heat)) if heat else "",  # noqa: S704
        delays=Markup(plots.delays(on, day.timeliness["over_time_p50_p99"])),  # noqa: S704
        pages={symbol: slug(symbol) for symbol in drawn},
    )  # fmt: skip


def symbol_page(day: Day, symbol: str, plot: Mapping[str, Any]) -> bytes:
    """A symbol's day: price and activity, with gaps and flagged ticks."""
    on, gaps = plots.axis_of(day.axis), _gaps(day, symbol)
    one = next(s for s in day.symbols if s["symbol"] == symbol)
    volume = plots.bars(on, plot["volume"], "Volume traded", gaps) if any(plot["volume"]) else ""
    return _render(
        "symbol.html", day=day, one=one, plot=plot,
        prices=Markup(plots.prices(on, plot, gaps)),  # noqa: S704
        volume=Markup(volume),  # noqa: S704
        activity=Markup(plots.bars(on, one["bins"], "Messages", gaps)),  # noqa: S704
        findings=[f for f in day.completeness["findings"] if f["symbol"] in (symbol, "*")][:FINDINGS],
    )  # fmt: skip


def superseded(page: bytes, newest: str) -> bytes:
    """An earlier revision's page, which says so and where the newest one is."""
    note = (
        f'<p class="superseded">Superseded: <a href="{newest}">a later revision of this day</a> stands.</p>'
    )
    return page.replace(b"<body>", b"<body>\n" + note.encode(), 1)


def index_page(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """Vendors × days of verdicts with each vendor's month in a line, newest month first; then the newest
    reports."""
    months: dict[str, dict[str, dict[int, Mapping[str, Any]]]] = {}
    for e in entries:
        months.setdefault(e["day"][:7], {}).setdefault(e["vendor"], {})[int(e["day"][8:])] = e
    return _render(
        "index.html",
        months=[(month, sorted(found.items())) for month, found in sorted(months.items(), reverse=True)],
        scored=_by_month(scores(entries)), vendors=sorted({e["vendor"] for e in entries}),
        newest=sorted(entries, key=lambda e: (e["day"], e["vendor"]), reverse=True)[:100],
    )  # fmt: skip


def _by_month(some: Sequence[Score]) -> dict[str, list[tuple[Score, Markup]]]:
    """Each month's scores, and the trend of its messages as a small plot."""
    found: dict[str, list[tuple[Score, Markup]]] = {}
    for one in some:
        trend = Markup(plots.trend(one.messages, "Messages by day"))  # noqa: S704
        found.setdefault(one.month, []).append((one, trend))
    return found


def slug(symbol: str) -> str:
    """A file's name for any symbol: what is harmless of it, and a hash that tells it from all others."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", symbol).strip("-")[:40] or "symbol"
    return f"{plain}-{hashlib.sha256(symbol.encode()).hexdigest()[:8]}.html"


def _render(template: str, **values: Any) -> bytes:
    return _templates().get_template(template).render(values).encode()


def _gaps(day: Day, symbol: str) -> list[tuple[int, int]]:
    """Spans in which something of a symbol, or of the whole feed, is missing still."""
    return [
        (parse_time(f["start"]), parse_time(f["end"]))
        for f in day.completeness["findings"]
        if f["symbol"] in (symbol, "*") and f["status"] in ("open", "repairing") and f["check"] in GAPS
    ]


def with_repairs(page: bytes, path: str) -> bytes:
    """A page as Airflow shows it, at `reports/<path>`: its findings' repair links lead to our forms."""
    up = "../" * (path.count("/") + 1)
    return _REPAIR.sub(rf'<a class="repair" href="{up}\1">Repair…</a>'.encode(), page)


def _form(repair: Mapping[str, Any]) -> str:
    """The address of the form that mends a finding, filled in; without hyphens, which would end a comment."""
    return Repair(**repair).page.replace("-", "%2D")


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _share(value: float | None) -> str:
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value * 100:.3g} %"


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value / 1000:,.4g} s" if abs(value) >= 10_000 else f"{value:,.4g} ms"


def _time(text: str | None) -> str:
    """To the millisecond, without the day."""
    return "–" if text is None else text[11:23].rstrip("Z")
