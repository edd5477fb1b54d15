"""A vendor's month in one line, from what each day's report leaves in the index. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from tapedeck.reports.day import Day
from tapedeck.slices import NS, parse_time

Entry = Mapping[str, Any]


class Score(Struct, frozen=True, kw_only=True):
    """A vendor's month (`2024-08`).

    `gap_minutes`: time in which something was missing that still is, each minute once however many symbols
    it is about; `late_share`: of messages, those that came behind a later one; `delay_p99_ms`: receipt less
    event, of the middle day and of the worst; `crossed_share`: of quotes; `apart_hours`: time in
    which it disagrees with another vendor of the same instrument. None where no day tells.
    """

    vendor: str
    month: str
    verdicts: dict[str, int]
    messages: tuple[int, ...]
    """By reported day, in order."""
    gap_minutes: float | None
    late_share: float | None
    delay_p99_ms: float | None
    worst_p99_ms: float | None
    crossed_share: float | None
    apart_hours: float | None


def of_day(day: Day) -> dict[str, Any]:
    """What the index keeps of a day for its month."""
    spans = [
        (parse_time(f["start"]), parse_time(f["end"]))
        for f in day.completeness["findings"]
        if f["status"] in ("open", "repairing") and f["severity"] == "fail"
    ]
    apart = [
        (parse_time(f["start"]), parse_time(f["end"]))
        for f in day.completeness["findings"]
        if f["check"] == "cross" and f["status"] in ("open", "repairing")
    ]
    p99 = [d["p99"] for d in day.timeliness["kinds"].values() if d["messages"]]
    return {
        "gap_s": _union(spans) / NS, "late": day.order["log_backwards"], "p99_ms": max(p99, default=None),
        "crossed": day.validity["crossed"], "quotes": day.kinds.get("quote", 0),
        "apart_s": _union(apart) / NS,
    }  # fmt: skip


def scores(entries: Iterable[Entry]) -> list[Score]:
    """One a vendor and month, the newest month first."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for e in sorted(entries, key=lambda e: str(e["day"])):
        groups.setdefault((e["day"][:7], e["vendor"]), []).append(e)
    by_vendor = sorted(groups.items(), key=lambda item: item[0][1])
    newest_first = sorted(by_vendor, key=lambda item: item[0][0], reverse=True)
    return [_score(vendor, month, days) for (month, vendor), days in newest_first]


def _score(vendor: str, month: str, days: Sequence[Entry]) -> Score:
    told = [(e, e["score"]) for e in days if "score" in e]  # reports of before scores were kept tell nothing
    delays = [score["p99_ms"] for _, score in told if score["p99_ms"] is not None]
    return Score(
        vendor=vendor,
        month=month,
        verdicts={v: sum(e["verdict"] == v for e in days) for v in ("PASS", "WARN", "FAIL")},
        messages=tuple(e["messages"] for e in days),
        gap_minutes=sum(score["gap_s"] for _, score in told) / 60 if told else None,
        late_share=_share(sum(s["late"] for _, s in told), sum(e["messages"] for e, _ in told)),
        delay_p99_ms=float(np.median(delays)) if delays else None,
        worst_p99_ms=max(delays, default=None),
        crossed_share=_share(sum(s["crossed"] for _, s in told), sum(s["quotes"] for _, s in told)),
        apart_hours=sum(s.get("apart_s", 0.0) for _, s in told) / 3600 if told else None,
    )


def _share(part: int, of: int) -> float | None:
    return part / of if of else None


def _union(spans: Iterable[tuple[int, int]]) -> int:
    """Length of what the spans cover together."""
    total, reached = 0, 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total
