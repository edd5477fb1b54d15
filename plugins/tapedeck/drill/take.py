"""A tape that is known to be complete, whole in memory, for faults to be put into."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tapedeck import vendors
from tapedeck.buses import captured
from tapedeck.columns import Array, Columns, concat, from_messages
from tapedeck.errors import BadInput
from tapedeck.log.timeline import timeline
from tapedeck.message import KIND_OF, KINDS, WHOLE_FEED, Message
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice

MOST = 5_000_000
"""A tape of more messages is refused: it is held in memory, and played once for each fault and seed."""
LEAST = 1_000
SRC = 1
"""Whoever recorded it, it is played as by one collector."""


@dataclass(frozen=True, slots=True)
class Take:
    """By kind, what came in `of`, in order of receipt; `kind` and `row` name each message in one order of
    all, `ts` is when it came. `notes` says what was made right first."""

    vendor: str
    of: Slice
    columns: dict[str, Columns]
    kind: Array
    row: Array
    ts: Array
    notes: tuple[str, ...] = ()
    kinds: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def symbols(self) -> list[str]:
        """All symbols, sorted."""
        return sorted({symbol for columns in self.columns.values() for symbol in columns.symbols})

    def symbol_of(self, i: int) -> str:
        """The symbol of the i-th message."""
        columns = self.columns[self.kinds[int(self.kind[i])]]
        return columns.symbols[int(columns["symbol"][int(self.row[i])])]

    def value(self, name: str) -> Array:
        """A common column of all messages, in their one order."""
        out = np.zeros(len(self), np.int64)
        for code, kind in enumerate(self.kinds):
            own = self.kind == code
            out[own] = self.columns[kind][name][self.row[own]]
        return out

    def streams(self) -> Array:
        """A number for each message, the same for those of one kind and symbol."""
        out = np.zeros(len(self), np.int64)
        names = {symbol: i for i, symbol in enumerate(self.symbols)}
        for code, kind in enumerate(self.kinds):
            own, columns = self.kind == code, self.columns[kind]
            table = np.array([names[symbol] for symbol in columns.symbols], np.int64)
            out[own] = code * len(names) + table[columns["symbol"][self.row[own]]]
        return out


def of_captures(vendor: str, paths: Sequence[Path], symbol: str | None = None) -> Take:
    """Captured files, merged by receipt time. `symbol`: of payloads that name none.

    Raises BadInput for a file that is none, or a tape that is too short or too long.
    """
    spoken = vendors.get(vendor)
    found: dict[str, list[Message]] = {}
    for recv_ns, payload in heapq.merge(*(captured.read(path) for path in paths)):
        for one in spoken.normalise(payload, recv_ns, SRC, symbol):
            kind = KIND_OF.get(type(one), "")
            if kind in KINDS:
                found.setdefault(kind, []).append(one)  # type: ignore[arg-type]
        if sum(map(len, found.values())) > MOST:
            raise BadInput(f"these files hold more than {MOST:,} messages: drill on a part of them")
    return _made(vendor, {kind: from_messages(kind, some) for kind, some in found.items()})


def of_log(settings: Settings, vendor: str, of: Slice) -> Take:
    """What stands in the log of a slice: no resends, copies or voided messages.

    Raises BadInput where that is too little or too much, Unavailable.
    """
    reading = timeline(vendor, settings).between(of.start, of.end)
    parts: dict[str, list[Columns]] = {}
    seen = 0
    for batch in reading.batches():
        for kind, columns in batch.items():
            parts.setdefault(kind, []).append(columns)
            seen += len(columns)
        if seen > MOST:
            raise BadInput(f"{vendor} {of} holds more than {MOST:,} messages: drill on a shorter slice")
    return _made(vendor, {kind: concat(kind, some) for kind, some in parts.items()})


def _made(vendor: str, columns: dict[str, Columns]) -> Take:
    """One order of all, one source, and a clock that is right: the faults are to be ours."""
    lean = {kind: _of_symbols(some) for kind, some in columns.items() if kind != "status"}
    kinds = tuple(kind for kind in KINDS if kind in lean and len(lean[kind]))
    total = sum(len(lean[kind]) for kind in kinds)
    if total < LEAST:
        raise BadInput(f"a drill takes at least {LEAST:,} messages, here are {total:,}: give a longer tape")
    lean, notes = _in_time({kind: lean[kind].in_order() for kind in kinds})
    ts = np.concatenate([lean[kind]["ts_recv"] for kind in kinds])
    kind_of = np.repeat(np.arange(len(kinds)), [len(lean[kind]) for kind in kinds])
    row = np.concatenate([np.arange(len(lean[kind])) for kind in kinds])
    order = np.argsort(ts, kind="stable")
    of = Slice(int(ts[order[0]]), int(ts[order[-1]]) + 1)
    return Take(vendor, of, lean, kind_of[order], row[order], ts[order], notes, kinds)


def _of_symbols(columns: Columns) -> Columns:
    """Without what is about the whole feed; one source, one topic."""
    if WHOLE_FEED in columns.symbols:
        columns = columns.take(columns["symbol"] != columns.symbols.index(WHOLE_FEED))
    size = len(columns)
    return columns.with_arrays(
        src=np.full(size, SRC, np.int64), topic=np.zeros(size, np.int32), offset=np.arange(size)
    )


def _in_time(columns: dict[str, Columns]) -> tuple[dict[str, Columns], tuple[str, ...]]:
    known = [c["ts_recv"][e] - c["ts_event"][e] for c in columns.values() if (e := c["ts_event"] != 0).any()]
    least = min((int(delays.min()) for delays in known), default=0)
    if least >= 0:
        return columns, ()
    shift = least - NS // 1000  # the least delay is then a millisecond
    right = {
        kind: c.with_arrays(ts_event=np.where(c["ts_event"] != 0, c["ts_event"] + shift, 0))
        for kind, c in columns.items()
    }
    return right, (f"its clock is {-least / NS:.3f} s slow: its event times were moved by as much first",)


def delays(take: Take) -> Iterable[int]:
    """The least delay (receipt - event, ns) of each kind that has event times."""
    for columns in take.columns.values():
        known = columns["ts_event"] != 0
        if known.any():
            yield int((columns["ts_recv"][known] - columns["ts_event"][known]).min())
