"""A report out of what was found; asks nobody: the same facts give the same day."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from msgspec import to_builtins

from tapedeck.checks import remedy
from tapedeck.checks.findings import Finding
from tapedeck.checks.repairs import repair_of
from tapedeck.jobs import receipts
from tapedeck.jobs.receipts import Receipt
from tapedeck.log import quarantine
from tapedeck.log.plan import Plan
from tapedeck.partitions import partition_of
from tapedeck.reports import verdict
from tapedeck.reports.axis import Axis
from tapedeck.reports.day import Day, Reason
from tapedeck.reports.reading import PartRead
from tapedeck.reports.tallies import Tally, delay_of, number, rounded, share
from tapedeck.reports.thresholds import Thresholds
from tapedeck.slices import NS, Slice, format_time, parse_time
from tapedeck.spread import Spread
from tapedeck.store.latency import Hop
from tapedeck.store.window import CODE_VERSION

SAMPLES = 3


@dataclass(slots=True)
class Gathered:
    """A day, and by symbol what its own page draws."""

    day: Day
    plots: dict[str, dict[str, Any]]


@dataclass(slots=True)
class Facts:
    """What was found before it is put together."""

    of: Slice
    on: Axis
    plan: Plan | None = None
    counts: dict[str, int] = field(default_factory=dict)
    balance: list[dict[str, int]] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)
    receipts: list[receipts.Receipt] = field(default_factory=list)
    voids: list[Receipt] = field(default_factory=list)
    entries: list[quarantine.Entry] = field(default_factory=list)
    heard: dict[int, tuple[Slice, ...]] = field(default_factory=dict)
    kept_until: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    symbols: dict[str, dict[str, Any]] = field(default_factory=dict)
    plots: dict[str, dict[str, Any]] = field(default_factory=dict)
    delays: dict[str, Spread] = field(default_factory=dict)
    hops: dict[Hop, Spread] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)

    def take(self, read: PartRead) -> None:
        """What one partition's reading found."""
        for one in read.symbols:
            self.symbols[one["symbol"]] = dict(one)
        self.plots |= read.plots
        self.partial |= set(read.partial)
        self.notes += read.notes
        for kind, packed in read.delays.items():
            self.delays.setdefault(kind, Spread(self.on.bins, centred=True)).merge(Spread.of(packed))


def compose(
    vendor: str,
    day: date,
    expected: Iterable[str],
    trades: bool,
    over: bool,
    facts: Facts,
    trailing: Sequence[Day],
    limits: Thresholds,
    plots_of: int,
    otherwise: Collection[str] = (),
) -> Gathered:
    """The day; uses `facts` up.

    `expected`: symbols that are due; `trades`: whether its market was to be open; `over`: whether the day is;
    `trailing`: reports of days before it; `plots_of`: how many symbols are drawn; `otherwise`: symbols whose
    own calendar says the other of `trades`, or that were delisted before.
    """
    partitions = facts.plan.partitions if facts.plan else 1
    for symbol in expected:
        if symbol not in facts.symbols:
            nothing = Tally(symbol, facts.on, limits, {})
            home = partition_of(symbol, partitions)
            facts.symbols[symbol] = {"symbol": symbol, "partition": home, **nothing.to_json()}
    covered = _covered(facts)
    open_ = [f for f in facts.found if f.status in ("open", "repairing")]
    of_symbol: dict[str, list[Finding]] = {}
    for f in open_:
        of_symbol.setdefault(f.symbol, []).append(f)
    total = np.sum([s["bins"] for s in facts.symbols.values()], axis=0) if facts.symbols else np.zeros(1)
    medians = _baselines(trailing)
    for symbol, one in facts.symbols.items():
        own = [*of_symbol.get(symbol, ()), *of_symbol.get("*", ())]
        incidents = [_incident(f) for f in sorted(own, key=lambda f: f.start)[:20]]
        if symbol in facts.partial:
            incidents.append("windows of it were built when Kafka had already deleted part of them")
        one["incidents"] = incidents
        one["open_findings"] = len(own)
        one["condition"] = verdict.condition(
            trades=trades != (symbol in otherwise), messages=one["messages"],
            proved=covered and over, incidents=incidents,
            lost=any(f.reason in ("writer", "expired") for f in of_symbol.get(symbol, ())),
        )  # fmt: skip
        _limits_of(one, medians, limits)
        _stale(one, total, facts.on)
        for name in ("first", "last"):
            at = one.pop(f"{name}_ns")
            one[name] = format_time(at) if at else None
    symbols = sorted(facts.symbols.values(), key=_worst_first)
    timeliness = _timeliness(facts)
    differ = [
        b["log"] - b["arctic"] - b["duplicates"] - b["voided"] - b["undecodable"] for b in facts.balance
    ]
    reasons = _reasons(symbols, differ, facts, timeliness, limits, covered, over, trades, vendor)
    messages = sum(s["messages"] for s in symbols)
    with_data = sum(1 for s in symbols if s["messages"])
    passed = (
        f"All {messages:,} messages of {with_data:,} symbols are in Arctic as in the log, without a gap."
        if messages
        else "The market was closed and nothing was due."
    )
    level, sentence, ordered = verdict.judge(reasons, passed)
    conditions = {c: 0 for c in ("available", "degraded", "pending", "missing", "closed")}
    for s in symbols:
        conditions[s["condition"]] += 1
    kinds: dict[str, int] = {}
    for s in symbols:
        for kind, n in s["kinds"].items():
            kinds[kind] = kinds.get(kind, 0) + n
    made = Day(
        vendor=vendor, day=day.isoformat(), verdict=level, sentence=sentence, reasons=ordered,
        conditions=conditions,
        slice={"start": format_time(facts.of.start), "end": format_time(facts.of.end)},
        axis={
            "start": format_time(facts.on.start), "step_s": facts.on.step // NS, "bins": facts.on.bins,
        },
        messages=messages, kinds=dict(sorted(kinds.items())), symbols=symbols,
        completeness={
            "findings": [_finding(f) for f in sorted(facts.found, key=_finding_order)],
            "open": len(open_), "missing_messages": sum(f.messages for f in open_ if f.check == "sequence"),
        },
        reconciliation={
            "balance": [{**b, "difference": d} for b, d in zip(facts.balance, differ, strict=True)],
            "difference": sum(map(abs, differ)),
            "differing_windows": sum(1 for f in open_ if f.check == "windows"),
            "receipts": [
                {"id": r.id, "job": r.job, "start": r.start, "end": r.end, "outcome": r.outcome}
                for r in sorted(facts.receipts, key=lambda r: (r.start, r.end, r.id))
            ],
            "covered": covered,
        },
        order={
            "duplicates": sum(b["duplicates"] for b in facts.balance),
            "voided": sum(b["voided"] for b in facts.balance),
            "undecodable": sum(b["undecodable"] for b in facts.balance),
            "voids": [_void(r) for r in sorted(facts.voids, key=lambda r: (r.start, r.end, r.id))],
            **{name: facts.counts.get(name, 0) for name in ("reorders", "resets")},
            **{
                name: sum(s["order"][name] for s in symbols)
                for name in ("event_backwards", "log_backwards", "unknown_event", "identical_neighbours")
            },
        },
        timeliness=timeliness, validity=_validity(symbols),
        volume={"baseline_days": [d.day for d in trailing], "usual": _usual(trailing)},
        quarantine=_quarantine(facts.entries), collectors=_collectors(facts),
        retention=facts.kept_until, plan=_plan(facts.plan),
        code={"tapedeck": importlib.metadata.version("tapedeck"), "windows": CODE_VERSION},
        thresholds=to_builtins(limits), notes=facts.notes,
    )  # fmt: skip
    drawn = [s["symbol"] for s in symbols if s["messages"]][:plots_of]
    return Gathered(made, {s: facts.plots[s] for s in drawn})


def _reasons(
    symbols: Sequence[dict[str, Any]],
    differ: Sequence[int],
    facts: Facts,
    timeliness: dict[str, Any],
    limits: Thresholds,
    covered: bool,
    over: bool,
    trades: bool,
    vendor: str,
) -> list[Reason]:
    found: list[Reason] = []
    gone = [s["symbol"] for s in symbols if s["condition"] == "missing"]
    if gone and len(gone) == len(symbols):
        found.append(
            Reason("FAIL", "missing", f"Nothing of {vendor} was received though its market was open.")
        )
    elif gone:
        some = ", ".join(gone[:3]) + (f" and {len(gone) - 3:,} more symbols" if len(gone) > 3 else "")
        why = f"Nothing of {some} was received though the market was open."
        found.append(Reason("FAIL", "missing", why))
    if not symbols and trades:
        found.append(
            Reason("WARN", "missing", f"Nothing of {vendor} was received, and no symbol is expected.")
        )
    if off := {b["partition"]: d for b, d in zip(facts.balance, differ, strict=True) if d}:
        p, d = max(off.items(), key=lambda item: abs(item[1]))
        where = "the log" if d > 0 else "Arctic"
        others = f", and {len(off) - 1} more partitions do not balance" if len(off) > 1 else ""
        found.append(
            Reason(
                "FAIL", "balance",
                f"The balance is not zero: {where} holds {abs(d):,} more message{'s' * (abs(d) != 1)} than "
                f"the other side accounts for in partition {p}{others}.",
            )
        )  # fmt: skip
    found += verdict.of_findings(facts.found)
    if any(s["messages"] for s in symbols) and not (covered and over):
        why = "no receipt of a nightly rebuild or a reconciliation covers it" if over else "it is not over"
        found.append(Reason("WARN", "pending", f"The day is not proved yet: {why}."))
    if facts.partial:
        some = ", ".join(sorted(facts.partial)[:3])
        why = f"Windows of {some} were built when Kafka had already deleted part of them."
        found.append(Reason("WARN", "partial", why))
    return found + verdict.of_numbers(symbols, timeliness, limits)


def _covered(facts: Facts) -> bool:
    """Whether receipts together hold every message of the day."""
    firsts = [s["first_ns"] for s in facts.symbols.values() if s["messages"]]
    if not firsts:
        return bool(facts.receipts)
    at, last = min(firsts), max(s["last_ns"] for s in facts.symbols.values())
    for start, end in sorted(span_of(r) for r in facts.receipts):
        if start <= at < end:
            at = end
    return bool(at > last)


def _baselines(trailing: Sequence[Day]) -> dict[str, dict[str, list[float]]]:
    """By symbol: messages, crossed and locked shares of its trailing days."""
    found: dict[str, dict[str, list[float]]] = {}
    for day in trailing:
        for s in day.symbols:
            if s["messages"]:
                own = found.setdefault(s["symbol"], {"messages": [], "crossed": [], "locked": []})
                own["messages"].append(s["messages"])
                own["crossed"].append(s["validity"]["crossed_share"])
                own["locked"].append(s["validity"]["locked_share"])
    return found


def _limits_of(
    one: dict[str, Any], days: Mapping[str, Mapping[str, list[float]]], limits: Thresholds
) -> None:
    """The symbol's own limits: of what its usual days show, where there are enough of them."""
    own = days.get(one["symbol"], {})
    usual = own.get("messages", [])
    enough = len(usual) >= limits.baseline_days
    one["volume_ratio"] = rounded(one["messages"] / float(np.median(usual))) if enough else None
    for name in ("crossed", "locked"):
        floor = getattr(limits, f"{name}_share")
        median = float(np.median(own[name])) if enough else 0.0
        one["validity"][f"{name}_limit"] = max(floor, rounded(limits.baseline_times * median))


def _stale(one: dict[str, Any], total: Any, on: Axis) -> None:
    """Whether others moved meanwhile; times as text."""
    rest = total - np.array(one["bins"]) if one["messages"] else total
    for stale in one["validity"]["stale"]:
        a, b = stale.pop("start_ns"), stale.pop("end_ns")
        inside = rest[int(on.place(a)) + 1 : int(on.place(b))]
        stale["others_moved"] = bool(len(inside)) and bool((inside > 0).all())
        stale["start"], stale["end"] = format_time(a), format_time(b)


_WORST = ("missing", "degraded", "pending", "available", "closed")


def _worst_first(s: dict[str, Any]) -> tuple[int, int, float, int, str]:
    return (
        _WORST.index(s["condition"]), -s["open_findings"], -s["validity"]["outlier_share"], -s["messages"],
        s["symbol"],
    )  # fmt: skip


def _incident(f: Finding) -> str:
    return f"{f.reason}: {f.messages:,} messages, {format_time(f.start)} to {format_time(f.end)} ({f.id})"


def _finding(f: Finding) -> dict[str, Any]:
    keep = ("why", "src", "partition", "first", "next", "exact", "missing", "extra", "different")
    told = {**f.to_json(), "evidence": {name: f.evidence[name] for name in keep if name in f.evidence}}
    if f.status not in ("open", "repairing"):
        return told
    return {**told, "remedy": remedy.remedy(f), "repair": to_builtins(repair_of(f))}


def _finding_order(f: Finding) -> tuple[bool, bool, int, str, str]:
    return f.status not in ("open", "repairing"), f.severity != "fail", f.start, f.symbol, f.id


def _timeliness(facts: Facts) -> dict[str, Any]:
    kinds = {kind: delay_of(facts.delays[kind]) for kind in sorted(facts.delays)}
    over: dict[str, list[list[float | None]]] = {}
    for kind in sorted(facts.delays):
        spread = facts.delays[kind]
        over[kind] = [
            [None if (n := number(v / 1000)) is None else rounded(n) for v in spread.quantiles(q).tolist()]
            for q in (0.5, 0.99)
        ]
    hops = {hop: delay_of(facts.hops[hop]) if hop in facts.hops else None for hop in ("kafka", "arctic")}
    return {
        "kinds": kinds, "over_time_p50_p99": over, "receipt_to_kafka": hops["kafka"],
        "receipt_to_arctic": hops["arctic"],
    }  # fmt: skip


def _validity(symbols: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = ("crossed", "locked", "zero_or_negative", "off_tick")
    flags: dict[str, int] = {}
    for s in symbols:
        for rule, n in s["validity"]["flags"].items():
            flags[rule] = flags.get(rule, 0) + n
    quotes = sum(s["kinds"].get("quote", 0) for s in symbols)
    totals = {name: sum(s["validity"][name] or 0 for s in symbols) for name in names}
    return {
        **totals, "flags": flags, "crossed_share": share(totals["crossed"], quotes),
        "locked_share": share(totals["locked"], quotes),
        "stale": sum(len(s["validity"]["stale"]) for s in symbols),
    }  # fmt: skip


def _usual(trailing: Sequence[Day]) -> float | None:
    return float(np.median([d.messages for d in trailing])) if trailing else None


def _quarantine(entries: Sequence[quarantine.Entry]) -> dict[str, Any]:
    groups: dict[str, list[quarantine.Entry]] = {}
    for e in entries:
        groups.setdefault(e.reason, []).append(e)
    return {
        "entries": len(entries),
        "reasons": [
            {
                "reason": reason, "entries": len(some),
                "samples": [
                    {
                        "src": e.src, "received": format_time(e.ts_recv), "k": e.k,
                        "payload": e.payload[:200].decode("utf-8", "backslashreplace"),
                    }
                    for e in some[:SAMPLES]
                ],
            }
            for reason, some in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
        ],
    }  # fmt: skip


def _collectors(facts: Facts) -> list[dict[str, Any]]:
    length = facts.of.end - facts.of.start
    return [
        {
            "src": src, "kind": "collector" if src < 1000 else "file",
            "listened_s": rounded(sum(s.end - s.start for s in spans) / NS),
            "share_of_day": share(sum(s.end - s.start for s in spans), length),
            "spans": [[format_time(s.start), format_time(s.end)] for s in spans[:200]],
        }
        for src, spans in sorted(facts.heard.items())
    ]  # fmt: skip


def _plan(plan: Plan | None) -> dict[str, Any]:
    if plan is None:
        return {"digest": "", "complete": False, "records": 0, "ranges": []}
    return {
        "digest": plan.digest, "complete": plan.complete, "records": plan.records,
        "ranges": [
            {
                "topic": r.topic, "partition": r.partition, "from": r.start, "next": r.stop,
                "why": f"{r.start_reason} / {r.stop_reason}",
            }
            for r in plan.ranges
            if r.stop > r.start
        ],
    }  # fmt: skip


def _void(receipt: receipts.Receipt) -> dict[str, Any]:
    """What somebody said is no data, and why."""
    asked = {name: receipt.asked.get(name) for name in ("src", "symbols", "reason")}
    return {
        "receipt": receipt.id, "start": receipt.start, "end": receipt.end, **asked,
        "who": receipt.who, "messages": receipt.counts.get("voided", 0),
    }  # fmt: skip


def span_of(receipt: receipts.Receipt) -> tuple[int, int]:
    """The slice that a receipt is about, ns UTC."""
    return parse_time(receipt.start), parse_time(receipt.end)
