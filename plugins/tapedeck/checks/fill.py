"""Filling a slice's gaps from history: find what the log never had, fetch it, rebuild, look again.

Source after source, the best first, is asked for what is still open. What a source was asked for in vain is
kept, so that it is not asked again; what it closed says so in the finding. Killed anywhere, the next run
completes it; repeated, it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tapedeck.checks import findings, undone
from tapedeck.checks.findings import Finding
from tapedeck.checks.gap_check import gap_check
from tapedeck.errors import Unavailable
from tapedeck.jobs import backfill, lease, receipts, unasked
from tapedeck.jobs.backfill import Part
from tapedeck.jobs.history import fetch, sources
from tapedeck.jobs.history.fetch import Asked
from tapedeck.jobs.history.source import Say, Source, Want
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.log import meta
from tapedeck.log.resolve import resolve
from tapedeck.message import KINDS
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time, parse_duration
from tapedeck.store.library import symbols_of
from tapedeck.store.rebuilt import Rebuilt
from tapedeck.store.window import CODE_VERSION

JOB = "history"
FETCHED = ("upstream", "collector", "publish", "expired")
"""Reasons of gaps that somebody else may have what they lack."""


def wanted(settings: Settings, vendor: str, of: Slice) -> list[Want]:
    """Gaps of the slice, looked for now, that history may fill."""
    return [_want(one) for one in _open(gap_check(settings, vendor, of).findings)]


def fill(
    settings: Settings, vendor: str, of: Slice, *, origin: Origin, say: Say = lambda line: None,
    share: float | None = None,
) -> Receipt:  # fmt: skip
    """Fill one vendor's gaps of a slice, for example a day, and prove it with a receipt.

    `share`: of a partition's messages, what may be removed or changed where windows are rebuilt; None: all.
    A source that can't be reached leaves the others to be asked; then this raises Unavailable, the receipt
    having been issued. Raises BadInput where a file is not sound, with nothing published of it.
    """
    chosen = sources.opened(settings, vendor)
    if not chosen or not any(pin.vendor == vendor for pin in meta.read(settings).pins.values()):
        why = "no source of history is set" if not chosen else "nothing is recorded yet"
        return _issue(settings, vendor, of, origin, [], Rebuilt(), 0, 0, [f"{why} of {vendor}"])
    with lease.held(settings, f"history of {vendor}"):
        return _fill(settings, vendor, of, chosen, origin, say, share)


def _fill(
    settings: Settings, vendor: str, of: Slice, chosen: Sequence[Source], origin: Origin, say: Say,
    share: float | None,
) -> Receipt:  # fmt: skip
    by = origin.run or f"history {format_time(origin.started)}"
    found = _open(gap_check(settings, vendor, of, run=by).findings)
    before, built, trouble = len(found), Rebuilt(), list[str]()
    every: list[Asked] = []
    for source in chosen:
        wants = fetch.unasked(settings, vendor, source, [_want(one) for one in found])
        wants += [w for w in fetch.unfinished(settings, vendor, source) if w not in wants]
        if not wants:
            continue
        say(f"asking {source.name} for {len(wants):,} gaps")
        try:
            done = fetch.fetch(
                settings, vendor, source, wants, _symbols(settings, vendor, wants), by=by, say=say
            )
        except Unavailable as e:
            trouble.append(str(e))
            continue
        every += done
        given = [one for one in done if one.outcome == "given"]
        if given:
            built += _rebuilt(settings, vendor, given, by, share, say)
            left = gap_check(settings, vendor, _around(of, given), run=by).findings
            _note(settings, source, given)
            found = [one for one in _open(left) if of.start <= one.at < of.end]
        fetch.record(settings, vendor, source, done, by)
    notes = [*trouble, *([f"{backfill.withheld(built, share)}"] if built.withheld else ())]
    receipt = _issue(settings, vendor, of, origin, every, built, before, len(found), notes)
    if trouble:
        raise Unavailable(f"{'; '.join(trouble)} (the rest was done: receipt {receipt.id})")
    return receipt


def _rebuilt(
    settings: Settings, vendor: str, given: Sequence[Asked], by: str, share: float | None, say: Say
) -> Rebuilt:
    """The windows of what was given, spans that touch together. A margin on both sides may have it.

    What more than the share would be removed or changed of is left as findings."""
    margin = 2 * parse_duration(settings.vendor(vendor).margin)
    spans: list[Slice] = []
    for one in sorted({span.widen(margin) for asked in given for span in asked.spans}):
        if spans and one.start <= spans[-1].end:
            spans[-1] = Slice(spans[-1].start, max(spans[-1].end, one.end))
        else:
            spans.append(one)
    groups = range(meta.read(settings).topics(vendor).groups)
    done = [
        (
            span,
            Part(
                partition=group,
                done=unasked.rebuild(settings, vendor, span, group, share=share, by=by, say=say),
            ),
        )
        for span in spans
        for group in groups
    ]
    undone.record_fetched(settings, vendor, done, share, by)
    return sum((part.done for _, part in done), Rebuilt())


def _note(settings: Settings, source: Source, given: Sequence[Asked]) -> None:
    """The gap's record says by what it was closed."""
    for one in given:
        findings.closed_by(settings, one.want.id, f"history: {', '.join(one.files)} of {source.name}")


def _open(found: Sequence[Finding]) -> list[Finding]:
    return [one for one in found if one.reason in FETCHED and one.status in ("open", "repairing")]


def _want(one: Finding) -> Want:
    numbers = one.evidence if one.check == "sequence" else {}
    return Want(
        id=one.id, slice=Slice(one.start, max(one.end, one.start + 1)), symbol=one.symbol, kind=one.kind,
        first=int(numbers.get("first", 0)), next=int(numbers.get("next", 0)),
    )  # fmt: skip


def _symbols(settings: Settings, vendor: str, wants: Sequence[Want]) -> list[str]:
    known = {*settings.vendor(vendor).symbols, *(want.symbol for want in wants)}
    for kind in KINDS:
        known |= set(symbols_of(settings, f"{vendor}.{kind}"))
    return sorted(known - {findings.WHOLE})


def _around(of: Slice, given: Sequence[Asked]) -> Slice:
    slices = [of, *(one.want.slice for one in given)]
    return Slice(min(s.start for s in slices), max(s.end for s in slices) + 1)


def _issue(
    settings: Settings, vendor: str, of: Slice, origin: Origin, every: Sequence[Asked], built: Rebuilt,
    gaps: int, left: int, notes: Sequence[str],
) -> Receipt:  # fmt: skip
    outcomes = [one.outcome for one in every]
    counts = {
        "gaps": gaps, "closed": max(0, gaps - left), "open": left,
        "given": outcomes.count("given"), "nothing": outcomes.count("nothing"),
        "later": outcomes.count("later"), "windows_written": built.written,
        "windows_withheld": built.withheld,
    }  # fmt: skip
    more = [f"{one.want.id}: {' '.join((one.outcome, *one.files))}" for one in every]
    known = any(pin.vendor == vendor for pin in meta.read(settings).pins.values())
    return receipts.issue(
        settings, origin, JOB, vendor, of, resolve(settings, vendor, of) if known else None,
        outcome="written" if built.written else "unchanged" if gaps else "empty",
        counts=counts, before=built.before, after=built.after, notes=tuple(notes), code=CODE_VERSION,
        asked={"sources": [table.at for table in settings.vendor(vendor).history], "gaps": more[:100]},
    )  # fmt: skip
