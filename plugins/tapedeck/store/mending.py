"""What came late, what history and voids touch, and what was let go: built again from the log, in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, parse_duration
from tapedeck.store.held import Held, Mend
from tapedeck.store.rebuild import RECORDS, rebuild_partition
from tapedeck.store.rebuilt import Key
from tapedeck.store.report import Report

PATIENCE = 10
"""Late messages that keep coming are mended after so many times `writer.late_every`."""
RECORD_BYTES = 256
"""About what a decoded record takes until its window is built."""


@dataclass(slots=True)
class Mender:
    """Rebuilds windows for a writer. An hour that comes late at once is one pass over its partition's log,
    as long as it fits in what `writer.memory_bytes` leaves."""

    settings: Settings
    vendor: str
    by: str
    done: Report
    turned: Callable[[], None]
    """Called between two stretches."""
    since: dict[int, tuple[float, float]] = field(default_factory=dict)
    """By partition, when the first and the newest late message came (monotonic seconds)."""

    def noticed(self, partition: int) -> None:
        """Something came late just now."""
        now = time.monotonic()
        first, _ = self.since.get(partition, (now, now))
        self.since[partition] = (first, now)

    def due(self, held: Held) -> None:
        """Mend what came late, once it has paused or gone on for long."""
        if not held.late:
            return
        every = parse_duration(self.settings.writer.late_every) / NS
        now = time.monotonic()
        first, newest = self.since.setdefault(held.partition, (now, now))
        if now - newest >= every or now - first >= PATIENCE * every:
            self.mend(held, held.late)
            held.late = Mend()
            del self.since[held.partition]

    def mend(self, held: Held, mend: Mend) -> None:
        """Rebuild the windows from the log, stretch by stretch."""
        longest = max(held.windows.values())
        for of, keys in _stretches(mend.keys, held.windows, longest):
            self._rebuild(held, of, frozenset(keys), mend)
        for of in _merged(mend.sweeps, longest):
            self._rebuild(held, of, None, mend)

    def _rebuild(self, held: Held, of: Slice, only: frozenset[Key] | None, mend: Mend) -> None:
        left = self.settings.writer.memory_bytes - self.done.memory
        done = rebuild_partition(
            self.settings, self.vendor, of, held.partition, only=only, late=mend.spans, by=self.by,
            records=max(RECORDS // 10, left // RECORD_BYTES),
        )  # fmt: skip
        self.done.mended += done.written
        self.turned()


def _stretches(
    keys: Iterable[Key], windows: dict[str, int], longest: int
) -> Iterable[tuple[Slice, list[Key]]]:
    """Keys that lie close together in time, with the slice that they span."""
    group: list[Key] = []
    end = 0
    for key in sorted(keys, key=lambda k: k[2]):
        if group and key[2] > end + longest:
            yield Slice(group[0][2], end), group
            group, end = [], 0
        group.append(key)
        end = max(end, key[2] + windows[key[0]])
    if group:
        yield Slice(group[0][2], end), group


def _merged(slices: Iterable[Slice], longest: int) -> Iterable[Slice]:
    """Slices that lie close together as one."""
    merged: list[Slice] = []
    for one in sorted(slices):
        if merged and one.start <= merged[-1].end + longest:
            merged[-1] = Slice(merged[-1].start, max(merged[-1].end, one.end))
        else:
            merged.append(one)
    return merged
