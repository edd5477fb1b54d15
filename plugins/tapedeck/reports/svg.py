"""Plots as SVG text: numbers only, and names that are escaped. Colours are the page's classes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from tapedeck.reports.axis import Axis
from tapedeck.slices import format_time, parse_time

WIDTH = 960
LEFT = 132
LEVELS = 6
Span = tuple[int, int]


def axis_of(day: Mapping[str, Any]) -> Axis:
    """The axis that a report names."""
    return Axis(parse_time(day["start"]), day["step_s"] * 10**9, day["bins"])


def heat_map(on: Axis, rows: Sequence[tuple[str, str, Sequence[int], Sequence[Span]]]) -> str:
    """Rows of (name, note, messages by bin, gaps). Each row is shaded by its own busiest bin: an illiquid
    symbol's gap is seen as well as a liquid one's."""
    high, top = 16, 18
    scale = (WIDTH - LEFT - 64) / on.bins
    height = top + high * len(rows) + 8
    paths: dict[int, list[str]] = {}
    labels, gaps = [], []
    for i, (name, note, counts, spans) in enumerate(rows):
        y = top + i * high
        busiest = max(counts, default=0) or 1
        level = np.ceil(np.sqrt(np.array(counts) / busiest) * LEVELS).astype(int)
        edges = [0, *(np.flatnonzero(np.diff(level)) + 1).tolist(), len(level)]
        for a, b in itertools.pairwise(edges):
            if b > a:
                paths.setdefault(int(level[a]), []).append(
                    f"M{LEFT + a * scale:.1f} {y}h{(b - a) * scale:.1f}v{high - 3}h-{(b - a) * scale:.1f}z"
                )
        short = name if len(name) <= 16 else f"{name[:15]}…"
        labels.append(
            f'<text x="{LEFT - 8}" y="{y + 11}" text-anchor="end"><title>{escape(name)}</title>'
            f'{escape(short)}</text><text class="dim" x="{WIDTH - 58}" y="{y + 11}">{escape(note)}</text>'
        )
        for start, end in spans:
            x = LEFT + on.place(start) * scale
            w = max(2.0, (on.place(end) - on.place(start)) * scale)
            gaps.append(f'<rect class="gap" x="{x:.1f}" y="{y - 1}" width="{w:.1f}" height="{high - 1}"/>')
    shades = "".join(f'<path class="l{level}" d="{"".join(d)}"/>' for level, d in sorted(paths.items()))
    return _svg(height, f"{_times(on, scale, top - 6)}{shades}{''.join(gaps)}{''.join(labels)}", "Messages")


def delays(on: Axis, over: Mapping[str, Sequence[Sequence[float | None]]]) -> str:
    """Median (line) and 99th percentile (dashes) of each kind's delay in ms."""
    values = [v for lines in over.values() for line in lines for v in line if v is not None]
    if not values:
        return ""
    low, high = min(values), max(values)
    body, scale, height = [], (WIDTH - LEFT - 64) / on.bins, 150
    y = _scale(low, high, 24, height - 8)
    body.append(_grid(low, high, y, "ms"))
    for i, (kind, lines) in enumerate(over.items()):
        for line, style in zip(lines, ("", " dash"), strict=True):
            body.append(f'<path class="line k{i % 4}{style}" d="{_line(line, scale, y)}"/>')
        body.append(f'<text class="k{i % 4}" x="{WIDTH - 58}" y="{34 + 14 * i}">{escape(kind)}</text>')
    return _svg(height, f"{_times(on, scale, 12)}{''.join(body)}", "Delay, receipt less event")


def prices(on: Axis, plot: Mapping[str, Any], gaps: Iterable[Span]) -> str:
    """A symbol's day: least to greatest price of each bin, the last as a line, flagged ticks as marks."""
    low = [v for v in plot["low"] if v is not None]
    high = [v for v in plot["high"] if v is not None]
    if not low:
        return ""
    height, scale = 300, (WIDTH - LEFT - 64) / on.bins
    marks = [(rule, at, v) for rule, some in plot["marked"].items() for at, v in some if v is not None]
    reach = max(high) - min(low)
    least = max(min([min(low), *(v for _, _, v in marks)]), min(low) - reach)
    most = min(max([max(high), *(v for _, _, v in marks)]), max(high) + reach)
    y = _scale(least, most, 24, height - 10)
    body = [_grid(least, most, y, ""), _gaps(on, scale, gaps, 18, height - 8)]
    band = "".join(
        f"M{LEFT + (i + 0.5) * scale:.1f} {y(h):.1f}V{max(y(a), y(h) + 0.8):.1f}"
        for i, (a, h) in enumerate(zip(plot["low"], plot["high"], strict=True))
        if a is not None
    )
    width = max(1.0, min(scale * 0.7, 6.0))
    body.append(f'<path class="band" stroke-width="{width:.1f}" d="{band}"/>')
    body.append(f'<path class="line k0" d="{_line(plot["last"], scale, y)}"/>')
    for rule, at, v in marks:
        x, place = LEFT + on.place(at) * scale, min(max(y(v), 20.0), height - 6.0)
        body.append(
            f'<path class="mark" d="M{x:.1f} {place - 4:.1f}l4 4-4 4-4-4z"><title>{escape(rule)} {v:g} '
            f"{format_time(at)}</title></path>"
        )
    return _svg(height, f"{_times(on, scale, 12)}{''.join(body)}", f"Price ({plot['what']})")


def bars(on: Axis, values: Sequence[float], what: str, gaps: Iterable[Span]) -> str:
    """A value by bin."""
    height, scale = 110, (WIDTH - LEFT - 64) / on.bins
    most = max(values, default=0) or 1
    y = _scale(0, most, 14, height - 8)
    d = "".join(
        f"M{LEFT + i * scale:.1f} {height - 8}V{y(v):.1f}h{scale * 0.86:.1f}V{height - 8}z"
        for i, v in enumerate(values)
        if v
    )
    body = f'{_grid(0, most, y, "")}{_gaps(on, scale, gaps, 10, height - 8)}<path class="l4" d="{d}"/>'
    return _svg(height, body, what)


def trend(values: Sequence[float], what: str) -> str:
    """A small bar a day, the greatest at full height; nothing where there are fewer than two."""
    if len(values) < 2:
        return ""
    wide, high, most = 120, 18, max(values) or 1
    step = wide / len(values)
    d = "".join(
        f"M{i * step:.1f} {high}v-{max(value / most * (high - 1), 0.5):.1f}h{step * 0.8:.1f}V{high}z"
        for i, value in enumerate(values)
    )
    named = f'role="img" aria-label="{escape(what)}: {", ".join(_short(v) for v in values)}"'
    return f'<svg class="trend" viewBox="0 0 {wide} {high}" {named}><path class="l4" d="{d}"/></svg>'


def _svg(height: int, body: str, name: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(name)}">{body}</svg>'


def _times(on: Axis, scale: float, y: int) -> str:
    """Five or six instants along the top."""
    every = max(1, on.bins // 6)
    texts = []
    for i in range(0, on.bins + 1, every):
        text = format_time(on.time(i))[11:19]
        x = LEFT + i * scale
        texts.append(f'<text class="dim" x="{x:.1f}" y="{y}">{text[:5] if on.step >= 60e9 else text}</text>')
    return "".join(texts)


def _scale(low: float, high: float, top: int, bottom: int) -> Any:
    span = (high - low) or max(abs(high), 1.0) * 0.01

    def y(value: float) -> float:
        return bottom - (value - low) / span * (bottom - top)

    return y


def _grid(low: float, high: float, y: Any, unit: str) -> str:
    lines = []
    for value in (low, (low + high) / 2, high) if high > low else (low,):
        lines.append(
            f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - 64}"/>'
            f'<text class="dim" x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">'
            f"{_short(value)}{f' {unit}' if unit else ''}</text>"
        )
    return "".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.6g}"


def _line(values: Sequence[float | None], scale: float, y: Any) -> str:
    """Broken where there is nothing."""
    parts, pen = [], "M"
    for i, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{LEFT + (i + 0.5) * scale:.1f} {y(value):.1f}")
        pen = "L"
    return "".join(parts)


def _gaps(on: Axis, scale: float, gaps: Iterable[Span], top: int, bottom: int) -> str:
    rects = []
    for start, end in gaps:
        x, w = LEFT + on.place(start) * scale, max(2.0, (on.place(end) - on.place(start)) * scale)
        rects.append(
            f'<rect class="gap" x="{x:.1f}" y="{top}" width="{w:.1f}" height="{bottom - top}">'
            f"<title>gap, {format_time(start)} to {format_time(end)}</title></rect>"
        )
    return "".join(rects)
