"""What may be held against each other: Arctic's libraries, a raw tape, history, one source of the log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from msgspec import DecodeError, Struct

from tapedeck import vendors
from tapedeck.columns import Columns, concat, from_messages
from tapedeck.errors import BadInput
from tapedeck.jobs import raw
from tapedeck.jobs.history import sources
from tapedeck.jobs.history.source import WHOLE, Want
from tapedeck.log import meta
from tapedeck.log.marks import Mark
from tapedeck.log.timeline import timeline
from tapedeck.message import KIND_OF, KINDS, Message
from tapedeck.settings import Settings
from tapedeck.slices import Slice, parse_duration
from tapedeck.store import database, documents, library
from tapedeck.store.library import Library, symbols_of
from tapedeck.store.window import between
from tapedeck.tape import capture
from tapedeck.tape.segment import opened, own_of, segments
from tapedeck.vendors.vendor import Chatter, Normalised, Refusal

MOST = 5_000_000
"""Both sides are held in memory: a slice of more messages is refused."""


class Side(Struct, frozen=True, kw_only=True):
    """One telling of a slice: a name for people, messages by kind, and what could not be told."""

    name: str
    columns: dict[str, Columns]
    notes: list[str] = []
    src: int = 0
    """The one source that it tells of; 0: all."""


def arctic(settings: Settings, vendor: str, of: Slice, prefix: str = "") -> Side:
    """What the libraries hold of a slice; with a prefix those of a replay. Raises BadInput where there are
    none, Unavailable."""
    if prefix:
        libraries = library.prefixed(settings, vendor, prefix)
    else:
        libraries = {kind: library.named(settings, f"{vendor}.{kind}") for kind in KINDS}
    columns = {}
    with database.answering(settings):
        for kind, one in libraries.items():
            parts = list(_decoded(one, of))
            if parts:
                columns[kind] = _bounded(concat(kind, parts))
    if prefix and not columns:
        raise BadInput(
            f"the libraries {prefix}_{vendor}.* have nothing of {of}: replay it --to arctic:{prefix} first"
        )
    return Side(name=f"{prefix}_{vendor}" if prefix else "Arctic", columns=columns)


def _decoded(one: Library, of: Slice) -> Iterable[Columns]:
    for window in one.windows(of):
        for document in documents.standing_in(one.collection, window):
            rows = between(documents.stored(document).rows(one.kind), of)
            if len(rows):
                yield rows


def source(settings: Settings, vendor: str, of: Slice, src: int) -> Side:
    """What the log has of one source, copies of others' messages among it, without resends and voids."""
    parts: dict[str, list[Columns]] = {}
    reading = timeline(vendor, settings).between(of.start, of.end, everything=True)
    for batch in reading.batches():
        for kind, columns in batch.items():
            mark = columns["mark"]
            own = (columns["src"] == src) & ((mark == Mark.KEPT) | (mark == Mark.COPY))
            if own.any():
                parts.setdefault(kind, []).append(columns.take(own))
    found = {kind: _bounded(concat(kind, some)) for kind, some in parts.items() if kind != "status"}
    notes = [] if found else [f"the log has nothing of source {src} in the slice"]
    return Side(name=f"source {src}", columns=found, notes=[*reading.plan.notes, *notes], src=src)


def tape(settings: Settings, vendor: str, of: Slice, path: str = "", symbol: str | None = None) -> Side:
    """What a raw tape, or a captured file, says of a slice by today's normaliser.

    `path`: the folder of its segments, or the file; empty: the one tape that is here. Raises BadInput where
    there is none, Incomplete for one that is damaged.
    """
    spoken = vendors.get(vendor)
    place = Path(path).expanduser().absolute() if path else None
    said: list[Message] = []
    if place is not None and place.is_file():
        file = capture.check(place, spoken, symbol)
        src, name = file.src, place.name
        for _, _, messages in capture.walk(file, spoken, symbol):
            said += _within(messages, of)
    else:
        folder = raw.folder_of(settings, vendor, path)
        src, name = _owner(vendor, folder), f"the tape {folder}"
        wide = Slice(max(0, of.start - 1_000_000), of.end)  # a line's later messages have later stamps
        for stamps, payloads in raw.payloads(folder, wide):
            for stamp, payload in zip(stamps.tolist(), payloads, strict=True):
                messages = spoken.normalise(payload, stamp, src, symbol)
                said += _within(messages, of)
    return Side(name=name, columns=_columns(said), src=src)


def history(settings: Settings, vendor: str, of: Slice) -> Side:
    """What the vendor's sources of history have of a slice, the best that has anything. Publishes nothing.

    Raises BadInput where no source is set or none has anything, Unavailable.
    """
    wide = of.widen(parse_duration(settings.vendor(vendor).margin))
    symbols = sorted(
        {*settings.vendor(vendor).symbols}.union(*(symbols_of(settings, f"{vendor}.{k}") for k in KINDS))
        - {WHOLE}
    )
    want = Want(id="compare", slice=of)
    for one in sources.opened(settings, vendor):
        said: list[Message] = []
        for found in one.find([want], symbols).found:
            said += found.file.messages(wide)
        if said:
            return Side(name=one.name, columns=_columns(said))
    raise BadInput(
        f"no source of history has anything of {vendor} {of}: set one in [[vendors.{vendor}.history]]"
    )


def without_copies(side: Side, held: Side) -> Side:
    """A source's messages without those of which `held` has the like by another source: they are copies."""
    columns, copies = dict(side.columns), 0
    for kind, own in side.columns.items():
        others = held.columns.get(kind)
        if others is None:
            continue
        others = others.take((others["src"] != side.src) & (others["seq"] != 0))
        like = {
            (others.symbols[code], seq)
            for code, seq in zip(others["symbol"].tolist(), others["seq"].tolist(), strict=True)
        }
        if like:
            named = zip(own["symbol"].tolist(), own["seq"].tolist(), strict=True)
            keep = [not (seq and (own.symbols[code], seq) in like) for code, seq in named]
            copies += len(keep) - sum(keep)
            columns[kind] = own.take(np.array(keep, np.bool_))
    notes = [f"{copies:,} messages of {side.name} are copies of another source's"] if copies else []
    return Side(name=side.name, columns=columns, notes=[*side.notes, *notes], src=side.src)


def only_of(side: Side, src: int) -> Side:
    """What a side has of one source, statuses apart: the taper's own are lines of no vendor."""
    columns = {
        kind: columns.take(columns["src"] == src)
        for kind, columns in side.columns.items()
        if kind != "status"
    }
    return Side(name=side.name, columns=columns, notes=side.notes, src=src)


def sources_of(settings: Settings, vendor: str) -> set[int]:
    """The numbers of all who ever sent something of a vendor."""
    known = meta.read(settings)
    lives = {one.src for one in known.lives if one.vendor == vendor}
    return lives | {one.src for one in known.extents if one.vendor == vendor}


def _within(said: Normalised, of: Slice) -> list[Message]:
    return [m for m in said if not isinstance(m, Refusal | Chatter) and of.start <= m.ts_recv < of.end]


def _columns(said: list[Message]) -> dict[str, Columns]:
    kinds: dict[str, list[Message]] = {}
    for one in said:
        kinds.setdefault(KIND_OF[type(one)], []).append(one)
    return {kind: _bounded(from_messages(kind, some)) for kind, some in kinds.items() if kind in KINDS}


def _bounded(columns: Columns) -> Columns:
    if len(columns) > MOST:
        raise BadInput(f"the slice holds more than {MOST:,} messages of a kind: compare a shorter one")
    return columns


def _owner(vendor: str, folder: Path) -> int:
    """Whose tape it is. Raises BadInput for another vendor's."""
    with opened(folder, segments(folder)[0]) as file:
        line = file.read(4096).partition(b"\n")[0]
    try:
        table = own_of(line)[1]
        owner, src = str(table["vendor"]), int(table["src"])
    except (DecodeError, ValueError, KeyError, TypeError) as e:
        raise BadInput(f"the tape {folder} begins with a damaged line: put its first segment back") from e
    if owner != vendor:
        raise BadInput(f"the tape {folder} is of {owner}, not of {vendor}: give that vendor, or its tape")
    return src
