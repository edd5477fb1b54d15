"""Whether windows stand as a rebuild would make them, told without reading the log (DESIGN §2.3, §4).

A window is a pure function of the log. Its documents say which messages they account for (counts and
digests), and the ledger says which the log holds. Where both say the same, nothing is missing, doubled or
late. What is left is whether some message would be judged otherwise than it was: by a void or a message of
history that came later, or as a copy of one beside the window. It would not where the slice holds no history
and one source alone, nor where the documents have read all that a rebuild would read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tapedeck.log import meta
from tapedeck.log.meta import VendorTopics
from tapedeck.log.plan import Plan
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.store import ledger
from tapedeck.store.documents import Stored
from tapedeck.store.facts import missing
from tapedeck.store.ledger import Place
from tapedeck.store.library import Library
from tapedeck.store.rebuilt import Key, Rebuilt, counted_equal, total_of
from tapedeck.store.window import CODE_VERSION, Tally


def settled(
    settings: Settings,
    plan: Plan,
    partition: int,
    pins: VendorTopics,
    libraries: Mapping[str, Library],
    windows: Mapping[str, Sequence[Slice]],
    standing: Mapping[str, Mapping[Key, Sequence[Stored]]],
) -> Rebuilt | None:
    """What a rebuild of these windows would count, if all of them stand; None where that is not proven.

    `standing`: by kind, what their documents say of themselves, all of each window's. Raises Unavailable.
    """
    every = [stored for found in standing.values() for parts in found.values() for stored in parts]
    if partition in plan.expired or not every:
        return None
    if any(one.window % ledger.MINUTE_NS for one in libraries.values()):
        return None
    if any(stored.partial or not stored.content or stored.code != CODE_VERSION for stored in every):
        return None
    if not (_is_alone(settings, plan) or all(_has_read(stored, plan, partition) for stored in every)):
        return None
    ranges = plan.of(partition)
    if any(missing(r.start, r.stop, ledger.covered(settings, r)) for r in ranges):
        return None
    spans = {kind: Slice(of_kind[0].start, of_kind[-1].end) for kind, of_kind in windows.items() if of_kind}
    log, rows = ledger.sums(settings, plan.vendor, libraries, spans, groups=plan.partitions, group=partition)
    arctic: dict[Place, Tally] = {}
    for kind, found in standing.items():
        for (_, _, start), parts in found.items():
            whole = total_of(parts)
            at = kind, partition, start
            arctic[at] = arctic.get(at, Tally()) + whole[0] + whole[1] + whole[2]
    if any(log.get(at, Tally()) != arctic.get(at, Tally()) for at in {*log, *arctic}):
        return None
    if len(rows):
        return None  # what could not be decoded then may be decodable now
    counted = (counted_equal(parts) for found in standing.values() for parts in found.values())
    return sum(counted, Rebuilt(notes=plan.notes, claims=tuple(plan.claimed(partition))))


def _is_alone(settings: Settings, plan: Plan) -> bool:
    """Whether one source alone was heard in the slice and its margins, and nothing of history lies there."""
    wide = plan.slice.widen(plan.margin)
    if any(r.start_reason == "extent" for r in plan.ranges):
        return False
    lives = [
        life
        for life in meta.read(settings).lives
        if life.vendor == plan.vendor
        and life.since < wide.end
        and (life.closed is None or life.closed >= wide.start)
    ]
    return len({life.src for life in lives}) == 1


def _has_read(stored: Stored, plan: Plan, partition: int) -> bool:
    """Whether a document's build read all that a build within the plan would read."""
    spans = {claim.topic_id: claim for claim in stored.claims}
    return all(
        r.topic_id in spans and spans[r.topic_id].start <= r.start and r.stop <= spans[r.topic_id].next
        for r in plan.of(partition)
        if r.stop > r.start and r.partition == partition_of(stored.symbol, plan.count_of(r))
    )
