"""Level 2: the windows that differ, built anew from the log and held against what Arctic says and holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tapedeck.checks.rows import Diff, diff
from tapedeck.checks.sides import NOTHING, Tallies, add
from tapedeck.columns import Columns, concat, empty
from tapedeck.errors import Mismatch
from tapedeck.log import meta
from tapedeck.log.plan import Plan
from tapedeck.log.resolve import resolve
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database, documents
from tapedeck.store.documents import Stored
from tapedeck.store.library import Library
from tapedeck.store.rebuilt import Key
from tapedeck.store.reread import reread
from tapedeck.store.window import build_windows, ordered, tally_of

RECORDS = 1_000_000
"""About how many records are held in memory at once."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One window in which the log and Arctic differ. `why` says how, `ids` are its documents."""

    kind: str
    symbol: str
    span: Slice
    log: Tallies
    arctic: Tallies
    rows: Diff
    why: str
    ids: tuple[str, ...] = ()
    mendable: bool = True

    @property
    def key(self) -> Key:
        """What a rebuild calls the window."""
        return self.kind, self.symbol, self.span.start

    @property
    def messages(self) -> int:
        """How many messages differ; at least 1."""
        counts = sum(abs(a.messages - b.messages) for a, b in zip(self.log, self.arctic, strict=True))
        return max(self.rows.messages, counts, 1)


@dataclass(slots=True)
class Held:
    """What a window's documents hold when they are decoded. `damage`: why some can't be."""

    kept: list[Columns] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    says: Tallies = NOTHING
    damage: str = ""

    def take(self, stored: Stored, kind: str) -> None:
        """One document, or one part of a halved one."""
        self.ids.append(stored.id)
        self.says = add(self.says, stored.tallies)
        try:
            rows = stored.rows(kind)
        except Exception as e:  # bytes that were altered may fail in any way
            self.damage = str(e) if isinstance(e, Mismatch) else f"{stored.id!r} can't be decoded ({e!r})"
            return
        self.kept.append(rows)
        if tally_of(rows) != stored.tallies[0]:
            self.damage = f"the rows of {stored.id!r} are not those that it says it has"


def decoded(settings: Settings, one: Library, partition: int, span: Slice) -> dict[Key, Held]:
    """Every window of a span as its documents hold it, by key. Decodes all of them."""
    found: dict[Key, Held] = {}
    with database.answering(settings):
        for stored in documents.in_partition(one.collection, partition, span):
            key = (one.kind, stored.symbol, one.around(stored.span.start).start)
            found.setdefault(key, Held()).take(stored, one.kind)
    return found


def damaged(settings: Settings, one: Library, partition: int, of: Slice) -> dict[Key, str]:
    """The windows of a slice whose rows are not what their documents say, with the reason."""
    found: dict[Key, str] = {}
    for window in one.windows(of):  # one at a time, so that memory does not grow with the slice
        found |= {
            k: held.damage for k, held in decoded(settings, one, partition, window).items() if held.damage
        }
    return found


def differing(
    settings: Settings,
    plan: Plan,
    partition: int,
    libraries: Mapping[str, Library],
    spans: Mapping[str, Slice],
    only: frozenset[Key] | None = None,
) -> list[Difference]:
    """The windows of these kinds' spans in which the log and Arctic differ, rows and all.

    `only`: no other windows. Reads on to where documents reach, so what a writer does meanwhile is no
    difference.
    """
    pins = meta.read(settings).topics(plan.vendor)
    counts = {pin.number: pin.partitions for pin in pins.log}
    found: list[Difference] = []
    for kind, span in spans.items():
        one = libraries[kind]
        windows = one.windows(span) if span.end > span.start else []
        if only is not None:
            wanted = {key[2] for key in only if key[0] == kind}
            windows = [w for w in windows if w.start in wanted]
        for together, part in _portions(settings, plan, partition, windows):
            with database.answering(settings):
                whole = Slice(together[0].start, together[-1].end)
                standing = list(documents.heads(one.collection, partition, whole))
            log = reread(settings, part, partition, pins, standing, {})
            for window in together:
                builds = build_windows(
                    window, log.columns[kind], log.voids, log.margin, partition=partition,
                    claims=log.claims, signs=log.signs, backfills=log.backfills,
                )  # fmt: skip
                held = decoded(settings, one, partition, window)
                keys = {*((kind, symbol, window.start) for symbol in builds), *held}
                for key in sorted(keys if only is None else keys & only):
                    built = builds.get(key[1])
                    difference = _compare(
                        key, window, counts, built.kept if built else empty(kind),
                        built.tallies if built else NOTHING, held.get(key, Held()),
                    )  # fmt: skip
                    if difference is not None:
                        found.append(difference)
    return found


def _portions(
    settings: Settings, plan: Plan, partition: int, windows: Sequence[Slice]
) -> Iterator[tuple[Sequence[Slice], Plan]]:
    """Consecutive windows, so many at a time that about RECORDS are read for them."""
    todo = [list(windows)] if windows else []
    while todo:
        some = todo.pop(0)
        of = Slice(some[0].start, some[-1].end)
        part = resolve(settings, plan.vendor, of, partitions=[partition])
        if part.records > RECORDS and len(some) > 1:
            middle = len(some) // 2
            todo[:0] = [some[:middle], some[middle:]]
        else:
            yield some, part


def _compare(
    key: Key, window: Slice, counts: Mapping[int, int], kept: Columns, log: Tallies, held: Held
) -> Difference | None:
    kind, symbol, _ = key
    rows = ordered(concat(kind, held.kept)) if held.kept else empty(kind)
    if log == held.says and not held.damage and tally_of(rows) == log[0]:
        return None
    changes = diff(kept, rows, symbol, counts)
    if not held.ids:
        why = "Arctic has no document of this window"
    elif held.damage:
        why = held.damage
    elif changes.messages:
        why = "the log and Arctic hold different messages"
    else:
        why = "the document counts other duplicates or voided messages than the log holds"
    return Difference(kind, symbol, window, log, held.says, changes, why, tuple(held.ids))


def standing_only(one: Library, partition: int, key: Key, why: str, held: Held) -> Difference:
    """A damaged window of which Kafka no longer holds the log: it can't be built again."""
    span = one.around(key[2])
    lost = Diff(different=held.says[0].messages)
    return Difference(
        one.kind, key[1], span, NOTHING, held.says, lost, f"{why}; Kafka no longer holds its log",
        tuple(held.ids), mendable=False,
    )  # fmt: skip
