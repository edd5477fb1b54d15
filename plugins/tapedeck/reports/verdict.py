"""PASS, WARN or FAIL, and one sentence why: the worst first. Pure.

FAIL: nothing came though the market was open, the balance is not zero, or a finding of that severity is open.
WARN: the day is not proved yet, or something lies beyond its threshold. What a person has accepted weighs
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tapedeck.checks.findings import Finding
from tapedeck.reports.day import Condition, Reason, Verdict
from tapedeck.reports.thresholds import Thresholds
from tapedeck.slices import NS, format_time

_ORDER = ("PASS", "WARN", "FAIL")
_REASONS = ("writer", "expired", "publish", "collector", "upstream", "quarantine")
"""Of findings, those that tapedeck itself answers for first."""


def condition(
    *, trades: bool, messages: int, proved: bool, incidents: Sequence[str], lost: bool = False
) -> Condition:
    """Of a symbol's day. `proved`: receipts hold all of it, and the day is over. `lost`: messages of it are
    in the log, none in Arctic."""
    if not messages and not lost:
        return "missing" if trades else "closed"
    if not proved:
        return "pending"
    return "degraded" if incidents or lost else "available"


def judge(reasons: Iterable[Reason], passed: str) -> tuple[Verdict, str, tuple[Reason, ...]]:
    """The verdict, its sentence, all reasons, worst first; `passed` is the sentence where there is none."""
    worst = sorted(reasons, key=lambda r: -_ORDER.index(r.severity))  # stable: ties stay as they came
    if not worst:
        return "PASS", passed, ()
    return worst[0].severity, worst[0].text, tuple(worst)


def of_findings(found: Sequence[Finding]) -> list[Reason]:
    """One for each DESIGN §1 reason and severity of findings that stand open; apart from each other silences,
    records that are no message, and what else is missing, and warnings by the check that gave them."""
    standing = [f for f in found if f.status in ("open", "repairing")]
    reasons = []
    for why in _REASONS:
        for severity in ("fail", "warn"):
            level: Verdict = "FAIL" if severity == "fail" else "WARN"
            both = [f for f in standing if (f.reason, f.severity) == (why, severity)]
            for sort in sorted({_sort(f) for f in both}):
                some = sorted((f for f in both if _sort(f) == sort), key=lambda f: f.start)
                reasons.append(Reason(level, why, _spell(why, some)))
    return reasons


def _sort(f: Finding) -> str:
    """What is told in one sentence: a record that is no message is not one that got lost, nor is silence."""
    return f.check if f.severity == "warn" or f.check in ("undecodable", "silence") else ""


def of_numbers(
    symbols: Sequence[dict[str, Any]], timeliness: dict[str, Any], limits: Thresholds
) -> list[Reason]:
    """What lies beyond a threshold."""
    found: list[Reason] = []

    def warn(about: str, text: str) -> None:
        found.append(Reason("WARN", about, text))

    slow = [d for d in timeliness["kinds"].values() if d["messages"] and d["p1"] < -limits.clock_ms]
    if slow:
        worst = max(slow, key=lambda d: d["messages"])
        before = all(d["max"] < 0 for d in timeliness["kinds"].values() if d["messages"])
        all_of = "every message" if before else f"{worst['negative_share']:.1%} of messages"
        warn(
            "clock",
            f"The recorder's clock is slow against the vendor's: {all_of} came before its own event time, "
            f"by {_seconds(-worst['p50'])} at the median.",
        )
    for kind, delay in timeliness["kinds"].items():
        if delay["messages"] and delay["p99"] > limits.delay_p99_ms:
            warn(
                "delay",
                f"Messages of kind {kind} came late: 99 % within {_seconds(delay['p99'])} of their event, "
                f"over the limit of {_seconds(limits.delay_p99_ms)}.",
            )
    invalid = [s for s in symbols if s["messages"]]
    for name, many in (("zero_or_negative", "zero or negative prices or sizes"), ("off_tick", "prices off")):
        some = [s for s in invalid if s["validity"][name]]
        if some:
            total = sum(s["validity"][name] for s in some)
            what = many if name != "off_tick" else f"{many} the tick size that the others show"
            warn(name, f"{_count(total)} {what}, in {_symbols(s['symbol'] for s in some)}.")
    for name in ("crossed", "locked"):
        some = [s for s in invalid if s["validity"][f"{name}_share"] > s["validity"][f"{name}_limit"]]
        if some:
            worst = max(some, key=lambda s: s["validity"][f"{name}_share"])
            warn(
                name,
                f"{worst['validity'][f'{name}_share']:.2%} of {worst['symbol']}'s quotes are {name}, over "
                f"the limit of {worst['validity'][f'{name}_limit']:.2%}{_others(len(some))}.",
            )
    some = [s for s in invalid if s["validity"]["outlier_share"] > limits.outlier_share]
    if some:
        worst = max(some, key=lambda s: s["validity"]["outlier_share"])
        warn(
            "outliers",
            f"{worst['validity']['outlier_share']:.2%} of {worst['symbol']}'s ticks are labelled outliers, "
            f"over the limit of {limits.outlier_share:.2%}{_others(len(some))}.",
        )
    some = [s for s in invalid if any(stale["others_moved"] for stale in s["validity"]["stale"])]
    if some:
        warn(
            "stale",
            f"Quotes of {_symbols(s['symbol'] for s in some)} stood unchanged for more than "
            f"{_seconds(limits.stale_seconds * 1000)} while other symbols moved.",
        )
    some = [s for s in symbols if s["volume_ratio"] is not None and s["messages"] and not
            limits.volume_low <= s["volume_ratio"] <= limits.volume_high]  # fmt: skip
    if some:
        worst = max(some, key=lambda s: max(s["volume_ratio"], 1 / s["volume_ratio"]))
        warn(
            "volume",
            f"{worst['symbol']} sent {worst['volume_ratio']:.3g} times the messages of its usual day"
            f"{_others(len(some))}.",
        )
    return found


def _spell(why: str, some: Sequence[Finding]) -> str:
    total = sum(f.messages for f in some)
    where = _symbols(dict.fromkeys(f.symbol for f in some if f.symbol != "*"))
    after = f"the first after {format_time(some[0].start // NS * NS)}"
    spans = f"{_count(len(some))} {'span' if len(some) == 1 else 'spans'}, {after}"
    of = f" of {where}" if where else ""
    if some[0].severity == "warn":
        return (
            f"{_many(len(some), 'sign')} of trouble ({why}){of}, {after}: {some[0].evidence.get('why', '')}."
        )
    if some[0].check == "silence":
        said = str(some[0].evidence.get("why", ""))
        more = f", and {_many(len(some) - 1, 'more silence')}" if len(some) > 1 else ""
        return f"{said[:1].upper()}{said[1:]}, {after.removeprefix('the first ')}{more}."
    if why == "upstream":
        return f"{_many(total, 'message')}{of} never came from the vendor: {spans}."
    if why == "collector":
        seconds = sum(f.end - f.start for f in some if f.symbol == "*") / NS
        deaf = f"No collector was listening for {seconds:,.1f} s" if seconds else "No collector was listening"
        return f"{deaf}: {_many(total, 'message')}{of} known to be missing, {spans}."
    if why == "publish" and all(f.check == "undecodable" for f in some):
        return f"{_many(total, 'record')} in the log {'is' if total == 1 else 'are'} no message: {spans}."
    if why == "publish":
        return f"{_many(total, 'message')}{of} on the tape did not come into the log: {spans}."
    if why == "expired":
        return f"Kafka deleted {_many(total, 'record')} before Arctic was built from them: {spans}."
    if why == "quarantine":
        refused = some[0].evidence.get("why", "")
        return f"{_many(total, 'payload')} could not be read and stand in quarantine ({refused}): {spans}."
    return f"{_many(total, 'message')}{of} differ{'s' * (total == 1)} between the log and Arctic: {spans}."


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _count(n: int) -> str:
    return f"{n:,}"


def _symbols(names: Iterable[str]) -> str:
    """Up to three of them."""
    some = list(names)
    return ", ".join(some[:3]) + (f" and {len(some) - 3:,} more symbols" if len(some) > 3 else "")


def _others(n: int) -> str:
    return f"; so are those of {n - 1:,} more symbols" if n > 1 else ""


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.3g} s" if abs(ms) >= 1000 else f"{ms:.3g} ms"
