"""Kafka against Arctic for a slice: counts and digests, then windows, then rows; repair; then again.

`prepare` freezes the plan, `part` looks at one partition (and repairs it), `finish` keeps the findings and
leaves the receipt: a DAG maps `part`, the command runs all three.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, to_builtins

from tapedeck import digest
from tapedeck.checks import expired, findings, proof, stored
from tapedeck.checks.deadline import with_deadline
from tapedeck.checks.findings import WHOLE, Finding, identity
from tapedeck.checks.report import Progress, Report
from tapedeck.checks.sides import NOTHING, Sides, Tallies, arctic_side, log_side, spans_to_judge
from tapedeck.checks.windows import (
    Difference,
    damaged,
    decoded,
    differing,
    standing_only,
)
from tapedeck.errors import Mismatch
from tapedeck.jobs import backfill, plans, receipts
from tapedeck.jobs.limits import SHARE as SHARE
from tapedeck.jobs.limits import allowed
from tapedeck.jobs.origin import Origin
from tapedeck.log import meta
from tapedeck.log.decode import Undecodable
from tapedeck.log.plan import Plan
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time
from tapedeck.store import database, documents, ledger, library, undecodable
from tapedeck.store.library import Library
from tapedeck.store.rebuild import rebuild_partition
from tapedeck.store.window import CODE_VERSION

JOB = "reconcile"
CHECKS = ("windows", "entries", expired.CHECK)
MOST = 200
"""So many findings of a partition travel and are kept; the rest is counted."""
MS = 1_000_000


class Part(Struct, frozen=True, kw_only=True):
    """What one partition's reconciliation found and did."""

    partition: int
    spans: dict[str, Slice]
    gone: dict[str, Slice] = {}
    """Of `spans`' slice, what Kafka no longer holds, which was held against the ledger."""
    judged: int = 0
    """How many windows those are, of each kind."""
    found: list[Finding] = []
    left: list[Finding] = []
    """Of what was found, what is still so after the repair."""
    unlisted: int = 0
    """Windows that differ beyond MOST."""
    balance: dict[str, int] = {}
    before: str = digest.to_hex(0)
    after: str = digest.to_hex(0)
    repaired: int = 0
    withheld: bool = False
    """The repair would have removed or altered more than it may by itself."""
    notes: list[str] = []


prepare = backfill.prepare
Order = backfill.Order


def part(
    settings: Settings,
    order: Order,
    plan: Plan,
    partition: int,
    *,
    repair: bool = False,
    share: float | None = None,
    quick: bool = False,
) -> Part:
    """Reconcile one partition within the frozen plan.

    `quick`: where the ledger proves that all is accounted for, no payload is read.

    `repair`: rebuild the windows that differ, then look again; not where that would remove or alter more
    than `share` of the partition's messages. Safe to run again. Raises Incomplete, Unavailable.
    """
    libraries = library.ensure(settings, order.vendor)
    if quick and (proven := _proven(settings, order, plan, partition, libraries)):
        return proven
    spans, notes = spans_to_judge(settings, plan, partition, libraries, order.slice)
    sides, wrong = _look(settings, order, plan, partition, libraries, spans)
    entries = _not_entered(settings, sides.undecodable)
    whole, _ = spans_to_judge(settings, plan, partition, libraries, order.slice, expired=True)
    gone = expired.spans(whole, spans) if proof.can_prove(libraries) else {}
    lost = list(expired.differing(settings, plan, partition, libraries, gone))[:MOST]
    found = [of_window(order.vendor, partition, one) for one in wrong[:MOST]]
    found += [*_of_entries(order.vendor, entries), *lost]
    before = _digest(sides)
    balance = _balance(settings, partition, sides)
    made, left, repaired, withheld = before, found, 0, False
    if repair and found:
        altered = sum(one.rows.extra + one.rows.different for one in wrong)
        most = None if share is None else allowed(share, balance["arctic"])
        withheld = most is not None and altered > most
        if not withheld:
            repaired = _repair(settings, order, partition, libraries, wrong, entries)
            sides, wrong = _look(settings, order, plan, partition, libraries, spans)
            still = {one.id for one in (of_window(order.vendor, partition, w) for w in wrong)}
            still |= {one.id for one in lost}
            still |= {one.id for one in _of_entries(order.vendor, _not_entered(settings, sides.undecodable))}
            left = [one for one in found if one.id in still]
            balance = _balance(settings, partition, sides)
            made = _digest(sides)
    return Part(
        partition=partition, spans=spans, found=found, left=left, unlisted=max(0, len(wrong) - MOST),
        balance=balance, before=before, after=made, repaired=repaired, withheld=withheld, notes=notes,
        gone=gone, judged=_windows(libraries, spans) + _windows(libraries, gone),
    )  # fmt: skip


def finish(
    settings: Settings,
    order: Order,
    plan: Plan | None,
    parts: Iterable[Part],
    origin: Origin,
    *,
    repair: bool = False,
) -> Report:
    """Keep the findings, close those that are gone, leave a receipt. Raises Mismatch where a part lacks."""
    done = {one.partition: one for one in parts}
    missing = [p for p in order.partitions if p not in done]
    if missing:
        raise Mismatch(
            f"the reconciliation of {order.vendor} {order.slice} lacks its partitions "
            f"{', '.join(map(str, missing))}: see why those failed, then run them again"
        )
    run = origin.run or f"{JOB} {format_time(origin.started)}"
    found = with_deadline(settings, order.vendor, [one for p in done.values() for one in p.found])
    known = {one.id: one for one in found}
    left = [known.get(one.id, one) for p in done.values() for one in p.left]
    judged = _judged(list(done.values()), order.slice)
    stands = findings.record(settings, order.vendor, CHECKS, judged, found, run)
    if len(left) < len(found) or any(p.repaired for p in done.values()):
        findings.mark_repairing(settings, [one.id for one in found], run)
        findings.record(settings, order.vendor, CHECKS, judged, left, run)
        stands = [findings.find(settings, one.id) for one in stands]
    if repair:
        stored.again(settings, order.vendor, order.slice, run)
    notes = [note for p in done.values() for note in p.notes]
    notes += [
        f"partition {p.partition}: {p.unlisted} more windows differ" for p in done.values() if p.unlisted
    ]
    notes += [
        f"partition {p.partition}: its repair would remove or alter too much to be done unasked; see the "
        "findings, then run it by hand: `tapedeck reconcile … --repair`"
        for p in done.values()
        if p.withheld
    ]
    if plan is None:
        notes.append(f"nothing is recorded of {order.vendor} yet")
    balance = [done[p].balance for p in sorted(done)]
    counts = _counts(balance, found, left, sum(p.repaired for p in done.values()))
    receipt = receipts.issue(
        settings, origin, JOB, order.vendor, order.slice, plan,
        outcome="written" if counts["windows_repaired"] else "unchanged" if counts["log"] else "empty",
        counts=counts, before=_sum(p.before for p in done.values()),
        after=_sum(p.after for p in done.values()),
        asked={"repair": repair, "findings": [one.id for one in found]},
        notes=tuple(notes), code=CODE_VERSION if counts["windows_repaired"] else 0,
    )  # fmt: skip
    return Report(
        vendor=order.vendor, slice=order.slice, counts=counts, balance=balance, receipt=receipt.id,
        findings=sorted(stands, key=lambda one: (one.start, one.symbol, one.kind)), notes=receipt.notes,
        judged=sum(p.judged for p in done.values()),
    )  # fmt: skip


def reconcile(
    settings: Settings,
    vendor: str,
    of: Slice,
    *,
    origin: Origin,
    repair: bool = False,
    share: float | None = None,
    quick: bool = False,
    progress: Progress = lambda done, total: None,
) -> Report:
    """The whole reconciliation in this process, of every window that meets the slice.

    `quick`: no payload is read where the ledger proves a partition.
    """
    order, plan = prepare(settings, vendor, of)
    parts: list[Part] = []
    if plan is not None:
        plans.keep(settings, plan)
        for p in order.partitions:
            progress(len(parts), len(order.partitions))
            parts.append(part(settings, order, plan, p, repair=repair, share=share, quick=quick))
    return finish(settings, order, plan, parts, origin, repair=repair)


# one partition


def _proven(
    settings: Settings, order: Order, plan: Plan, partition: int, libraries: Mapping[str, Library]
) -> Part | None:
    """Level 1 alone; None where it does not prove that all is well, so that the windows are to be looked at.

    Nor where a finding is open, since it may be about what only decoding shows. For offsets that Kafka has
    deleted the ledger stands.
    """
    pins = meta.read(settings).topics(order.vendor)
    if not proof.can_prove(libraries) or _has_open(settings, order):
        return None
    if ledger.catch_up(settings, order.vendor, plan.of(partition), pins.log):
        return None
    spans, notes = spans_to_judge(settings, plan, partition, libraries, order.slice, expired=True)
    found = proof.prove(settings, libraries, spans, groups=pins.groups, partition=partition)
    if not found.holds:
        return None
    kept, duplicates, voided = (sum(t[i].messages for t in found.arctic.values()) for i in range(3))
    balance = {
        "partition": partition, "log": sum(t.messages for t in found.log.values()) + found.undecodable,
        "arctic": kept, "duplicates": duplicates, "voided": voided, "undecodable": found.entered,
    }  # fmt: skip
    made = digest.to_hex(found.digest)
    return Part(
        partition=partition, spans={kind: Slice(s.start, s.start) for kind, s in spans.items()},
        balance=balance, before=made, after=made, notes=notes, judged=_windows(libraries, spans),
    )  # fmt: skip


def _windows(libraries: Mapping[str, Library], spans: Mapping[str, Slice]) -> int:
    return sum((span.end - span.start) // libraries[kind].window for kind, span in spans.items())


def _has_open(settings: Settings, order: Order) -> bool:
    """Whether something was found in the slice before and is not settled."""
    known = findings.listed(settings, order.vendor, "")
    return any(
        one.check in (*CHECKS, stored.CHECK)
        and one.status in ("open", "repairing")
        and order.slice.meets(one.start, one.end)
        for one in known
    )


def _look(
    settings: Settings,
    order: Order,
    plan: Plan,
    partition: int,
    libraries: Mapping[str, Library],
    spans: Mapping[str, Slice],
) -> tuple[Sides, list[Difference]]:
    """Level 1 over all, level 2 where it differs or where rows are not what their documents say."""
    sides = Sides()
    log_side(settings, plan, partition, spans, sides)
    arctic_side(settings, libraries, partition, spans, sides)
    judged = Slice(max(s.start for s in spans.values()), min(s.end for s in spans.values()))
    sides.undecodable = [u for u in sides.undecodable if judged.start <= u.timestamp_ms * MS < judged.end]
    wrong: list[Difference] = []
    for kind, one in libraries.items():
        bad = damaged(settings, one, partition, order.slice)
        span = spans[kind]
        inside = {key for key in bad if span.start <= key[2] < span.end}
        if kind in sides.differing:
            wrong += differing(settings, plan, partition, libraries, {kind: span})
        elif inside:
            only = frozenset(inside)
            wrong += differing(settings, plan, partition, libraries, {kind: span}, only)
        for key in sorted(set(bad) - inside):
            if partition not in plan.expired or span.start < span.end <= key[2]:
                continue  # its window is still open: it is judged once it is closed
            held = decoded(settings, one, partition, one.around(key[2]))
            if key in held:
                wrong.append(standing_only(one, partition, key, bad[key], held[key]))
    return sides, sorted(wrong, key=lambda w: (w.span.start, w.kind, w.symbol))


def _repair(
    settings: Settings,
    order: Order,
    partition: int,
    libraries: Mapping[str, Library],
    wrong: Sequence[Difference],
    entries: Sequence[Undecodable],
) -> int:
    """Build the windows anew, whatever their documents say of themselves; gives how many were written."""
    undecodable.enter(settings, order.vendor, entries)
    mendable = [one for one in wrong if one.mendable]
    if not mendable:
        return 0
    with database.answering(settings):
        for kind in {one.kind for one in mendable}:
            ids = [i for one in mendable if one.kind == kind for i in one.ids]
            documents.distrust(libraries[kind].collection, ids)
    of = Slice(min(one.span.start for one in mendable), max(one.span.end for one in mendable))
    keys = frozenset(one.key for one in mendable)
    return rebuild_partition(settings, order.vendor, of, partition, only=keys, by=JOB).written


def _not_entered(settings: Settings, records: Sequence[Undecodable]) -> list[Undecodable]:
    """Records that are no messages and that MongoDB does not know of."""
    names = {undecodable.name(u): u for u in records}
    if not names:
        return []
    with database.answering(settings):
        book = database.collection(settings, "undecodable")
        known = {d["_id"] for d in book.find({"_id": {"$in": list(names)}}, {"_id": 1})}
    return [u for name, u in names.items() if name not in known]


def _balance(settings: Settings, partition: int, sides: Sides) -> dict[str, int]:
    """DESIGN §2.5 of one partition: `log` = `arctic` + `duplicates` + `voided` + `undecodable`."""
    log = sum(t.messages for tallies in sides.log.values() for t in tallies) + len(sides.undecodable)
    kept, duplicates, voided = (
        sum(tallies[place].messages for tallies in sides.arctic.values()) for place in range(3)
    )
    return {
        "partition": partition, "log": log, "arctic": kept, "duplicates": duplicates, "voided": voided,
        "undecodable": len(sides.undecodable) - len(_not_entered(settings, sides.undecodable)),
    }  # fmt: skip


def _digest(sides: Sides) -> str:
    """Of the kept messages that Arctic's documents say they hold."""
    return digest.to_hex(digest.add(*(tallies[0].digest for tallies in sides.arctic.values())))


# findings


def of_window(vendor: str, partition: int, one: Difference) -> Finding:
    """The finding about a window in which the log and Arctic differ."""
    return Finding(
        id=identity("windows", vendor, one.symbol, one.kind, one.span.start), check="windows",
        reason="writer", vendor=vendor, symbol=one.symbol, kind=one.kind, start=one.span.start,
        end=one.span.end, at=one.span.start, messages=one.messages,
        evidence={
            "partition": partition, "why": one.why, "missing": one.rows.missing, "extra": one.rows.extra,
            "different": one.rows.different, "log": _spelled(one.log), "arctic": _spelled(one.arctic),
            "mendable": one.mendable, "documents": list(one.ids),
            "rows": [{**to_builtins(row), "line": row.line} for row in one.rows.rows],
        },
    )  # fmt: skip


def _of_entries(vendor: str, entries: Sequence[Undecodable]) -> list[Finding]:
    found = []
    for u in entries:
        start = u.timestamp_ms * MS
        found.append(
            Finding(
                id=identity("entries", vendor, u.topic_id, u.partition, u.offset), check="entries",
                reason="writer", vendor=vendor, symbol=WHOLE, kind=WHOLE, start=start, end=start + MS,
                at=start, messages=1,
                evidence={
                    "partition": u.partition, "offset": u.offset,
                    "why": f"this record is no message ({u.reason}) and nobody has entered it",
                },
            )
        )  # fmt: skip
    return found[:MOST]


def _spelled(tallies: Tallies) -> dict[str, Any]:
    names = ("kept", "duplicate", "voided")
    return {
        name: {"messages": t.messages, "digest": digest.to_hex(t.digest)}
        for name, t in zip(names, tallies, strict=True)
        if t != NOTHING[0]
    }


def _judged(parts: Sequence[Part], of: Slice) -> Slice:
    """The slice of whole windows in which findings that were not found again are gone."""
    spans = [span for one in parts for span in (*one.spans.values(), *one.gone.values())
             if span.end > span.start]  # fmt: skip
    if not spans:
        return Slice(of.start, of.start)
    return Slice(min(s.start for s in spans), max(s.end for s in spans))


def _counts(
    balance: Sequence[Mapping[str, int]], found: Sequence[Finding], left: Sequence[Finding], written: int
) -> dict[str, int]:
    names = ("log", "arctic", "duplicates", "voided", "undecodable")
    return {
        **{name: sum(one[name] for one in balance) for name in names},
        "differing_before": len(found), "differing_after": len(left), "windows_repaired": written,
    }  # fmt: skip


def _sum(digests: Iterable[str]) -> str:
    return digest.to_hex(digest.add(*map(digest.from_hex, digests)))
