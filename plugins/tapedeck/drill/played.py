"""A tape as it would have come into the log with a fault in it, and the truth about the fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tapedeck.columns import Array, Columns
from tapedeck.drill.take import SRC, Take
from tapedeck.log.meta import Life
from tapedeck.message import WHOLE_FEED
from tapedeck.slices import NS

INTERVAL = NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One thing that a check must find. `start`, `end`: when it was done (ns); `first` and `next`: which
    seqs are meant (0: none). `size` in the fault's own unit."""

    checks: tuple[str, ...]
    start: int
    end: int
    symbol: str = WHOLE_FEED
    kind: str = WHOLE_FEED
    first: int = 0
    next: int = 0
    reason: str = ""
    size: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What else the fault truly is: findings of these checks in [start, end] are no false alarms."""

    checks: tuple[str, ...]
    start: int
    end: int


@dataclass(slots=True, kw_only=True)
class Played:
    """What the log holds. `taped`: receipt times of all that the collector had; `spans`: when it lived."""

    columns: dict[str, Columns]
    taped: Array
    spans: Sequence[tuple[int, int]]
    truths: list[Truth] = field(default_factory=list)
    allowed: list[Allowed] = field(default_factory=list)
    untold: int = 0
    """Of what was done, so much leaves no trace in what these checks look at."""

    def lives(self, vendor: str) -> list[Life]:
        """The collector's lives; none said goodbye."""
        return [Life(vendor=vendor, src=SRC, since=since, topic_id="drill") for since, _ in self.spans]

    def beats(self) -> Columns:
        """Its heartbeats, each second of each life, with the true counts of what was taped."""
        times, since, sent = [], [], []
        for first, last in self.spans:
            own = np.arange(first, last, INTERVAL)
            times.append(own)
            since.append(np.full(len(own), first))
            sent.append(np.searchsorted(self.taped, own) - np.searchsorted(self.taped, first))
        at = np.concatenate(times)
        zero = np.zeros(len(at), np.int64)
        return Columns(
            "heartbeat", (WHOLE_FEED,),
            {
                "symbol": np.zeros(len(at), np.int32), "ts_event": zero, "ts_recv": at, "seq": zero,
                "prev": zero, "src": np.full(len(at), SRC, np.int64), "since": np.concatenate(since),
                "sent": np.concatenate(sent), "closing": zero, "topic": np.zeros(len(at), np.int32),
                "offset": np.arange(len(at)),
            },
        )  # fmt: skip


def as_it_was(take: Take) -> Played:
    """Without any fault."""
    return chosen(take, np.arange(len(take)), take.ts)


def chosen(take: Take, which: Array, stamps: Array, taped: Array | None = None) -> Played:
    """These messages of a take, by their place in its one order, received at `stamps` (not decreasing).

    `taped`: when those that the collector had were received; all of these where it is None.
    """
    columns = {}
    for code, kind in enumerate(take.kinds):
        own = np.flatnonzero(take.kind[which] == code)
        part = take.columns[kind].take(take.row[which[own]])
        columns[kind] = part.with_arrays(ts_recv=stamps[own], offset=own)
    whole = np.unique(stamps) if taped is None else np.unique(taped)
    return Played(columns=columns, taped=whole, spans=[(take.of.start - INTERVAL, take.of.end + INTERVAL)])
