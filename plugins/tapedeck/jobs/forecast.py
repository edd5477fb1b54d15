"""What a replay is going to cost, for the person who decides whether to start it."""

from __future__ import annotations

from msgspec import Struct

from tapedeck.jobs.hours import hours_of
from tapedeck.jobs.order import Order
from tapedeck.log.plan import Plan
from tapedeck.log.read import read
from tapedeck.settings import Settings
from tapedeck.slices import NS

SAMPLE = 1_000
RATE = 100_000
"""Records a second that one process reads, judges and writes, broker included (docs/benchmarks.md)."""


class Forecast(Struct, frozen=True, kw_only=True):
    """`records` are read, at most so many `messages` are among them; `bytes` of values, by a sample."""

    records: int
    messages: int
    bytes: int
    seconds: float

    @property
    def line(self) -> str:
        """In a sentence."""
        return (
            f"at most {self.messages:,} messages, about {size(self.bytes)}, in about {duration(self.seconds)}"
        )


def forecast(settings: Settings, order: Order, plan: Plan) -> Forecast:
    """What replaying this plan would cost. Reads a few records."""
    takes = order.slice.end - order.slice.start
    if order.skip_closed:
        takes = hours_of(settings, [order], order.slice).total
    longest = takes / NS / order.speed if order.speed else 0.0
    return forecast_of(settings, plan, order.rate, longest)


def forecast_of(settings: Settings, plan: Plan, rate: int = 0, seconds: float = 0.0) -> Forecast:
    """What reading this plan would cost: at `rate` records a second at most, and `seconds` at least."""
    count = size = 0
    longest = max(plan.ranges, key=lambda r: r.stop - r.start, default=None)
    if longest is not None and longest.stop > longest.start:
        first = next(read(settings, [longest], SAMPLE))
        count, size = len(first), int(first.values.lengths.sum())
    return Forecast(
        records=plan.records, messages=plan.records,
        bytes=plan.records * size // count if count else 0,
        seconds=round(max(seconds, plan.records / min(RATE, rate or RATE)), 1),
    )  # fmt: skip


def size(n: float) -> str:
    """So many bytes, for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def duration(seconds: float) -> str:
    """So many seconds, for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
