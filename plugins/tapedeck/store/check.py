"""`store check`: whether what the disk holds is what was written, window by window, beside live writers.

Every document is decoded and held against what it says of itself; documents of one symbol must not overlap;
the parts of a halved window must be all there; the ranges must be ranges; and what the documents say, summed,
must be what the tally of their window says, which names each symbol that has one. The ledger's blocks of that
time must be what was entered. Kafka is not asked.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from tapedeck.columns import Columns
from tapedeck.errors import Mismatch
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time
from tapedeck.store import blocks, database, documents, library, tallies
from tapedeck.store.documents import Stored
from tapedeck.store.ledger import MINUTE_NS
from tapedeck.store.library import Library
from tapedeck.store.tallies import Place, Summed
from tapedeck.store.window import Tally, tally_of

ATTEMPTS = 5
PAUSE_SECONDS = 0.2
"""How often, and after how long, a window is looked at again because a writer was at it."""
MS = 1_000_000

Progress = Callable[[int, int], object]


class Fault(Struct, frozen=True, kw_only=True, order=True):
    """One window, or one block of the ledger, in which something is wrong.

    `symbol` is empty where only the sum tells; of a block it is its name: topic id, partition, number.
    """

    library: str
    start: int
    end: int
    symbol: str
    why: str

    @property
    def line(self) -> str:
        """As a person reads it."""
        return f"{self.library} {self.symbol or '(some symbol)'} {format_time(self.start)}: {self.why}"


class Checked(Struct, frozen=True, kw_only=True):
    """What was looked at, and what is wrong."""

    documents: int = 0
    messages: int = 0
    blocks: int = 0
    """Of the ledger."""
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Checked) -> Checked:
        """Both together."""
        return Checked(
            documents=self.documents + other.documents, messages=self.messages + other.messages,
            blocks=self.blocks + other.blocks, faults=(*self.faults, *other.faults),
            notes=(*self.notes, *other.notes),
        )  # fmt: skip


def check(
    settings: Settings,
    vendor: str,
    of: Slice,
    kinds: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
) -> Checked:
    """Decode and check all windows that meet the slice, of these kinds or of all, and the ledger's blocks.

    Raises BadInput for an unknown vendor, Mismatch, Unavailable. Changes nothing but tallies that were
    marked and never summed.
    """
    libraries = library.ensure(settings, vendor)
    chosen = [one for kind, one in libraries.items() if not kinds or kind in kinds]
    windows = [(one, window) for one in chosen for window in one.windows(of)]
    total = Checked()
    with database.answering(settings):
        for done, (one, window) in enumerate(windows):
            progress(done, len(windows))
            total += check_window(one, window)
    total += check_ledger(settings, vendor, of)
    progress(len(windows), len(windows))
    return structs.replace(total, faults=tuple(sorted(total.faults)), notes=tuple(dict.fromkeys(total.notes)))


def check_ledger(settings: Settings, vendor: str, of: Slice) -> Checked:
    """The ledger's blocks that have facts of the slice, each held against its own sums."""
    count, faults = 0, []
    for block in blocks.meeting(settings, vendor, of):
        count += 1
        start = max(of.start, int(block["first"]) * MINUTE_NS)
        end = min(of.end, (int(block["last"]) + 1) * MINUTE_NS)
        faults += [
            Fault(
                library=f"{vendor} ledger", start=start, end=end, symbol=str(block["_id"]), why=why,
            )
            for why in blocks.wrong(block)
        ]  # fmt: skip
    return Checked(blocks=count, faults=tuple(faults))


def check_window(one: Library, window: Slice) -> Checked:
    """All documents of one window. What may be a writer's doing in between is looked at again.

    A document is replaced whole, so what is wrong within one is wrong; parts and sums are read one after
    another, and count only where the tallies show that nobody was, or is, at the window.
    """
    for attempt in range(ATTEMPTS):
        before = {(s.partition, s.start): s for s in tallies.read([one], window)}
        seen = _Seen(one, window)
        for document in documents.standing_in(one.collection, window):
            seen.take(document)
        after = {(s.partition, s.start): s for s in tallies.read([one], window, exact=False)}
        notes = []
        if unsummed := seen.sums.keys() - before.keys() - after.keys():
            with tallies.marked(one, unsummed):
                notes.append("some windows had no tally yet: they were summed now")
        between = list(seen.whole())
        between += _sums(one, window, seen, {fault.symbol for fault in (*seen.faults, *between)}, before)
        still = before == after and not any(summed.stale for summed in after.values())
        if between and not still:
            if attempt < ATTEMPTS - 1:
                time.sleep(PAUSE_SECONDS)
                continue
            between = []
            notes.append(
                f"{one.name} {format_time(window.start)} was written all the while, or a writer died at it: "
                "its sums were not judged; check it later (`tapedeck store prune` forgets the dead)"
            )
        break
    return Checked(
        documents=seen.documents, messages=seen.messages, faults=(*seen.faults, *between),
        notes=tuple(notes),
    )  # fmt: skip


class _Seen:
    """What the documents of one window hold and say."""

    def __init__(self, one: Library, window: Slice) -> None:
        self.one, self.window = one, window
        self.faults: list[Fault] = []
        self.documents = self.messages = 0
        self.sums: dict[Place, list[Tally]] = {}
        self.symbols: dict[Place, set[str]] = {}
        self.parts: dict[str, list[Stored]] = {}

    def fault(self, symbol: str, why: str) -> None:
        self.faults.append(_fault(self.one, self.window, symbol, why))

    def take(self, document: Mapping[str, Any]) -> None:
        """One document, decoded and held against what it says."""
        self.documents += 1
        symbol = str(document.get("sy", ""))
        try:
            stored = documents.stored(document)
        except Mismatch as e:
            self.fault(symbol, str(e))
            return
        place = (int(document["p"]), self.window.start)
        sums = self.sums.setdefault(place, [Tally(), Tally(), Tally()])
        for i, tally in enumerate(stored.tallies):
            sums[i] += tally
        self.symbols.setdefault(place, set()).add(symbol)
        self.parts.setdefault(symbol, []).append(stored)
        self.messages += stored.tallies[0].messages
        try:
            rows = stored.rows(self.one.kind)
        except Exception as e:  # bytes that were altered may fail in any way
            self.fault(
                symbol, str(e) if isinstance(e, Mismatch) else f"{stored.id!r} can't be decoded ({e!r})"
            )
            return
        for why in _wrong(stored, rows, self.window):
            self.fault(symbol, f"{why} ({stored.id!r})")

    def whole(self) -> Iterator[Fault]:
        """Whether each symbol's documents are one window, without overlap."""
        for symbol, parts in self.parts.items():
            parts.sort(key=lambda part: part.span.start)
            heads = [part for part in parts if "head" not in part.document]
            if len(heads) != 1:
                why = f"{len(heads)} documents say that they are the window or its first part"
                yield _fault(self.one, self.window, symbol, why)
                continue
            named = {heads[0].id, *heads[0].document["parts"]}
            there = {part.id for part in parts}
            if named != there or len({part.build for part in parts}) != 1:
                lacking = ", ".join(sorted(named - there)) or "none"
                alien = ", ".join(sorted(there - named)) or "none"
                why = f"its parts are not those of one build (lacking: {lacking}; not its own: {alien})"
                yield _fault(self.one, self.window, symbol, why)
            for first, second in itertools.pairwise(parts):
                if first.span.end > second.span.start or first.document["e"] >= second.document["s"]:
                    why = f"{first.id!r} and {second.id!r} overlap"
                    yield _fault(self.one, self.window, symbol, why)


def _wrong(stored: Stored, rows: Columns, window: Slice) -> Iterator[str]:
    """What of a document is not as it says, or as it must be."""
    stamps, span = rows["ts_recv"], stored.span
    if tally_of(rows) != stored.tallies[0]:
        yield "its rows are not those that it says it has"
    if stored.id != documents.document_id(span.start, stored.symbol):
        yield "its name is not that of its symbol and time"
    if not (window.start <= span.start < span.end <= window.end):
        yield "its bounds are not within its window"
    if len(rows) and not (span.start <= int(stamps.min()) and int(stamps.max()) < span.end):
        yield "it holds rows of another time"
    elif len(rows) and bool((stamps[1:] < stamps[:-1]).any()):
        yield "its rows are not in order"
    elif len(rows):
        first, last = (database.date(int(stamps[i]) // MS) for i in (0, -1))
        if (stored.document["s"], stored.document["e"]) != (first, last):
            yield "stock arctic would look for it at another time"
    ids = [claim.topic_id for claim in stored.claims]
    if len(set(ids)) != len(ids) or any(not 0 <= c.start <= c.next for c in stored.claims):
        yield "its ranges are no ranges"


def _sums(
    one: Library, window: Slice, seen: _Seen, known: set[str], said: Mapping[Place, Summed]
) -> Iterator[Fault]:
    """Whether the documents, summed, are what the tallies say, where no symbol is `known` to be at fault."""
    for place, summed in said.items():
        there = tuple(seen.sums.get(place, [Tally(), Tally(), Tally()]))
        if there == summed.tallies:
            continue
        gone = [s for s in tallies.symbols(one, place) if s not in seen.symbols.get(place, set())]
        for symbol in gone:
            yield _fault(one, window, symbol, "its document is gone")
        if not gone and not known & seen.symbols.get(place, set()):
            counts = ", ".join(
                f"{t.messages:,} {name} (of {s.messages:,})"
                for name, t, s in zip(tallies.NAMES, there, summed.tallies, strict=True)
            )
            why = f"partition {place[0]}: the documents no longer sum to their tally: they hold {counts}"
            yield _fault(one, window, "", why)


def _fault(one: Library, window: Slice, symbol: str, why: str) -> Fault:
    return Fault(library=one.name, start=window.start, end=window.end, symbol=symbol, why=why)
