"""What there is of one symbol in one library, what is missing, why, and through when it is complete."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pandas as pd

from tapedeck import endpoints
from tapedeck.calendars.named import calendar_of
from tapedeck.calendars.session import opened
from tapedeck.checks import findings
from tapedeck.checks.stretches import Layer, Stretch, runs, stretches, without
from tapedeck.errors import BadInput
from tapedeck.log import meta, topics
from tapedeck.log.complete import complete_through
from tapedeck.log.coverage import FILES
from tapedeck.log.meta import Meta, VendorTopics
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings, load
from tapedeck.slices import Slice, Time, format_time, instant, make_slice
from tapedeck.store import database, documents, ledger, positions
from tapedeck.store import library as libraries
from tapedeck.store.documents import Stored
from tapedeck.store.library import Library
from tapedeck.store.read import check_known, read

GONE = ("sequence", "collector", "publish", "expired", "lost", "quarantine", "silence", "windows", "store")
"""Checks whose findings say that messages are not there."""
MINUTE = ledger.MINUTE_NS


def coverage(
    library: str,
    symbol: str,
    start: Time | None = None,
    end: Time | None = None,
    *,
    settings: Settings | None = None,
) -> pd.DataFrame:
    """One row a stretch of time, in order and without a hole, half-open.

    Parameters
    ----------
    start, end : as `read` takes them; by default from the symbol's first window until now.

    Returns
    -------
    A frame of `start`, `end` (datetime64[ns, UTC]), `state` (`arctic`, `log`, `partial`, `missing`,
    `closed`: see `checks.stretches.Stretch`), `messages` that are there, `reason` (DESIGN §1) and `why`. Its
    `attrs` have `complete_through` (nothing earlier can come any more; None where no collector is open, so
    that nobody is waited for), `held_back_by`, the collector whose time that is, and `notes`.

    That nobody listened is known to the minute, from the ledger, or exactly where a gap check has looked.
    Raises as `read` does.
    """
    deck = endpoints.resolve(settings or load())
    one = libraries.named(deck, library)
    known = meta.read(deck)
    pins = topics.verify(deck, one.vendor, known)
    newest, home = pins.live[-1], partition_of(symbol, pins.groups)
    every = Slice(0, 2**62)
    asked = make_slice(instant(start), instant(end)) if start is not None and end is not None else None
    if (start is None) != (end is None):
        raise BadInput("give both ends of the slice, or none for all that there is")
    with database.answering(deck):
        standing = documents.heads_of(one.collection, symbol, one.whole(asked) if asked else every)
    if not standing:
        check_known(deck, one, symbol)
    of = asked or Slice(min((s.span.start for s in standing), default=time.time_ns() - 1), time.time_ns())
    written = _written(deck, one, pins.groups, home)
    layers, notes = _layers(deck, one, symbol, of, home, standing, written, known, pins)
    found = stretches(of, layers)
    through = next(
        (p for p in complete_through(deck, one.vendor).partitions
         if p.topic == newest.name and p.partition == partition_of(symbol, newest.partitions)), None,
    )  # fmt: skip
    stamp = None if through is None or through.time is None else pd.Timestamp(through.time, tz="UTC")
    frame = _table(found, [_messages(deck, one, symbol, stretch, standing, written) for stretch in found])
    frame.attrs = {
        "complete_through": stamp, "held_back_by": through.by if through else None, "notes": notes,
    }  # fmt: skip
    return frame


def _written(deck: Settings, one: Library, groups: int, home: int) -> int:
    """The end (UTC ns) of the last window of the partition group that a writer has closed."""
    saved = positions.read(deck, one.vendor).values()
    return max((p.closed.get(one.kind, 0) for p in saved if p.partition % groups == home), default=0)


def _layers(
    deck: Settings, one: Library, symbol: str, of: Slice, home: int, standing: Sequence[Stored], written: int,
    known: Meta, pins: VendorTopics,
) -> tuple[list[Layer], list[str]]:  # fmt: skip
    """What is known of the slice, the strongest last, and what keeps it from being known."""
    notes: list[str] = []
    rows, _ = ledger.within(deck, one.vendor, of, groups=pins.groups, group=home)
    listened = runs(rows["minute"], MINUTE)
    listened += [
        Slice(e.first, e.last + 1)
        for e in known.extents
        if e.topic_id == pins.backfill.id and e.src >= FILES and e.next is not None and e.last > 0
    ]
    past = Slice(of.start, max(of.start, min(of.end, written)))
    deaf = without(past, listened) if listened else ()
    if not listened and past.end > past.start:
        notes.append("the ledger has no facts of this time: whether anybody listened is not known")
    calendar = calendar_of(deck, one.vendor, symbol)
    open_ = [Slice(*span) for span in opened(calendar.sessions(of), of)]
    windows = [stored.span for stored in standing]
    layers = [
        Layer(state="missing", spans=deaf, reason="collector", why="nobody listened"),
        Layer(state="closed", spans=_common(deaf, without(of, open_))),
        Layer(state="log", spans=without(Slice(max(of.start, min(written, of.end)), of.end), windows)),
        Layer(
            state="partial", spans=tuple(s.span for s in standing if s.partial), reason="expired",
            why="when this was built Kafka had already deleted some of it",
        ),
    ]  # fmt: skip
    for finding in findings.listed(deck, one.vendor):
        about = finding.symbol in (symbol, findings.WHOLE) and finding.kind in (one.kind, findings.WHOLE)
        lasts = finding.status != "closed" and of.meets(finding.start, finding.end)
        if about and lasts and finding.check in GONE and finding.end > finding.start:
            why = f"{finding.evidence.get('why', finding.check)} (finding {finding.id})"
            span = Slice(finding.start, finding.end)
            layers.append(Layer(state="missing", spans=(span,), reason=finding.reason, why=why))
    return layers, notes


def _common(some: Sequence[Slice], others: Sequence[Slice]) -> tuple[Slice, ...]:
    """What is in both."""
    return tuple(
        Slice(max(a.start, b.start), min(a.end, b.end))
        for a in some
        for b in others
        if a.meets(b.start, b.end)
    )


def _messages(
    deck: Settings, one: Library, symbol: str, of: Stretch, standing: Sequence[Stored], written: int
) -> int:
    """How many messages are there of a stretch: by what its windows say where it cuts none and none goes on,
    else read."""
    span = Slice(of.start, of.end)
    within = [s for s in standing if span.meets(s.span.start, s.span.end)]
    going_on = of.state == "log" or 0 < written < of.end
    if not going_on and all(span.start <= s.span.start and s.span.end <= span.end for s in within):
        return sum(s.tallies[0].messages for s in within)
    frame = read(one.name, symbol, of.start, of.end, ["seq"], tail=going_on, settings=deck)
    return int(frame.attrs["messages"])


def _table(found: Sequence[Stretch], messages: Sequence[int]) -> pd.DataFrame:
    def stamps(times: list[int]) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(pd.array(times, "int64").astype("datetime64[ns]")).tz_localize("UTC")

    return pd.DataFrame(
        {
            "start": stamps([one.start for one in found]), "end": stamps([one.end for one in found]),
            "state": [one.state for one in found], "messages": list(messages),
            "reason": [one.reason for one in found], "why": [one.why for one in found],
        }
    )  # fmt: skip


def lines(frame: pd.DataFrame) -> list[str]:
    """The table for a person, its complete-through last."""
    rows = [
        f"{format_time(row.start.value):<30}  {format_time(row.end.value):<30}  {row.state:<8}"
        f"{row.messages:>14,}  {row.reason:<10}  {row.why}".rstrip()
        for row in frame.itertuples()
    ]
    through = frame.attrs["complete_through"]
    last = "no collector is open: nobody is waited for"
    if through is not None:
        by = frame.attrs["held_back_by"]
        last = f"complete through {format_time(through.value)}, as collector {by} shows"
    return [*rows, last]
