"""Level 1 of reconciling: the ledger against the tallies, counts and digests; no payload is read.

What the log holds of a minute is in the ledger, what documents account for (kept, duplicate and voided) in
their tallies; both are sums, so a day of any size is proved from what a few thousand small documents say.
That proves what was written; what the disk holds is proved by decoding it (`store check`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tapedeck import digest
from tapedeck.message import KINDS
from tapedeck.partitions import MOST
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import database, ledger, tallies
from tapedeck.store.ledger import Place
from tapedeck.store.library import Library
from tapedeck.store.window import Tally

NOTHING = (Tally(), Tally(), Tally())


@dataclass(frozen=True, slots=True)
class Proof:
    """What both sides say of some spans. `log` and `arctic` by kind; `differing`: where they differ."""

    log: dict[str, Tally]
    arctic: dict[str, tuple[Tally, Tally, Tally]]
    differing: tuple[Place, ...]
    undecodable: int
    """Records in the log that are no messages."""
    entered: int
    """Of those, how many MongoDB knows of."""
    at: dict[Place, tuple[Tally, tuple[Tally, Tally, Tally]]] = field(default_factory=dict)
    """Where they differ, what the ledger and what the tallies say."""

    @property
    def holds(self) -> bool:
        """Whether everything in the log is accounted for."""
        return not self.differing and self.undecodable == self.entered

    @property
    def digest(self) -> int:
        """Of the kept messages that Arctic's documents say they hold."""
        return digest.add(*(sides[0].digest for sides in self.arctic.values()))


def can_prove(libraries: Mapping[str, Library]) -> bool:
    """Whether windows are whole minutes, which is what the ledger knows of."""
    return all(one.window % ledger.MINUTE_NS == 0 for one in libraries.values())


def prove(
    settings: Settings,
    libraries: Mapping[str, Library],
    spans: Mapping[str, Slice],
    *,
    groups: int,
    partition: int | None = None,
) -> Proof:
    """Hold the ledger against the tallies, for whole windows of each kind, in one or in all partition groups.

    Of one vendor, whose log has so many groups. Raises Unavailable.
    """
    vendor = next(iter(libraries.values())).vendor
    known = [span for span in spans.values() if span.end > span.start]
    log: dict[Place, Tally] = {}
    sums: dict[Place, tuple[Tally, Tally, Tally]] = {}
    bad = entered = 0
    if known:
        wide = Slice(min(s.start for s in known), max(s.end for s in known))
        log, rows = ledger.sums(settings, vendor, libraries, spans, groups=groups, group=partition)
        inner = Slice(max(s.start for s in known), min(s.end for s in known))
        stamps = rows["minute"] * ledger.MINUTE_NS
        bad = int(rows["messages"][(stamps >= inner.start) & (stamps < inner.end)].sum())
        with database.answering(settings):
            entered = _entered(settings, vendor, inner, groups, partition) if bad else 0
            for one in tallies.read(libraries.values(), wide, partition=partition):
                if spans[one.kind].start <= one.start < spans[one.kind].end:
                    sums[one.kind, one.partition, one.start] = one.tallies
    places = sorted({*log, *sums})
    differing = tuple(
        one for one in places if log.get(one, Tally()) != (s := sums.get(one, NOTHING))[0] + s[1] + s[2]
    )
    by_kind = {kind: _total(t for at, t in log.items() if at[0] == kind) for kind in KINDS}
    arctic = {}
    for kind in KINDS:
        of = [t for at, t in sums.items() if at[0] == kind]
        arctic[kind] = (_total(t[0] for t in of), _total(t[1] for t in of), _total(t[2] for t in of))
    said = {place: (log.get(place, Tally()), sums.get(place, NOTHING)) for place in differing}
    return Proof(by_kind, arctic, differing, bad, entered, said)


def _entered(settings: Settings, vendor: str, of: Slice, groups: int, partition: int | None) -> int:
    query: dict[str, object] = {
        "vendor": vendor, "timestamp_ms": {"$gte": of.start // 1_000_000, "$lt": of.end // 1_000_000},
    }  # fmt: skip
    if partition is not None:
        query["partition"] = {"$in": list(range(partition, MOST, groups))}
    return database.collection(settings, "undecodable").count_documents(query)


def _total(parts: Iterable[Tally]) -> Tally:
    messages, value = 0, 0
    for part in parts:
        messages, value = messages + part.messages, value + part.digest
    return Tally(messages, digest.add(value))
