"""Drift against the vendor: receipt time less the vendor's own time, as the tape has them."""

from __future__ import annotations

import time

from tapedeck.slices import NS
from tapedeck.tape.follow import Chunk
from tapedeck.vendors import Chatter, Refusal, Vendor

LOOK_SECONDS = 1.0
LINES = 32
MINUTE = 60.0


class Skew:
    """The least of the present and the last minute's samples, a few lines a second: delays only add to it.

    Below 0 this machine's clock is behind the vendor's; a least that moves is a clock that drifts.
    """

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._next = 0.0
        self._began = time.monotonic()
        self._now: float | None = None
        self._before: float | None = None

    @property
    def seconds(self) -> float | None:
        """The least of it, in seconds; None where the vendor has said no time lately."""
        found = [one for one in (self._now, self._before) if one is not None]
        return min(found, default=None)

    def look(self, chunk: Chunk) -> None:
        """Sample a chunk of the tape, at most once a second."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        if now - self._began >= MINUTE:
            self._began, self._before, self._now = now, self._now, None
        for line in chunk.data[: 2**16].split(b"\n", LINES)[:LINES]:
            head, _, payload = line.partition(b" ")
            if head.isdigit() and len(head) < 20 and payload:
                self._sample(payload, int(head))

    def _sample(self, payload: bytes, recv_ns: int) -> None:
        try:
            said = self._vendor.normalise(payload, recv_ns, 1)
        except Exception:  # a fault in the vendor's code: publishing refuses the payload and says so
            return
        for one in said:
            if not isinstance(one, Refusal | Chatter) and one.ts_event:
                skew = (recv_ns - one.ts_event) / NS
                self._now = skew if self._now is None else min(self._now, skew)
