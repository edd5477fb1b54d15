"""Bus to acknowledgement: how long after its receipt Kafka had a record, and all before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tapedeck.metrics import Buckets
from tapedeck.slices import NS

MOST_MARKS = 4096


class Latency:
    """Counted a chunk of the tape at a time, in `buckets`, so that it costs a record nothing."""

    def __init__(self) -> None:
        self.buckets = Buckets()
        self._marks: deque[tuple[list[int], int, int]] = deque()
        self._total = 0

    def mark(self, produced: Sequence[int], stamp: int) -> None:
        """By lane, so many records were handed over, the last of them received at `stamp` (UTC ns).

        Where more is on its way than can be told apart, what is new counts with the last that could, which
        is older.
        """
        records = sum(produced) - self._total
        if not records:
            return
        self._total += records
        if len(self._marks) >= MOST_MARKS:
            _, more, stamp = self._marks.pop()
            records += more
        self._marks.append((list(produced), records, stamp))

    def take(self, acknowledged: Sequence[int], now: int) -> None:
        """By lane, so many records are acknowledged at `now` (UTC ns)."""
        marks = self._marks
        while marks and all(a >= p for a, p in zip(acknowledged, marks[0][0], strict=True)):
            _, records, stamp = marks.popleft()
            self.buckets.add(max(0, now - stamp) / NS, records)
