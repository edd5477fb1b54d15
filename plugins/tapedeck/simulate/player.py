"""Plays messages onto a stage at their own pace × N."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tapedeck.simulate.ledger import Ledger
from tapedeck.slices import NS
from tapedeck.vendors import Vendor

_NAP = 0.05
"""Longest sleep in seconds, so that a request to stop is soon heard."""
_SHORTEST = 0.0005
"""Shortest sleep: at high rates what is due within it goes as one batch."""
_REPORT_EVERY = 4096


class Player:
    """Sends each message when it is due: `(recv_ns - first recv_ns) / speed` after the first one.

    All deadlines hang on the one instant at which the first message went, so that lateness never adds
    up: after a stall, what is overdue goes at once.
    """

    def __init__(
        self, send: Callable[[bytes], object], vendor: Vendor, ledger: Ledger, speed: float | None,
        progress: Callable[[int], None],
    ) -> None:  # fmt: skip
        """`speed` None: as fast as possible. `progress` is told the number sent, now and then."""
        self._send, self._vendor, self._ledger, self._speed = send, vendor, ledger, speed
        self._progress = progress
        self._anchor = self._first = 0
        self.sent = 0
        self.stopping = False
        """Set by a signal's handler: the play ends behind the message at hand, which is sent."""

    def play(self, source: Iterator[tuple[int, bytes]]) -> bool:
        """Play all of it, and count it in the ledger. False where it was told to stop before the end."""
        send, stream_of, sent = self._send, self._vendor.stream_of, self._ledger.sent
        horizon = 0 if self._speed else 2**63
        for recv_ns, payload in source:
            if recv_ns > horizon:
                horizon = self._wait_until_due(recv_ns)
            stream = stream_of(payload)
            if stream not in sent:
                self._ledger.know(stream, payload)
            send(payload)
            sent[stream] += 1
            self.sent += 1
            if self.sent % _REPORT_EVERY == 0:
                self._progress(self.sent)
            if self.stopping:
                return False
        return True

    def wait(self, seconds: float) -> None:
        """Hold everything for so long, or until told to stop."""
        until = time.monotonic() + seconds
        while not self.stopping and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _NAP))

    def _wait_until_due(self, recv_ns: int) -> int:
        """Sleep until that receipt time has come; gives the newest receipt time that is due."""
        assert self._speed is not None  # noqa: S101
        if not self._anchor:
            self._anchor, self._first = time.monotonic_ns(), recv_ns
        while True:
            due = self._first + int((time.monotonic_ns() - self._anchor) * self._speed)
            if due >= recv_ns or self.stopping:
                return due
            self._progress(self.sent)
            time.sleep(min(max((recv_ns - due) / self._speed / NS, _SHORTEST), _NAP))
