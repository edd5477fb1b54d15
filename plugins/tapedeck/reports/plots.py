"""Plots as static SVG: Vega-Lite, drawn by vl-convert, which needs neither a browser nor a network.

It lays axes and labels out, escapes every name, and writes colours as attributes, which a page's style sheet
replaces by those of the reader's light or dark scheme; Matplotlib draws text as outlines and styles inline.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import vl_convert

from tapedeck.reports.axis import Axis
from tapedeck.slices import format_time, parse_time

Json = dict[str, Any]
Span = tuple[int, int]

WIDTH, LABELS, NOTES = 960, 124, 68
"""Of a plot in all, left of its data, right of them."""
SHADES = (0.06, 0.2, 0.35, 0.5, 0.66, 0.82, 1)
COLUMNS = 120
"""Of a heat map at most."""
INK, DIM, LINE, FAIL = "#1a2230", "#667085", "#dfe3ea", "#b3261e"
KINDS = ("#1c5ca0", "#b3560f", "#6a4fa3", "#0a6e5a")
"""The style sheet knows each of these colours by its attribute."""
BLOCKS = "▁▂▃▄▅▆▇█"
_TITLED = re.compile(r'<path aria-label="([^"]*)"([^>]*?)/>')


def axis_of(day: Mapping[str, Any]) -> Axis:
    """The axis that a report names."""
    return Axis(parse_time(day["start"]), day["step_s"] * 10**9, day["bins"])


def heat_map(on: Axis, rows: Sequence[tuple[str, str, Sequence[int], Sequence[Span]]]) -> str:
    """Rows of (name, note, messages by bin, gaps). Each row is shaded by its own busiest bin: an illiquid
    symbol's gap is seen as well as a liquid one's."""
    together = -(-on.bins // COLUMNS)
    cells, gaps, notes = [], [], []
    for name, note, counts, spans in rows:
        edges = np.arange(0, on.bins, together)
        sums = np.add.reduceat(np.array(counts), edges)
        level = np.ceil(np.sqrt(sums / (sums.max() or 1)) * (len(SHADES) - 1)).astype(int)
        ends = np.append(edges[1:], on.bins)
        starts = [0, *(np.flatnonzero(np.diff(level)) + 1).tolist(), len(level)]
        cells += [
            {"s": name, "a": _ms(on, int(edges[i])), "b": _ms(on, int(ends[j - 1])), "l": SHADES[level[i]]}
            for i, j in itertools.pairwise(starts)
        ]
        gaps += [{"s": name, **span} for span in _spans(on, spans)]
        notes.append({"s": name, "n": note})
    y: Json = {
        "field": "s", "type": "nominal", "sort": None, "title": None, "scale": {"paddingInner": 0.18},
        "axis": {"labelLimit": LABELS - 12, "grid": False, "labelColor": INK},
    }  # fmt: skip
    x = {"x": _time(on, "a"), "x2": {"field": "b"}, "y": y}
    shade = {"fillOpacity": {"field": "l", "type": "quantitative", "scale": None}}
    return _drawn(
        "Messages by symbol and time", 16 * len(rows),
        [
            {"data": {"values": cells}, "mark": _mark("rect", fill=KINDS[0]), "encoding": {**x, **shade}},
            {"data": {"values": gaps}, "mark": _gap(), "encoding": x},
            {
                "data": {"values": notes}, "mark": _mark("text", align="left", dx=6, fill=DIM),
                "encoding": {"x": {"value": WIDTH - LABELS - NOTES}, "y": y, "text": {"field": "n"}},
            },
        ],
    )  # fmt: skip


def delays(on: Axis, over: Mapping[str, Sequence[Sequence[float | None]]]) -> str:
    """Median (line) and 99th percentile (dashes) of each kind's delay in ms."""
    layers: list[Json] = []
    for i, (kind, lines) in enumerate(over.items()):
        color = KINDS[i % len(KINDS)]
        for line, style in zip(lines, ({}, {"strokeDash": [3, 3]}), strict=True):
            mark = _mark("line", stroke=color, strokeWidth=1.3, **style)
            layers.append(_by_bin(on, line, mark, {"title": "ms", "scale": {"zero": False}}))
        layers.append(
            {
                "data": {"values": [{"n": kind}]},
                "mark": _mark("text", align="left", dx=6, fill=color),
                "encoding": {
                    "x": {"value": WIDTH - LABELS - NOTES}, "y": {"value": 8 + 14 * i}, "text": {"field": "n"}
                },
            }
        )  # fmt: skip
    if not any(v is not None for lines in over.values() for line in lines for v in line):
        return ""
    return _drawn("Delay, receipt less event", 130, layers)


def prices(on: Axis, plot: Mapping[str, Any], gaps: Iterable[Span]) -> str:
    """A symbol's day: least to greatest price of each bin, the last as a line, flagged ticks as marks."""
    low = [v for v in plot["low"] if v is not None]
    high = [v for v in plot["high"] if v is not None]
    if not low:
        return ""
    marks = [(rule, at, v) for rule, some in plot["marked"].items() for at, v in some if v is not None]
    reach = max(high) - min(low)
    least = max(min([min(low), *(v for _, _, v in marks)]), min(low) - reach)
    most = min(max([max(high), *(v for _, _, v in marks)]), max(high) + reach)
    y = {"scale": {"domain": [least, most], "clamp": True, "zero": False, "nice": False}}
    band = [
        {"t": _ms(on, i + 0.5), "v": a, "w": b}
        for i, (a, b) in enumerate(zip(plot["low"], plot["high"], strict=True))
        if a is not None
    ]
    width = max(1.0, min((WIDTH - LABELS - NOTES) / on.bins * 0.7, 6.0))
    flags = [
        {"t": at / 1e6, "v": v, "d": f"{rule} {v:g} {format_time(at)}"}
        for rule, at, v in sorted(marks, key=lambda mark: mark[1])
    ]
    point = {"type": "point", "shape": "diamond", "size": 50, "fill": None, "stroke": KINDS[1], "aria": True}
    return _drawn(
        f"Price ({plot['what']})", 260,
        [
            _gap_layer(on, gaps),
            {
                "data": {"values": band},
                "mark": _mark("rule", stroke=KINDS[0], strokeOpacity=0.4, strokeWidth=width),
                "encoding": {"x": _time(on, "t"), "y": _value("v", **y), "y2": {"field": "w"}},
            },
            _by_bin(on, plot["last"], _mark("line", stroke=KINDS[0], strokeWidth=1.3), y),
            {
                "data": {"values": flags}, "mark": point,
                "encoding": {"x": _time(on, "t"), "y": _value("v", **y), "description": {"field": "d"}},
            },
        ],
    )  # fmt: skip


def bars(on: Axis, values: Sequence[float], what: str, gaps: Iterable[Span]) -> str:
    """A value by bin."""
    some = [{"a": _ms(on, i), "b": _ms(on, i + 0.86), "v": v} for i, v in enumerate(values) if v]
    bar = {
        "data": {"values": some}, "mark": _mark("rect", fill=KINDS[0], fillOpacity=0.66),
        "encoding": {
            "x": _time(on, "a"), "x2": {"field": "b"}, "y": _value("v", scale={"zero": True}),
            "y2": {"datum": 0},
        },
    }  # fmt: skip
    return _drawn(what, 90, [_gap_layer(on, gaps), bar])


def trend(values: Sequence[float], what: str) -> str:
    """A small bar a day in letters, the greatest at full height; nothing where there are fewer than two."""
    if len(values) < 2:
        return ""
    most = max(values) or 1
    letters = "".join(BLOCKS[round(v / most * (len(BLOCKS) - 1))] for v in values)
    named = escape(f"{what}: {', '.join(f'{v:,.6g}' for v in values)}")
    return f'<span class="trend" role="img" aria-label="{named}" title="{named}">{letters}</span>'


def _drawn(name: str, height: int, layers: Sequence[Json]) -> str:
    """The SVG of layers that share their axes."""
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": WIDTH - LABELS - NOTES, "height": height, "background": None,
        "autosize": {"type": "none"}, "padding": {"left": LABELS, "right": NOTES, "top": 22, "bottom": 8},
        "layer": [layer for layer in layers if layer["data"]["values"]],
        "config": {
            "aria": False, "view": {"stroke": None}, "font": "system-ui, sans-serif",
            "axis": {
                "domain": False, "ticks": False, "grid": False, "labelColor": DIM, "titleColor": DIM,
                "gridColor": LINE, "titleFontWeight": 400,
            },
            "axisY": {"grid": True, "tickCount": 3},
            "text": {"fontSize": 10.5},
        },
    }  # fmt: skip
    svg: str = vl_convert.vegalite_to_svg(spec)
    head, _, body = svg.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None  # noqa: S101 - every SVG of Vega's has one
    shown = f'<svg {box[0]} role="img" aria-label="{escape(name)}">{body}'
    return _TITLED.sub(r"<path\2><title>\1</title></path>", shown)


def _time(on: Axis, field: str) -> Json:
    """Along the top, UTC."""
    ends = [_ms(on, 0), _ms(on, on.bins)]
    seconds = on.step < 60 * 10**9
    return {
        "field": field, "type": "temporal", "title": None, "scale": {"type": "utc", "domain": ends},
        "axis": {"orient": "top", "format": "%H:%M:%S" if seconds else "%H:%M", "tickCount": 6},
    }  # fmt: skip


def _value(field: str, **more: Any) -> Json:
    return {"field": field, "type": "quantitative", "title": None, "axis": {"format": ",.10~g"}, **more}


def _by_bin(on: Axis, values: Sequence[float | None], mark: Json, y: Json) -> Json:
    """A line by bin, broken where there is nothing."""
    points = [{"t": _ms(on, i + 0.5), "v": v} for i, v in enumerate(values)]
    return {
        "data": {"values": points}, "mark": mark, "encoding": {"x": _time(on, "t"), "y": _value("v", **y)}
    }  # fmt: skip


def _gap_layer(on: Axis, gaps: Iterable[Span]) -> Json:
    """Open gaps over the whole height."""
    return {
        "data": {"values": _spans(on, gaps)}, "mark": {**_gap(), "aria": True},
        "encoding": {"x": _time(on, "a"), "x2": {"field": "b"}, "description": {"field": "d"}},
    }  # fmt: skip


def _spans(on: Axis, gaps: Iterable[Span]) -> list[Json]:
    """Spans within the axis, each wide enough to be seen."""
    least = 2 * on.bins / (WIDTH - LABELS - NOTES)
    found = []
    for start, end in gaps:
        a, b = on.place(start), on.place(end)
        found.append(
            {
                "a": _ms(on, a), "b": _ms(on, max(b, a + least)),
                "d": f"gap, {format_time(start)} to {format_time(end)}",
            }
        )  # fmt: skip
    return found


def _gap() -> Json:
    return _mark("rect", fill=FAIL, fillOpacity=0.28, stroke=FAIL)


def _mark(type_: str, **style: Any) -> Json:
    return {"type": type_, "aria": False, **style}


def _ms(on: Axis, place: float) -> float:
    """When a place on the axis, in bins, is, in ms."""
    return round((on.start + on.step * place) / 1e6, 3)
