"""How far a silence reaches: a feed, or everything that is recorded here (facts: G6)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from tapedeck.calendars.named import calendar_of
from tapedeck.calendars.session import opened
from tapedeck.checks.findings import WHOLE, Finding
from tapedeck.log import meta
from tapedeck.log.coverage import FILES
from tapedeck.log.meta import Meta
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import Slice


def with_scope(settings: Settings, vendor: str, found: Iterable[Finding]) -> list[Finding]:
    """The findings, a feed's silence widened to `everything` where no other open feed was heard either:
    that is this site's network or machines, no vendor."""
    made, known = [], meta.read(settings)
    for one in found:
        feed = one.check == "silence" and one.symbol == WHOLE
        others = _silent(settings, known, vendor, one) if feed else []
        made.append(_everything(one, others) if others else one)
    return made


def _silent(settings: Settings, known: Meta, vendor: str, one: Finding) -> list[str]:
    """The vendors that were silent too; none where one was heard, or no other was listened to and open."""
    of = Slice(one.start, max(one.end, one.start + 1))
    silent = []
    for other in sorted(set(settings.vendors) - {vendor}):
        lives = [life for life in known.lives if life.vendor == other and life.src < FILES]
        listened = any(
            life.since <= of.start and not life.retired and (life.closed is None or life.closed >= of.end)
            for life in lives
        )
        whole = opened(calendar_of(settings, other).sessions(of), of) == [(of.start, of.end)]
        if not (listened and whole):
            continue
        if _heard(settings, other, Slice(of.start + 1, of.end) if of.end > of.start + 1 else of):
            return []
        silent.append(other)
    return silent


def _heard(settings: Settings, vendor: str, of: Slice) -> bool:
    """Whether anything came of a vendor."""
    reading = timeline(vendor, settings).between(of.start, of.end)
    return any(
        len(judged.kept)
        for part in reading.parts()
        for kind, judged in part.judged.items()
        if kind != "status"
    )


def _everything(one: Finding, others: list[str]) -> Finding:
    why = f"{one.evidence['why']}; nothing came of {', '.join(others)} either: it is this site, no vendor"
    evidence = {**one.evidence, "scope": "everything", "others": others, "why": why}
    return structs.replace(one, reason="collector", evidence=evidence)
