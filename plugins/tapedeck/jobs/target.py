"""Where a replay goes: what all targets promise.

`kafka:TOPIC`, `zmq:ADDRESS`, `arctic:PREFIX` and `parquet:DIR` are opened by `tapedeck.jobs.targets`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.clock import Clock
from tapedeck.jobs.order import Copied, Order, Preview
from tapedeck.log.plan import Plan
from tapedeck.slices import Slice

Say = Callable[[str], object]


class Target(Protocol):
    """A target of one order. Opening one looks at all that could be wrong, and changes nothing."""

    order: Order
    """The order, with what the target decides itself."""
    idempotent: bool
    """Whether a replay that is killed and repeated leaves what one undisturbed does."""

    refuses_late: bool
    """Whether only `preview` finds out that it holds what the replay must not touch."""

    def reads(self) -> Slice:
        """The slice that must be planned: the order's, or more."""
        ...

    def parts(self) -> list[int]:
        """What can be copied apart, each by a process of its own: partitions, or [WHOLE]."""
        ...

    def preview(self, plan: Plan) -> Preview:
        """What it holds of the plan already, or what would change. Writes nothing.

        Raises BadInput where it holds something that the replay must not touch.
        """
        ...

    def copy(
        self, plan: Plan, part: int, say: Say, clock: Clock | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Copied:  # fmt: skip
        """Bring one part of the target to hold its share of the plan, and prove it.

        `clock`: in time, shared with others. `checkpoint`: where one that can't look at what it holds keeps
        how far it has come.
        Raises BadInput like `preview`, Unavailable or Incomplete where the servers fail or have expired
        what the plan names.
        """
        ...


WHOLE = -1
"""The one part of a target that is written in one stream."""


def label(part: int) -> str:
    """A part for people."""
    return "all partitions" if part == WHOLE else f"partition {part}"
