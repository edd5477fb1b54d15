"""Replaying in time: one clock with deadlines from one anchor, so that no error adds up, and what it cost.

A message that was received `d` after the replay's first is due `d / speed` after that one was sent. What
is late is sent at once; nothing after it moves. Lateness is taken when a message has been handed over.
"""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import numpy as np
from msgspec import Struct

from tapedeck.columns import Array
from tapedeck.errors import BadInput
from tapedeck.jobs.clock import Clock

AT_ONCE = 1_000
"""So many messages are handed over at most before the clock is looked at again."""
STEP_NS = 300_000
"""Due times that lie closer together than this wait for one another: a wake-up costs more."""
LONGEST_NAP = 1.0
ENDS = 1_000
"""So many hand-overs at the beginning and at the end are compared to see a drift."""
_EDGES = np.geomspace(1_000, 1e13, 601)
BARS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000)
"""The histogram's upper edges, ms."""
"""Bins of lateness, ns: each is 3.9 % wider than the one before."""
T = TypeVar("T")


class Lateness(Struct, frozen=True, kw_only=True):
    """How late messages were handed over, in ms; percentiles are exact to 4 %, `max` is exact.

    `drift`: the median at the end less that at the beginning.
    """

    messages: int
    p50: float
    p95: float
    p99: float
    max: float
    drift: float
    histogram: dict[str, int] = {}
    """So many messages by how late they were at most, in ms; `more` beyond the last."""


def parse_speed(text: str) -> float:
    """`max` is 0, else a number over 0: so many times real time. Raises BadInput."""
    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed <= 1e6:
        raise BadInput(
            f"a replay can't run at speed {text!r}: write max for as fast as possible, 1 for real time, or "
            "10 for ten times that"
        )
    return speed


class Pace:
    """The pace of one replay. `wait` is called with seconds while nothing is due; it may raise to leave."""

    def __init__(
        self, speed: float, wait: Callable[[float], object] = time.sleep, clock: Clock | None = None
    ) -> None:
        """`speed` as `parse_speed` gives it: 0 means that everything is due. `clock`: shared with others."""
        self.speed, self._wait, self._clock = speed, wait, clock or Clock()
        self._anchor = self._first = 0
        self._counts = np.zeros(len(_EDGES) + 1, np.int64)
        self._longest = 0
        self._firsts: list[float] = []
        self._lasts: deque[float] = deque(maxlen=ENDS)

    def send(self, ts: Array, hand_over: Callable[[int, int], object]) -> None:
        """Hand over messages first … last - 1 as they fall due; `ts` (int64, ns) ascends, also over calls."""
        if not len(ts):
            return
        if not self.speed:
            for at in range(0, len(ts), AT_ONCE):
                hand_over(at, min(at + AT_ONCE, len(ts)))
            return
        if self._clock.hours is not None:
            ts = self._clock.hours.passed(ts)
        if not self._anchor:
            self._anchor, self._first = self._clock.begin(int(ts[0]))
        due = self._anchor + ((ts - self._first) / self.speed).astype(np.int64)
        at = 0
        while at < len(due):
            now = time.monotonic_ns()
            end = min(int(np.searchsorted(due, now, "right")), at + AT_ONCE)
            if end <= at:
                ahead = int(due[at]) - now
                self._wait(min(max(ahead, STEP_NS) / 1e9, LONGEST_NAP))
                continue
            hand_over(at, end)
            self._note(time.monotonic_ns() - due[at:end])
            at = end

    def end(self) -> None:
        """Nothing more is sent; others that share the clock do not wait for what has sent nothing."""
        if self.speed and not self._anchor:
            self._clock.leave()

    def _note(self, late: Array) -> None:
        self._counts += np.bincount(np.searchsorted(_EDGES, late), minlength=len(self._counts))
        self._longest = max(self._longest, int(late.max()))
        middle = float(late[len(late) // 2])
        if len(self._firsts) < ENDS:
            self._firsts.append(middle)
        self._lasts.append(middle)

    def lateness(self) -> Lateness | None:
        """What it was like; None where nothing was paced."""
        total = int(self._counts.sum())
        if not total:
            return None
        upto = np.cumsum(self._counts)

        def percentile(share: float) -> float:
            edge = int(np.searchsorted(upto, share * total))
            return round(min(float(_EDGES[min(edge, len(_EDGES) - 1)]), self._longest) / 1e6, 3)

        drift = float(np.median(self._lasts) - np.median(self._firsts))
        return Lateness(
            messages=total, p50=percentile(0.5), p95=percentile(0.95), p99=percentile(0.99),
            max=round(self._longest / 1e6, 3), drift=round(drift / 1e6, 3), histogram=self._histogram(),
        )  # fmt: skip

    def _histogram(self) -> dict[str, int]:
        """By `BARS`: a bin of 4 % counts where its upper edge lies; bars of none are left out."""
        bars = np.searchsorted(np.array(BARS) * 1e6, np.append(_EDGES, np.inf))
        counts = np.bincount(bars, self._counts, len(BARS) + 1).astype(int).tolist()
        names = [*(f"{bar:g}" for bar in BARS), "more"]
        return {name: count for name, count in zip(names, counts, strict=True) if count}


class Cap:
    """Holds a reader at so many records a second, on average from its beginning on; 0 = as many as it can."""

    def __init__(self, rate: int, wait: Callable[[float], object] = time.sleep) -> None:
        self._rate, self._wait = rate, wait
        self._since, self._taken = time.monotonic(), 0

    def took(self, records: int) -> None:
        """So many more were read: wait until that was not too many."""
        if self._rate:
            self._taken += records
            ahead = self._taken / self._rate - (time.monotonic() - self._since)
            if ahead > 0:
                self._wait(ahead)


@contextmanager
def ahead(source: Iterable[T]) -> Generator[Iterator[T]]:
    """Read one item ahead in a thread of its own, so that reading does not make sending late."""
    passed: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(1)
    left = threading.Event()

    def put(item: T | None, error: BaseException | None = None) -> None:
        while not left.is_set():
            with suppress(queue.Full):
                passed.put((item, error), timeout=0.2)
                return

    def read() -> None:
        try:
            for item in source:
                put(item)
                if left.is_set():
                    return
            put(None)
        except BaseException as e:
            put(None, e)

    def items() -> Iterator[T]:
        while True:
            item, error = passed.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    thread = threading.Thread(target=read, daemon=True)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)  # 5 ms, the default, is what a sender may be late altogether
    thread.start()
    try:
        yield items()
    finally:
        left.set()
        thread.join()
        sys.setswitchinterval(interval)
