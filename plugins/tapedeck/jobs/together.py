"""Several vendors replayed side by side, each to a target of its own; in time they go by one clock."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tapedeck.errors import BadInput
from tapedeck.jobs import plans, replay, targets
from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.hours import clock_of
from tapedeck.jobs.order import Copied, Order
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.jobs.target import WHOLE, Say
from tapedeck.log import meta
from tapedeck.log.plan import Plan
from tapedeck.settings import Settings
from tapedeck.slices import Slice

PLACE = "{vendor}"


def spread(vendors: Sequence[str], to: str) -> list[tuple[str, str]]:
    """Each vendor with its target: `{vendor}` in it is the vendor's name.

    Raises BadInput where several vendors would go to one target, which could not tell their symbols apart.
    """
    if len(set(vendors)) != len(vendors):
        raise BadInput(f"a vendor is named twice in {', '.join(vendors)}: name each once")
    if len(vendors) > 1 and PLACE not in to:
        raise BadInput(
            f"{len(vendors)} vendors need a target each: write {PLACE} where their names go, for example "
            f"kafka:replay.{PLACE} or zmq:ipc:///tmp/{PLACE}"
        )
    return [(vendor, to.replace(PLACE, vendor)) for vendor in vendors]


def prepare(
    settings: Settings, vendors: Sequence[str], of: Slice, to: str, symbols: Sequence[str] = (),
    kinds: Sequence[str] = (), **more: Any,
) -> list[tuple[Order, Plan]]:  # fmt: skip
    """The order and plan of each vendor, as `replay.prepare` makes and checks it."""
    return [
        replay.prepare(settings, vendor, of, own, symbols, kinds, **more)
        for vendor, own in spread(vendors, to)
    ]


def copy(
    settings: Settings, prepared: Sequence[tuple[Order, Plan]], say: Say = lambda line: None,
    checkpoints: Sequence[Checkpoint] = (),
) -> list[Copied]:  # fmt: skip
    """Copy orders in time, each whole, all by one clock. Raises what one has raised, once all ended."""
    known = meta.read(settings)
    opened = [targets.opened(settings, order, known) for order, _ in prepared]
    clock = clock_of(settings, [order for order, _ in prepared])
    keep = checkpoints or [Checkpoint() for _ in prepared]

    def tell(order: Order) -> Say:
        return (lambda line: say(f"{order.vendor}: {line}")) if len(prepared) > 1 else say

    with ThreadPoolExecutor(len(prepared)) as threads:
        done = [
            threads.submit(target.copy, plan, WHOLE, tell(order), clock, kept)
            for target, (order, plan), kept in zip(opened, prepared, keep, strict=True)
        ]
    return [one.result() for one in done]


def replayed(
    settings: Settings, prepared: Sequence[tuple[Order, Plan]], *, origin: Origin,
    progress: replay.Progress = lambda done, total: None, say: Say = lambda line: None,
) -> list[Receipt]:  # fmt: skip
    """The whole job in this process, of orders that `prepare` gave: look at all, copy, receipts."""
    for order, plan in prepared:
        replay.look(settings, order, plan)  # before anything is written to another
        plans.keep(settings, plan)
    if prepared[0][0].speed:
        copied = [[one] for one in copy(settings, prepared, say)]
    else:
        todo = [
            (at, part) for at, (order, _) in enumerate(prepared) for part in replay.parts(settings, order)
        ]
        copied = [[] for _ in prepared]
        for done, (at, part) in enumerate(todo):
            progress(done, len(todo))
            copied[at].append(replay.copy_part(settings, *prepared[at], part, say))
    return [
        replay.finish(settings, order, plan, own, origin)
        for (order, plan), own in zip(prepared, copied, strict=True)
    ]
