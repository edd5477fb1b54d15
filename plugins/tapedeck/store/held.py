"""What a writer holds in memory of one partition group: the records of windows that are still open.

Live records only. Windows that history or a void touches, that came late, or whose rows were let go
are built from the log instead (`Mend`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tapedeck.columns import Array, Columns, concat
from tapedeck.log.meta import TopicPin
from tapedeck.log.plan import Claim
from tapedeck.log.signs import NO_BEAT
from tapedeck.message import KINDS
from tapedeck.partitions import homes
from tapedeck.slices import Slice
from tapedeck.store.positions import Lane
from tapedeck.store.rebuilt import Key
from tapedeck.store.shown import Shown
from tapedeck.store.window import between, ordered

MINUTE_MS = 60_000
MS = 1_000_000
SMALL = 20_000


@dataclass(slots=True)
class Reach:
    """How far one live topic's partition was read, and since which time it is whole in memory.

    `count`: how many partitions that topic has.
    """

    topic_id: str
    partition: int
    count: int
    position: int
    """The next offset to read."""
    whole_from: int
    """Every record with a later or the same ts_recv (UTC ns) has been read and kept."""
    saved: int = 0
    """Below this offset everything is safe already: what came late there needs no mending."""
    shown: Shown = field(default_factory=Shown)
    first: dict[int, int] = field(default_factory=dict)
    """Minute since the epoch → least offset of its records."""

    def index(self, offsets: Array, timestamps_ms: Array) -> None:
        """Take note of where each minute's records begin."""
        minutes = timestamps_ms // MINUTE_MS
        for minute in np.unique(minutes).tolist():
            offset = int(offsets[minutes == minute][0])
            self.first[minute] = min(self.first.get(minute, offset), offset)
        self.position = int(offsets[-1]) + 1

    def claim(self, time: int) -> Claim:
        """What has been read of all that bears this time (UTC ns) or a later one."""
        minute = time // MS // MINUTE_MS
        start = min((o for m, o in self.first.items() if m >= minute), default=self.position)
        return Claim(
            topic_id=self.topic_id, partition=self.partition, start=start, next=self.position,
            count=self.count,
        )  # fmt: skip

    def forget(self, time: int) -> None:
        """Drop the index of what is older."""
        minute = time // MS // MINUTE_MS
        for old in [m for m in self.first if m < minute]:
            del self.first[old]


@dataclass(slots=True)
class Mend:
    """Windows of one partition group that are to be rebuilt from the log, and the offsets that say so.

    `spans`: by topic and partition, [start, next) of the records behind it; positions stay below them.
    `sweeps`: stretches of which every window is meant, whatever its symbol.
    """

    keys: set[Key] = field(default_factory=set)
    sweeps: list[Slice] = field(default_factory=list)
    spans: dict[Lane, tuple[int, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.keys or self.sweeps)

    def note(self, lane: Lane, offset: int) -> None:
        """A record at this offset is behind it."""
        first, last = self.spans.get(lane, (offset, offset + 1))
        self.spans[lane] = (min(first, offset), max(last, offset + 1))


@dataclass(slots=True)
class Held:
    """One partition group's open windows. `partition` is the group's number."""

    partition: int
    windows: dict[str, int]
    """Length in ns by kind."""
    margin: int
    reaches: dict[Lane, Reach]
    pins: dict[int, TopicPin]
    """By the topic's number."""
    closed: dict[str, int]
    """By kind, where the last closed window ends (UTC ns)."""
    rows: dict[str, list[Columns]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    least: dict[str, dict[Lane, int]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    """By kind, topic and partition, the least offset of the rows of open windows."""
    let_go: dict[str, set[int]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    """By kind, starts of open windows some of whose rows are no longer in memory."""
    gone: dict[Lane, int] = field(default_factory=dict)
    """By topic and partition, the least offset of rows that were let go and are not yet safe."""
    late: Mend = field(default_factory=Mend)
    late_messages: int = 0
    """How many live messages came behind a closed window."""
    touched: dict[Key, Mend] = field(default_factory=dict)
    """Open windows that records of the backfill topic belong to: mended once they are closed."""
    signs: list[Columns] = field(default_factory=list)
    """Signs of listening since a margin before the last closed window's end (`log.signs`)."""
    unsequenced: set[str] = field(default_factory=set)
    """Kinds of which messages without seq have come: who listened decides about those."""

    def add(self, lane: Lane, messages: dict[str, Columns]) -> None:
        """Take live messages of one partition in. Those behind closed windows are late."""
        saved = self.reaches[lane].saved
        for kind, columns in messages.items():
            self.reaches[lane].shown.add(columns)
            self._note_sequence(columns)
            end = self.closed.get(kind, 0)
            reached = end + self.margin if end and self._several() else end
            if int(columns["ts_recv"].min()) < reached:
                behind = (columns["ts_recv"] < reached) & (columns["offset"] >= saved)
                if behind.any():
                    self.late_messages += int((behind & (columns["ts_recv"] < end)).sum())
                    self._mark(lane, columns.take(behind), closed_only=True)
                columns = columns.take(columns["ts_recv"] >= end - self.margin)
            if len(columns):
                self.rows[kind].append(_lean(columns))
                self._compact(kind)
                fresh = columns["offset"][columns["ts_recv"] >= end]
                if len(fresh):
                    least = self.least[kind].setdefault(lane, int(fresh[0]))
                    self.least[kind][lane] = min(least, int(fresh.min()))

    def add_history(self, lane: Lane, messages: dict[str, Columns]) -> None:
        """Messages of the backfill topic: their windows are built from the log."""
        for columns in messages.values():
            self._note_sequence(columns)
            self._mark(lane, columns, closed_only=False)

    def add_signs(self, lane: Lane, signs: Columns) -> None:
        """Live signs of listening. Those behind closed windows may say that messages there are another's."""
        self.signs.append(_lean(signs))
        if len(self.signs) >= 64:
            self.signs = [concat("heartbeat", self.signs)]
        end = max((self.closed.get(kind, 0) for kind in self.unsequenced), default=0)
        stamps = signs["ts_recv"]
        if not end or int(stamps.min()) >= end + self.margin or not self._several():
            return
        behind = (stamps < end + self.margin) & (signs["offset"] >= self.reaches[lane].saved)
        if behind.any():
            first, last = int(stamps[behind].min()), int(stamps[behind].max())
            self._sweep(lane, signs["offset"][behind], Slice(first, last + 1).widen(self.margin), end)

    def add_history_signs(self, lane: Lane, signs: Columns) -> None:
        """What a source says in the backfill topic to have heard: its times are built from the log."""
        signs = signs.take(signs["since"] != NO_BEAT)
        if not self.unsequenced or not len(signs):
            return
        newest = max(reach.shown.newest for reach in self.reaches.values())
        for i in range(len(signs)):
            of = Slice(int(signs["since"][i]), int(signs["ts_recv"][i]) + 1).widen(self.margin)
            end = max((self.closed.get(kind, 0) for kind in self.unsequenced), default=0)
            self._sweep(lane, signs["offset"][i : i + 1], of, end)
            self._let_go(lane, int(signs["offset"][i]), Slice(of.start, min(of.end, newest + 1)))

    def _sweep(self, lane: Lane, offsets: Array, of: Slice, end: int) -> None:
        """All windows of a slice that are closed (by `end`) are to be mended."""
        if min(of.end, end) > of.start:
            self.late.sweeps.append(Slice(of.start, min(of.end, end)))
            self.late.note(lane, int(offsets.min()))
            self.late.note(lane, int(offsets.max()))

    def _note_sequence(self, columns: Columns) -> None:
        if columns.kind not in ("status", *self.unsequenced) and bool((columns["seq"] == 0).any()):
            self.unsequenced.add(columns.kind)

    def _several(self) -> bool:
        """Whether more than one source was heard: then what comes late may decide about what has come."""
        return len({src for reach in self.reaches.values() for src in reach.shown.times}) > 1

    def add_voids(self, lane: Lane, voids: Columns) -> None:
        """Voids: what they speak of is built from the log, soon where it is closed, else once it is."""
        newest = max([*self.closed.values(), *(reach.shown.newest for reach in self.reaches.values())])
        for i in range(len(voids)):
            offset = int(voids["offset"][i])
            of = Slice(int(voids["ts_recv"][i]), min(int(voids["end"][i]), newest + 1))
            self._sweep(lane, voids["offset"][i : i + 1], of, max(self.closed.values(), default=0))
            self._let_go(lane, offset, of)

    def _let_go(self, lane: Lane, offset: int, of: Slice) -> None:
        """The open windows of a slice are built from the log once they close, a record at `offset` says."""
        for kind, length in self.windows.items():
            first = max(of.start, self.closed.get(kind, 0)) // length * length
            if opened := range(first, of.end, length):
                self.let_go[kind].update(opened)
                self.gone[lane] = min(self.gone.get(lane, offset), offset)

    def _mark(self, lane: Lane, columns: Columns, *, closed_only: bool) -> None:
        """The windows of these messages, and their neighbours within the margin, are to be mended."""
        kind, length = columns.kind, self.windows[columns.kind]
        end = self.closed.get(kind, 0)
        newest = max(reach.shown.newest for reach in self.reaches.values())
        first, last = int(columns["offset"].min()), int(columns["offset"].max())
        for code in np.unique(columns["symbol"]).tolist():
            stamps = columns["ts_recv"][columns["symbol"] == code]
            near = np.concatenate([stamps - self.margin, stamps, stamps + self.margin])
            for start in np.unique(near // length * length).tolist():
                key = (kind, columns.symbols[code], start)
                if start + length <= end or start > newest:
                    mend = self.late  # not open: over, or not begun
                elif closed_only:
                    continue
                else:
                    mend = self.touched.setdefault(key, Mend())
                mend.keys.add(key)
                mend.note(lane, first)
                mend.note(lane, last)

    def _compact(self, kind: str) -> None:
        """Many small batches weigh more than what is in them."""
        small = [part for part in self.rows[kind] if len(part) < SMALL]
        if len(small) >= 64:
            large = [part for part in self.rows[kind] if len(part) >= SMALL]
            self.rows[kind] = [*large, concat(kind, small)]

    def due(self, kind: str, time: int) -> int:
        """Where the last window ends that may close once nothing before `time` can come."""
        length = self.windows[kind]
        return max(self.closed.get(kind, 0), (time - self.margin) // length * length)

    def open_rows(self, kind: str) -> Columns:
        """All rows of a kind in order, now held as one."""
        whole = ordered(concat(kind, self.rows[kind]))
        self.rows[kind] = [whole] if len(whole) else []
        return whole

    def open_signs(self) -> Columns:
        """All signs of listening, now held as one."""
        whole = concat("heartbeat", self.signs)
        self.signs = [whole] if len(whole) else []
        return whole

    def is_whole(self, span: Slice) -> bool:
        """Whether all live records of a window and its margin are in memory."""
        return all(reach.whole_from <= span.start - self.margin for reach in self.reaches.values())

    def claims(self, span: Slice) -> list[Claim]:
        """What has been read of the window and its margin, in every partition of the group."""
        return [reach.claim(span.start - self.margin) for reach in self.reaches.values()]

    def close(self, kind: str, end: int) -> None:
        """All windows that end by `end` are safe or to be mended: only their margin is kept."""
        length = self.windows[kind]
        self.closed[kind] = end
        self.let_go[kind] = {start for start in self.let_go[kind] if start + length > end}
        kept = between(self.open_rows(kind), Slice(end - self.margin, 2**63 - 1))
        self.rows[kind] = [kept.take(np.arange(len(kept)))] if len(kept) else []
        self.least[kind] = _least(kept, end, self.pins)
        for key in [k for k in self.touched if k[0] == kind and k[2] + length <= end]:
            mend = self.touched.pop(key)
            self.late.keys |= mend.keys
            for lane, (first, last) in mend.spans.items():
                self.late.note(lane, first)
                self.late.note(lane, last - 1)
        if not any(self.let_go.values()):
            self.gone.clear()
        oldest = min((self.closed.get(k, 0) for k in self.windows), default=0)
        signs = self.open_signs()
        signs = signs.take(signs["ts_recv"] >= oldest - self.margin)
        self.signs = [signs] if len(signs) else []
        for reach in self.reaches.values():
            reach.forget(oldest - self.margin - max(self.windows.values()))

    def drop(self) -> None:
        """Let go of all rows: their windows will be built from the log when they close."""
        for kind, parts in self.rows.items():
            for part in parts:
                fresh = part["ts_recv"] >= self.closed.get(kind, 0)
                starts = part["ts_recv"][fresh] // self.windows[kind] * self.windows[kind]
                self.let_go[kind].update(np.unique(starts).tolist())
            for lane, offset in self.least[kind].items():
                self.gone[lane] = min(self.gone.get(lane, offset), offset)
            self.least[kind] = {}
            parts.clear()
        for reach in self.reaches.values():
            reach.whole_from = max(reach.whole_from, reach.shown.newest + 1)

    def unsafe(self) -> dict[Lane, int]:
        """By topic and partition, the least offset that is not yet in an acknowledged document."""
        least: dict[Lane, int] = dict(self.gone)
        for of_kind in self.least.values():
            for lane, offset in of_kind.items():
                least[lane] = min(least.get(lane, offset), offset)
        for mend in (self.late, *self.touched.values()):
            for lane, (first, _) in mend.spans.items():
                least[lane] = min(least.get(lane, first), first)
        return least

    def oldest(self) -> int | None:
        """Where the oldest open window that anything is known of begins (UTC ns), None where there is none.

        By each batch's first message, so it may be a window off where a batch is out of order.
        """
        starts: list[int] = []
        for kind, parts in self.rows.items():
            closed, length = self.closed.get(kind, 0), self.windows[kind]
            starts += self.let_go[kind]
            if self.least[kind]:
                first = min(int(part["ts_recv"][0]) for part in parts if len(part))
                starts.append(max(first, closed) // length * length)
        return min(starts, default=None)

    def size(self) -> int:
        """About how many bytes the rows take."""
        return sum(
            sum(array.nbytes for array in part.arrays.values())
            + (part.levels.nbytes if part.levels is not None else 0)
            for parts in self.rows.values()
            for part in parts
        )


def _least(part: Columns, closed: int, pins: dict[int, TopicPin]) -> dict[Lane, int]:
    """By topic and partition, the least offset of messages at or past `closed`."""
    least: dict[Lane, int] = {}
    fresh = part["ts_recv"] >= closed
    for number in np.unique(part["topic"][fresh]).tolist():
        here, pin = fresh & (part["topic"] == number), pins[number]
        partitions = homes(part.symbols, part["symbol"][here], pin.partitions)
        for p in np.unique(partitions).tolist():
            least[pin.id, p] = int(part["offset"][here][partitions == p].min())
    return least


def _lean(columns: Columns) -> Columns:
    """Without the column that only says where in its batch a message stood."""
    arrays = {name: array for name, array in columns.arrays.items() if name != "record"}
    return Columns(columns.kind, columns.symbols, arrays, columns.levels)
