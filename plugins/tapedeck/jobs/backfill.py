"""Rebuilding a slice of a vendor from the log, with a frozen plan and a receipt.

The windows that meet the slice are built anew and those that differ are written (`store.rebuild`):
run again it writes nothing, and run twice at once it ends as one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec import Struct, structs

from tapedeck.errors import Mismatch
from tapedeck.jobs import plans, receipts
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.log import meta
from tapedeck.log.plan import Plan
from tapedeck.log.resolve import resolve
from tapedeck.message import KINDS
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import library
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
    """

    vendor: str
    slice: Slice
    plan: str = ""
    partitions: tuple[int, ...] = ()


class Part(Struct, frozen=True, kw_only=True):
    """What was done to one partition."""

    partition: int
    done: Rebuilt


def prepare(settings: Settings, vendor: str, of: Slice) -> tuple[Order, Plan | None]:
    """The order and its frozen plan, which covers whole windows; None where nothing is recorded yet.

    Writes nothing. A slice that has ended just now, as at midnight, is given SETTLE to be complete.
    Raises BadInput for a vendor that settings do not know.
    """
    settings.vendor(vendor)
    if not any(pin.vendor == vendor for pin in meta.read(settings).pins.values()):
        return Order(vendor=vendor, slice=of), None
    windows = [w for kind in KINDS for w in library.named(settings, f"{vendor}.{kind}").windows(of)]
    whole = Slice(min(w.start for w in windows), max(w.end for w in windows))
    plan = resolve(settings, vendor, whole)
    while not plan.complete and whole.end <= time.time_ns() < whole.end + SETTLE:
        time.sleep(2)
        plan = resolve(settings, vendor, whole)
    partitions = tuple(range(plan.partitions))
    return Order(vendor=vendor, slice=of, plan=plan.digest, partitions=partitions), plan


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
    """The plan for a person, line by line, the slice in force first."""
    yield f"{order.vendor} {order.slice}"
    if plan is None or would is None:
        yield f"nothing is recorded of {order.vendor} yet"
        return
    yield from plan.table().splitlines()[1:]
    yield (
        f"{would.added:,} windows to add, {would.written - would.added:,} to change, "
        f"{would.windows - would.written:,} unchanged, of {would.messages:,} messages"
    )
    for table in settings.vendor(order.vendor).history:
        yield f"then what the log never had is asked of {table.at}"


def rebuild_part(settings: Settings, order: Order, plan: Plan, partition: int) -> Part:
    """Rebuild one partition within the frozen plan. Safe to run again, and at once with itself."""
    done = rebuild_partition(settings, order.vendor, order.slice, partition, within=plan, by=JOB)
    return Part(partition=partition, done=structs.replace(done, claims=()))  # the plan has them


def finish(
    settings: Settings, order: Order, plan: Plan | None, parts: Iterable[Part], origin: Origin
) -> Receipt:
    """The receipt of a rebuild of which every part was done. Raises Mismatch where one is missing."""
    found = {part.partition: part.done for part in parts}
    missing = [p for p in order.partitions if p not in found]
    if missing:
        raise Mismatch(
            f"the rebuild of {order.vendor} {order.slice} lacks its partitions "
            f"{', '.join(map(str, missing))}: see why those failed, then run them again"
        )
    total = sum(found.values(), Rebuilt())
    notes = total.notes if plan else (f"nothing is recorded of {order.vendor} yet",)
    return receipts.issue(
        settings, origin, JOB, order.vendor, order.slice, plan,
        outcome="written" if total.written else "unchanged" if total.windows else "empty",
        counts=_counts(total), before=total.before, after=total.after, notes=notes, code=CODE_VERSION,
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
    of_messages = ("messages", "duplicates", "voided", "undecodable")
    windows = {f"windows_{name}": value for name, value in numbers.items() if name not in of_messages}
    return {name: numbers[name] for name in of_messages} | windows
