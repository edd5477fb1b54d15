"""The tape up to now: what Arctic holds joined with what only the log holds, no row twice (DESIGN §4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import structs

from tapedeck.columns import Columns, concat, empty
from tapedeck.log import topics
from tapedeck.log.decode import Decoded, decode_records
from tapedeck.log.plan import Plan, Range
from tapedeck.log.read import read as read_log
from tapedeck.log.reading import judged_part
from tapedeck.log.resolve import resolve
from tapedeck.message import TAG_OF
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice, parse_duration
from tapedeck.store import database, documents, generations, positions
from tapedeck.store.documents import Stored
from tapedeck.store.library import Library
from tapedeck.store.positions import Position
from tapedeck.store.window import between, beyond, build, joined, judged_already
from tapedeck.unpack import about

FEW = 32
"""So many symbols are sought in each record's bytes; of more, all records are decoded."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Messages of a slice, each symbol's in order, and what keeps them from being whole."""

    columns: dict[str, Columns]
    notes: tuple[str, ...]


def stored(
    settings: Settings, one: Library, symbols: Sequence[str], of: Slice, places: bool = True
) -> Answer:
    """What Arctic holds, alone. `places`: with the columns `topic` and `offset`."""
    held = _documents(settings, one, symbols, of)
    return Answer({symbol: _rows(one.kind, held[symbol], of, places) for symbol in symbols}, _partial(held))


def as_of(settings: Settings, one: Library, symbols: Sequence[str], of: Slice, time: int) -> Answer:
    """What Arctic held at a time (UTC ns, by the server's clock), alone.

    Raises BadInput for a time of which replaced windows are forgotten, or that is yet to come.
    """
    held: dict[str, list[Stored]] = {symbol: [] for symbol in symbols}
    with database.answering(settings):
        generations.check_age(settings, one, time)
        for document in generations.as_of(one, symbols, one.whole(of), time):
            held[document["sy"]].append(documents.stored(document))
    found = {symbol: _rows(one.kind, held[symbol], of, True) for symbol in symbols}
    return Answer(found, _partial(held))


def up_to_now(
    settings: Settings, one: Library, symbols: Sequence[str], of: Slice, places: bool = True
) -> Answer:
    """What Arctic holds and, of the log, what it does not hold yet, through the window function.

    Raises Unavailable where Kafka or MongoDB do not answer. Positions are read before documents, and
    documents before the log, so that what is written meanwhile is seen in one or in both of them.
    """
    saved = positions.read(settings, one.vendor)
    pins = topics.verified(settings, one.vendor)
    homes = {symbol: partition_of(symbol, pins.groups) for symbol in symbols}
    margin = parse_duration(settings.vendor(one.vendor).margin)
    held = _documents(settings, one, symbols, of.widen(margin))
    plan = resolve(settings, one.vendor, of, symbols=symbols)
    numbers = {pin.id: pin.number for pin in pins.log}
    found = {}
    backfills = frozenset({pins.backfill.number})
    for home in sorted(set(homes.values())):
        own = [symbol for symbol in symbols if homes[symbol] == home]
        fresh, voids = _log(settings, one.kind, own, plan, home, saved)
        tails = {}
        for symbol in own:
            tail = fresh.of(symbol)
            if len(tail):
                through = [
                    (s.span, {numbers[c.topic_id]: c.next for c in s.claims if c.topic_id in numbers})
                    for s in held[symbol]
                ]
                tail = beyond(through, tail)
            tails[symbol] = tail
        voids = _together(voids, _earlier(settings, plan, home, saved, pins.backfill.id, tails.values()))
        mixed: dict[str, int] = {}
        for symbol, tail in tails.items():
            if not len(tail) and voids is None:
                found[symbol] = _rows(one.kind, held[symbol], of, places)
                continue
            stood = judged_already(documents.rows_of(one.kind, held[symbol]))
            rows = joined(one.kind, [stood], judged_already(tail, 0))
            if (since := _mixed_since(rows)) is not None:
                mixed[symbol] = since
            rows = build(symbol, of, rows, voids, margin, partition=home, backfills=backfills).kept
            found[symbol] = between(rows, of)
        if mixed and home not in plan.expired:
            found |= _owned(settings, one, plan, home, found, mixed)
    return Answer(found, (*_notes(plan, saved), *_partial(held)))


def _mixed_since(rows: Columns) -> int | None:
    """When the first message without seq came that no document holds, where several sources have such; a
    margin before it who listened must be known. None where there is none."""
    unsequenced = rows.take(rows["seq"] == 0)
    if not len(unsequenced):
        return None
    fresh = unsequenced["ts_recv"][unsequenced["settled"] == 0]
    if rows.kind == "status" or not len(fresh) or len(np.unique(unsequenced["src"])) < 2:
        return None
    return int(fresh.min())


def _owned(
    settings: Settings,
    one: Library,
    plan: Plan,
    home: int,
    found: Mapping[str, Columns],
    mixed: Mapping[str, int],
) -> dict[str, Columns]:
    """These symbols with all since their first such message built from the log: who listened decides there,
    and documents do not say it."""
    since = max(plan.slice.start, min(mixed.values()) - plan.margin)
    recent = Slice(since, plan.slice.end)
    part = judged_part(
        settings, resolve(settings, plan.vendor, recent, partitions=[home]), home, recent,
        frozenset(mixed), [one.kind],
    )  # fmt: skip
    judged = part.judged.get(one.kind)
    kept = empty(one.kind) if judged is None else judged.kept
    before = Slice(plan.slice.start, since)
    return {symbol: joined(one.kind, [between(found[symbol], before)], kept.of(symbol)) for symbol in mixed}


def _rows(kind: str, held: Sequence[Stored], of: Slice, places: bool) -> Columns:
    """The documents' rows; those that lie wholly outside are not decoded."""
    meant = [stored for stored in held if stored.span.meets(of.start, of.end)]
    return between(documents.rows_of(kind, meant, places), of)


def _documents(
    settings: Settings, one: Library, symbols: Sequence[str], of: Slice
) -> dict[str, list[Stored]]:
    held: dict[str, list[Stored]] = {symbol: [] for symbol in symbols}
    with database.answering(settings):
        for document in documents.load(one.collection, symbols, one.whole(of)):
            held[document.symbol].append(document)
    return held


def _log(
    settings: Settings,
    kind: str,
    symbols: Sequence[str],
    plan: Plan,
    home: int,
    saved: Mapping[tuple[str, int], Position],
) -> tuple[Columns, Columns | None]:
    """Messages of a kind and of these symbols, and voids, from the saved positions on."""
    ranges = []
    for r in plan.of(home):
        known = saved.get((r.topic_id, r.partition))
        start = max(r.start, known.next if known else 0)
        if start < r.stop:
            ranges.append(structs.replace(r, start=start))
    messages: list[Columns] = []
    wide = plan.slice.widen(plan.margin)
    voids: list[Columns] = []
    for decoded in _decoded(settings, plan, ranges, kind, symbols):
        if kind in decoded.messages:
            messages.append(between(decoded.messages[kind], wide))
        if decoded.voids is not None:
            voids.append(decoded.voids)
    return concat(kind, messages), concat("void", voids) if voids else None


def _earlier(
    settings: Settings,
    plan: Plan,
    home: int,
    saved: Mapping[tuple[str, int], Position],
    backfill_id: str,
    tails: Iterable[Columns],
) -> Columns | None:
    """Voids below the saved position that may speak of the tail: what is written has obeyed them, but a
    collector that spooled may bring later what was voided before it came."""
    known = saved.get((backfill_id, home))
    stamps = np.concatenate([tail["ts_recv"] for tail in tails])
    below = known.next if known else 0
    if not len(stamps) or not any(r.topic_id == backfill_id and r.start < below for r in plan.of(home)):
        return None
    of = Slice(int(stamps.min()), int(stamps.max()) + 1)
    narrow = resolve(settings, plan.vendor, of, partitions=[home])
    ranges = [
        structs.replace(r, stop=min(r.stop, below))
        for r in narrow.of(home)
        if r.topic_id == backfill_id and r.start < below
    ]
    found = (decoded.voids for decoded in _decoded(settings, plan, ranges, "void", ()))
    return _together(*found)


def _decoded(
    settings: Settings, plan: Plan, ranges: Iterable[Range], kind: str, symbols: Sequence[str]
) -> Iterator[Decoded]:
    """Messages of a kind and of these symbols, and voids; others too where the symbols are many."""
    for records in read_log(settings, ranges):
        if len(symbols) <= FEW:  # of a partition's many symbols, so nearly nothing is left to decode
            records = records.take(np.flatnonzero(about(records.values, TAG_OF[kind], symbols)))
        yield decode_records(records, plan.count_of(records.range))


def _together(*parts: Columns | None) -> Columns | None:
    some = [part for part in parts if part is not None]
    return concat("void", some) if some else None


def _notes(plan: Plan, saved: Mapping[tuple[str, int], Position]) -> tuple[str, ...]:
    """The plan's notes; what Kafka deleted is no loss where it was written before."""
    begins = {(r.topic_id, r.partition): r.start for r in plan.ranges if r.start_reason == "expired"}
    lost = any(key not in saved or saved[key].next < start for key, start in begins.items())
    return plan.notes[:-1] if plan.expired and not lost else plan.notes  # that note comes last


def _partial(held: Mapping[str, list[Stored]]) -> tuple[str, ...]:
    cut = sorted(symbol for symbol, found in held.items() if any(s.partial for s in found))
    if not cut:
        return ()
    return (f"some windows of {', '.join(cut[:5])} were built when Kafka had already deleted part of them",)
