"""Rebuilding a slice of a vendor from the log, with a frozen plan and a receipt.

The windows that meet the slice are built anew and those that differ are written (`store.rebuild`):
run again it writes nothing, and run twice at once it ends as one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs

from tapedeck.errors import Mismatch
from tapedeck.jobs import plans, receipts, unasked
from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.jobs.target import Say
from tapedeck.log import meta
from tapedeck.log.complete import complete_through
from tapedeck.log.plan import Plan
from tapedeck.log.resolve import resolve
from tapedeck.message import KINDS
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, parse_duration
from tapedeck.store import database, library, tallies
from tapedeck.store.rebuild import rebuild_partition
from tapedeck.store.rebuilt import Rebuilt
from tapedeck.store.window import CODE_VERSION

JOB = "backfill"
SETTLE = 120 * NS
"""How long after a slice's end, in ns, its collectors may take to show a time past its margin."""
Progress = Callable[[int, int], object]


class Order(Struct, frozen=True, kw_only=True):
    """A rebuild as it was asked for and frozen.

    `plan` is the digest of a kept plan; it and `partitions` are empty where nothing is recorded yet.
    `share`: of a partition's messages, what may be removed or changed; None, as where a person asked: all.
    """

    vendor: str
    slice: Slice
    plan: str = ""
    partitions: tuple[int, ...] = ()
    share: float | None = None
    held_by: int = 0
    """The collector that had not shown a time past the slice when the plan was frozen; 0: none."""
    held_at: int = 0
    """The last time that it had shown in all partitions, UTC ns."""


class Part(Struct, frozen=True, kw_only=True):
    """What was done to one partition."""

    partition: int
    done: Rebuilt


def prepare(
    settings: Settings, vendor: str, of: Slice, *, share: float | None = None
) -> tuple[Order, Plan | None]:
    """The order and its frozen plan, which covers whole windows; None where nothing is recorded yet.

    Writes nothing. A slice that has ended just now, as at midnight, is given SETTLE to be complete; where it
    is not, the order says who holds it back. Raises BadInput for a vendor that settings do not know.
    """
    settings.vendor(vendor)
    if not any(pin.vendor == vendor for pin in meta.read(settings).pins.values()):
        return Order(vendor=vendor, slice=of, share=share), None
    windows = [w for kind in KINDS for w in library.named(settings, f"{vendor}.{kind}").windows(of)]
    whole = Slice(min(w.start for w in windows), max(w.end for w in windows))
    plan = resolve(settings, vendor, whole)
    while not plan.complete and whole.end <= time.time_ns() < whole.end + SETTLE:
        time.sleep(2)
        plan = resolve(settings, vendor, whole)
    src, shown = (0, 0) if plan.complete else _behind(settings, vendor, whole.end + plan.margin)
    order = Order(
        vendor=vendor, slice=of, plan=plan.digest, partitions=tuple(range(plan.partitions)), share=share,
        held_by=src, held_at=shown,
    )  # fmt: skip
    return order, plan


def trimmed(settings: Settings, order: Order, plan: Plan | None) -> Order:
    """The order without its partitions where the log has nothing of the slice, nothing more can come, and
    nothing stands in Arctic, as on the days before a vendor's first: so that no task is spent on them."""
    if plan is None or not plan.complete or plan.records:
        return order
    libraries = [library.named(settings, f"{order.vendor}.{kind}") for kind in KINDS]
    with database.answering(settings):
        stands = any(s.documents or s.stale for s in tallies.read(libraries, plan.slice, exact=False))
    return order if stands else structs.replace(order, partitions=())


def waits(settings: Settings, order: Order, now: int) -> int:
    """How long, in ns from `now` (UTC ns), the order may still wait for who holds it back; 0: it goes on."""
    if not order.held_by:
        return 0
    return max(0, order.slice.end + parse_duration(settings.jobs.complete_within) - now)


def _behind(settings: Settings, vendor: str, end: int) -> tuple[int, int]:
    """The collector that holds complete-through below a time, and what it has shown; 0 and 0: none."""
    through = complete_through(settings, vendor)
    if through.time is None or through.by is None or through.time >= end:
        return 0, 0
    return through.by, through.time


def foreseen(settings: Settings, order: Order, plan: Plan) -> Rebuilt:
    """What a rebuild within the plan would do. Reads the whole slice, writes nothing."""
    return sum(
        (
            rebuild_partition(settings, order.vendor, order.slice, p, within=plan, by=JOB, dry=True)
            for p in order.partitions
        ),
        Rebuilt(),
    )


def shown(settings: Settings, order: Order, plan: Plan | None, would: Rebuilt | None) -> Iterator[str]:
    """The plan for a person, line by line, the slice in force first; `would` where it was foreseen."""
    yield f"{order.vendor} {order.slice}"
    if plan is None:
        yield f"nothing is recorded of {order.vendor} yet"
        return
    yield from plan.table().splitlines()[1:]
    if would is not None:
        yield (
            f"{would.added:,} windows to add, {would.written - would.added:,} to change, "
            f"{would.windows - would.written:,} unchanged, of {would.messages:,} messages"
        )
        if would.altered:
            yield f"{would.altered:,} messages that stand in Arctic would be removed or changed"
    for table in settings.vendor(order.vendor).history:
        yield f"then what the log never had is asked of {table.at}"


def rebuild_part(
    settings: Settings, order: Order, plan: Plan, partition: int, *, checkpoint: Checkpoint | None = None,
    say: Say = lambda line: None,
) -> Part:  # fmt: skip
    """Rebuild one partition within the frozen plan and the order's share. Safe to run again, and at once with
    itself; with a `checkpoint` it goes on where one who was killed has left off."""
    done = unasked.rebuild(
        settings, order.vendor, order.slice, partition, share=order.share, by=JOB, within=plan,
        checkpoint=checkpoint, say=say,
    )  # fmt: skip
    return Part(partition=partition, done=structs.replace(done, claims=()))  # the plan has them


def missing(order: Order, parts: Iterable[Part]) -> str:
    """Which of an order's parts were not done, in a sentence; empty where all were."""
    done = {part.partition for part in parts}
    lacking = [str(p) for p in order.partitions if p not in done]
    if not lacking:
        return ""
    return (
        f"the rebuild of {order.vendor} {order.slice} lacks its partitions {', '.join(lacking)}: see why "
        "those failed, then run them again"
    )


def withheld(done: Rebuilt, share: float | None) -> str:
    """Why windows of a partition were left as they are, in a sentence."""
    return (
        f"{done.withheld:,} windows are left as they are, since {done.altered:,} of its {done.messages:,} "
        f"messages would be removed or changed, more than {share or 0:.1%}: look at the slice, then "
        "rebuild it by hand"
    )


def finish(
    settings: Settings, order: Order, plan: Plan | None, parts: Sequence[Part], origin: Origin,
    more: tuple[str, ...] = (), asked: dict[str, Any] | None = None,
) -> Receipt:  # fmt: skip
    """The receipt of a rebuild of which every part was done; with `more` notes why the day is not whole.

    Raises Mismatch where a part is missing.
    """
    found = {part.partition: part.done for part in parts}
    if lacking := missing(order, parts):
        raise Mismatch(lacking)
    total = sum(found.values(), Rebuilt())
    notes = total.notes if plan else (f"nothing is recorded of {order.vendor} yet",)
    notes += tuple(
        f"partition {p}: {withheld(done, order.share)}" for p, done in sorted(found.items()) if done.withheld
    )
    notes += more
    return receipts.issue(
        settings, origin, JOB, order.vendor, order.slice, plan,
        outcome="written" if total.written else "unchanged" if total.windows else "empty",
        counts=_counts(total), before=total.before, after=total.after, notes=notes, code=CODE_VERSION,
        asked=asked,
    )  # fmt: skip


def backfill(
    settings: Settings,
    vendor: str,
    of: Slice,
    *,
    origin: Origin,
    progress: Progress = lambda done, total: None,
) -> Receipt:
    """The whole job in this process: plan, partition after partition, receipt.

    `progress` is told how many partitions are done, of how many.
    """
    order, plan = prepare(settings, vendor, of)
    parts: list[Part] = []
    if plan is not None:
        plans.keep(settings, plan)
        for partition in order.partitions:
            progress(len(parts), len(order.partitions))
            parts.append(rebuild_part(settings, order, plan, partition))
    return finish(settings, order, plan, parts, origin)


def _counts(total: Rebuilt) -> dict[str, int]:
    """Messages of the documents that were looked at, then windows by what became of them."""
    numbers = {name: value for name, value in msgspec.to_builtins(total).items() if isinstance(value, int)}
    of_messages = ("messages", "duplicates", "voided", "undecodable", "altered")
    windows = {f"windows_{name}": value for name, value in numbers.items() if name not in of_messages}
    return {name: numbers[name] for name in of_messages} | windows
