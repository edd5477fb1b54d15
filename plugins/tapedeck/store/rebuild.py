"""Rebuilding windows from the log: the nightly job's, the repair's and the late messages' one way.

Partition by partition, and in stretches of time that fit in memory: resolve, read, decode, build,
replace. Run twice at once it ends as one; run again it writes nothing. Where the log no longer holds
what a document was built from, the document stands and is only added to (DESIGN §2.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from tapedeck.columns import concat, empty
from tapedeck.errors import Incomplete, Unavailable
from tapedeck.log import meta
from tapedeck.log.meta import VendorTopics
from tapedeck.log.plan import Plan
from tapedeck.log.read import Records
from tapedeck.log.resolve import resolve
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database, documents, library, undecodable
from tapedeck.store.altered import altered
from tapedeck.store.documents import Outcome, Stored
from tapedeck.store.ledger import Ledger
from tapedeck.store.library import Library
from tapedeck.store.positions import Lane
from tapedeck.store.rebuilt import Key, Rebuilt, counted, counted_standing, total_of
from tapedeck.store.reread import Reread, Spans, reread
from tapedeck.store.settled import settled
from tapedeck.store.window import (
    Built,
    build,
    build_windows,
    joined,
    judged_already,
    no_messages,
    onto,
)

RECORDS = 1_000_000
"""About how many records are held in memory at once."""
ATTEMPTS = 6

Progress = Callable[[int, int], None]
"""Called with how much is done, of how much."""
Reached = Callable[[int, Rebuilt], object]
"""Called when all windows that start before a time (UTC ns) are done, with what was done."""


def rebuild(
    settings: Settings,
    vendor: str,
    of: Slice,
    partitions: Sequence[int] | None = None,
    *,
    within: Plan | None = None,
    progress: Progress | None = None,
    by: str = "rebuild",
) -> Rebuilt:
    """Rebuild every window that meets the slice, and write those that differ.

    `partitions`: only these partition groups. `within`: a frozen plan of the slice whose bounds are kept, so
    that a retry reads the same. `progress` counts partition groups. Raises BadInput for a vendor of which
    nothing was recorded, Mismatch, Unavailable; safe to run again.
    """
    pins, libraries = meta.read(settings).topics(vendor), library.ensure(settings, vendor)
    chosen = range(pins.groups) if partitions is None else partitions
    total = Rebuilt()
    for done, partition in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen))
        part = _Partition(settings, vendor, partition, pins, libraries, of, within, {}, by)
        for windows, plan in part.stretches(RECORDS):
            total += part.run(windows, plan, None)
    if progress is not None:
        progress(len(chosen), len(chosen))
    return total


def rebuild_partition(
    settings: Settings,
    vendor: str,
    of: Slice,
    partition: int,
    *,
    within: Plan | None = None,
    only: frozenset[Key] | None = None,
    late: Spans | None = None,
    progress: Progress | None = None,
    by: str = "rebuild",
    records: int = RECORDS,
    libraries: dict[str, Library] | None = None,
    dry: bool = False,
    spare: bool = False,
    begun: tuple[int, Rebuilt] | None = None,
    reached: Reached = lambda through, done: None,
    seen: Callable[[Records], object] = lambda records: None,
) -> Rebuilt:
    """`rebuild` for one partition group. `progress` counts records.

    `only`: no other windows. `late`: offsets that are to be read in any case, since messages that came
    late lie there. `records`: about how many to hold at once.

    `seen` is shown every batch of records as it is read; it may wait, to spare others.

    `libraries`: by kind, into which; the vendor's own by default. `dry`: write nothing, only say what
    would be. `spare`: leave windows as they are whose messages would be removed or changed (`withheld`).

    `begun`: what `reached` was told by a rebuild of the same slice that did not end: it is gone on with.
    """
    pins, into = meta.read(settings).topics(vendor), libraries or library.ensure(settings, vendor)
    since, total = begun or (0, Rebuilt())
    part = _Partition(
        settings, vendor, partition, pins, into, of, within, dict(late or {}), by, dry, seen, spare, since
    )
    planned, done = 0, 0
    for windows, plan in part.stretches(records):
        planned = planned or plan.records
        total += part.run(windows, plan, only)
        done += plan.records
        if progress is not None:
            progress(done, max(done, planned))
        reached(max(span.start for spans in windows.values() for span in spans) + 1, total)
    return total


Windows = dict[str, list[Slice]]
"""By kind, windows that are rebuilt together."""


@dataclass(frozen=True, slots=True)
class _Partition:
    """One partition group's part of a rebuild."""

    settings: Settings
    vendor: str
    partition: int
    pins: VendorTopics
    libraries: dict[str, Library]
    of: Slice
    within: Plan | None
    late: dict[Lane, tuple[int, int]]
    by: str
    dry: bool = False
    seen: Callable[[Records], object] = lambda records: None
    spare: bool = False
    since: int = 0
    """Windows that start before it (UTC ns) are passed over."""

    def stretches(self, records: int) -> Iterator[tuple[Windows, Plan]]:
        """All windows that meet the slice, so many at a time that about `records` are read for them.

        Where the log's beginning lies within a stretch it is halved, so that only the windows that
        have really lost something count as cut.
        """
        longest = max(one.window for one in self.libraries.values())
        starts = [s for one in self.libraries.values() for s in one.windows(self.of) if s.start >= self.since]
        todo = [Slice(min(s.start for s in starts), max(s.end for s in starts))] if starts else []
        while todo:
            stretch = todo.pop()
            windows = {
                kind: [span for span in one.windows(self.of) if stretch.start <= span.start < stretch.end]
                for kind, one in self.libraries.items()
            }
            if not any(windows.values()):
                continue
            plan = self._plan(windows)
            cut = bool(plan.expired) and plan.records > 0
            middle = (stretch.start + stretch.end) // 2 // longest * longest
            if (plan.records > records or cut) and middle > stretch.start:
                todo += [Slice(middle, stretch.end), Slice(stretch.start, middle)]
            else:
                yield windows, plan

    def run(self, windows: Windows, plan: Plan, only: frozenset[Key] | None) -> Rebuilt:
        """Build and replace these windows, again where others came between."""
        total, first = Rebuilt(), True
        for attempt in range(ATTEMPTS):
            try:
                done, refused = self._attempt(windows, plan if attempt == 0 else self._plan(windows), only)
            except Incomplete:
                continue  # Kafka deleted some of it after the bounds were fixed: fix them anew
            total += done if first else structs.replace(done, undecodable=0, notes=(), claims=())
            if not refused:
                return total
            only, first = frozenset(refused), False
        raise Unavailable(
            f"windows of {self.vendor} in partition {self.partition} changed {ATTEMPTS} times while they "
            "were rebuilt: run this again when the others have finished"
        )

    def _plan(self, windows: Windows) -> Plan:
        spans = [span for of_kind in windows.values() for span in of_kind]
        of = Slice(min(span.start for span in spans), max(span.end for span in spans))
        return resolve(self.settings, self.vendor, of, partitions=[self.partition], within=self.within)

    def _attempt(
        self, windows: Windows, plan: Plan, only: frozenset[Key] | None
    ) -> tuple[Rebuilt, list[Key]]:
        with database.answering(self.settings):
            standing = {kind: self._standing(kind, spans, only) for kind, spans in windows.items()}
        if only is None and not self.late:
            stands = settled(
                self.settings, plan, self.partition, self.pins, self.libraries, windows, standing
            )  # fmt: skip
            if stands is not None:
                return stands, []
        every = [stored for found in standing.values() for parts in found.values() for stored in parts]
        ledger = None if self.dry else Ledger(self.settings, self.vendor)
        log = reread(self.settings, plan, self.partition, self.pins, every, self.late, self.seen, ledger)
        if ledger is not None:
            ledger.flush()
            undecodable.enter(self.settings, self.vendor, log.undecodable)
        inside = sum(plan.slice.start <= u.timestamp_ms * 1_000_000 < plan.slice.end for u in log.undecodable)
        total = Rebuilt(undecodable=inside, notes=log.notes, claims=log.claims)
        refused: list[Key] = []
        with database.answering(self.settings):
            for kind, spans in windows.items():
                for span in spans:
                    here = {k[1]: parts for k, parts in standing[kind].items() if k[2] == span.start}
                    done, again = self._span(kind, span, log, here, only)
                    total += done
                    refused += again
        return total, refused

    def _standing(
        self, kind: str, spans: list[Slice], only: frozenset[Key] | None
    ) -> dict[Key, list[Stored]]:
        """What stands in the windows, the parts of each together, its head first."""
        found: dict[Key, list[Stored]] = {}
        if not spans:
            return found
        one = self.libraries[kind]
        of = Slice(spans[0].start, spans[-1].end)
        symbols = None if only is None else {k[1] for k in only if k[0] == kind}
        for stored in documents.heads(one.collection, self.partition, of, symbols):
            key = (kind, stored.symbol, one.around(stored.span.start).start)
            if only is None or key in only:
                found.setdefault(key, []).append(stored)
        for parts in found.values():
            parts.sort(key=lambda part: part.span.start)
        return found

    def _span(
        self,
        kind: str,
        span: Slice,
        log: Reread,
        here: dict[str, list[Stored]],
        only: frozenset[Key] | None,
    ) -> tuple[Rebuilt, list[Key]]:
        """Rebuild one span of one kind, all its symbols at once."""
        records = log.columns[kind]
        if only is not None:
            wanted = sorted(k[1] for k in only if k[0] == kind and k[2] == span.start)
            records = concat(kind, [records.of(symbol) for symbol in wanted])
        builds = build_windows(
            span, records, log.voids, log.margin, partition=self.partition, claims=log.claims,
            signs=log.signs, backfills=log.backfills, partial=log.expired,
        )  # fmt: skip
        total = Rebuilt()
        for symbol in {**here, **builds}:
            parts = here.get(symbol)
            if parts and (log.expired or log.is_cut(parts)):
                builds.pop(symbol, None)
                added = self._added(kind, span, log, parts)
                if added is None:
                    total += counted_standing(parts)
                else:
                    builds[symbol] = added
                    total += Rebuilt(standing=1)
            elif symbol not in builds:
                builds[symbol] = no_messages(kind, symbol, span, partition=self.partition, claims=log.claims)
            elif log.expired:
                builds[symbol] = replace(builds[symbol], base="")
        total += self._withhold(kind, builds, here)
        made = list(builds.values())
        if not made:  # most spans of a quiet partition: nothing is asked of MongoDB for them
            return total, []
        outcomes = documents.foreseen(made, here)
        if not self.dry:
            absent = builds.keys() - here.keys()
            fresh = [b for b, outcome in zip(made, outcomes, strict=True) if outcome is Outcome.WRITTEN]
            became = iter(documents.replace(self.libraries[kind], fresh, self.by, absent=absent))
            outcomes = [next(became) if foreseen is Outcome.WRITTEN else foreseen for foreseen in outcomes]
        done, refused = counted(made, outcomes, here)
        return total + done, refused

    def _withhold(self, kind: str, builds: dict[str, Built], here: dict[str, list[Stored]]) -> Rebuilt:
        """Take out of the builds those that would remove or change what stands; a dry run only counts it."""
        total = Rebuilt()
        if not (self.spare or self.dry):
            return total
        standing = [built for symbol, built in builds.items() if here.get(symbol)]
        for built, outcome in zip(standing, documents.foreseen(standing, here), strict=True):
            parts = here[built.symbol]
            if outcome is not Outcome.WRITTEN or not (lost := altered(self.libraries[kind], built, parts)):
                continue
            if self.dry:
                total += Rebuilt(altered=lost)
            else:
                del builds[built.symbol]
                total += counted_standing(parts, lost)
        return total

    def _added(self, kind: str, span: Slice, log: Reread, parts: list[Stored]) -> Built | None:
        """The stored window and what lies past it, judged together; None where nothing does."""
        one, symbol = self.libraries[kind], parts[0].symbol
        tail = log.columns[kind].of(symbol)
        if log.voids is None and not len(tail):
            return None
        beside = documents.load(one.collection, [symbol], one.whole(span.widen(log.margin)))
        tail = log.beyond(beside, tail)
        if log.voids is None and not len(tail):
            return None
        stood = judged_already(documents.rows_of(kind, beside))
        rows = joined(kind, [stood], judged_already(tail, 0))
        built = build(
            symbol, span, rows if len(rows) else empty(kind), log.voids, log.margin,
            partition=self.partition, claims=log.claims, signs=log.signs, backfills=log.backfills,
        )  # fmt: skip
        return onto(built, parts[0].build, total_of(parts), parts[0].claims, parts[0].partial)
