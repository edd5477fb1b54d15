"""Publishing into an extent of the backfill topic, with the quarantine topic beside it."""

from __future__ import annotations

import time

from tapedeck.errors import Unavailable
from tapedeck.log import quarantine
from tapedeck.log.meta import Extent, VendorTopics
from tapedeck.log.produce import Outbox, Target, value_limits
from tapedeck.log.quarantine import Entry
from tapedeck.message import WHOLE_FEED, Heartbeat, Message, Void, encode
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice
from tapedeck.tape.history import History

MS = 1_000_000
STALL_SECONDS = 60.0
"""How long Kafka may acknowledge nothing before a load gives up; it can then be run again."""


class Sender:
    """Publishes into an extent that is opened by the first message and closed by `finish`."""

    def __init__(self, settings: Settings, pinned: VendorTopics, src: int, history: History) -> None:
        self._settings, self._history, self._src = settings, history, src
        self._partitions = pinned.backfill.partitions
        self._key = quarantine.key_of(src)
        self._extent: Extent | None = None
        self._first, self._last = 2**63 - 1, 0
        limits = value_limits(settings, [pinned.backfill.name, pinned.quarantine.name])
        self.limit = limits[pinned.backfill.name]
        self._quarantine_limit = limits[pinned.quarantine.name]
        targets = [Target(pinned.backfill.name, p) for p in range(self._partitions)]
        targets.append(Target(pinned.quarantine.name, quarantine.lane_of(pinned.quarantine, src)))
        self._outbox = Outbox(settings, targets, self._wait)
        self._progress = 0, time.monotonic()

    def publish(self, message: Message, value: bytes, ts_recv: int) -> None:
        """One message; a "*" one goes to every partition."""
        self._opened(ts_recv, ts_recv)
        key = message.symbol.encode()
        for lane in self._lanes(message.symbol):
            self._outbox.send(lane, value, key, ts_recv // MS)

    def void(self, of: Slice, symbol: str, reason: str) -> None:
        """Say that what this source has in the slice (of "*": of all symbols) is no data.

        In the backfill topic only what came before this sender's extent is meant; what it publishes stands.
        """
        begins = self._opened(of.start, of.end - 1).start
        for lane in self._lanes(symbol):
            void = Void(symbol, 0, of.start, 0, 0, self._src, of.end, begins[lane], reason)
            self._outbox.send(lane, encode(void), symbol.encode(), of.start // MS)

    def answer(self, first: int, last: int) -> None:
        """Say that this source heard all that there was from `first` to `last` (UTC ns, both included)."""
        self._opened(first, last)
        value = encode(Heartbeat(WHOLE_FEED, 0, last, 0, 0, self._src, first))
        for lane in self._lanes(WHOLE_FEED):
            self._outbox.send(lane, value, WHOLE_FEED.encode(), last // MS)

    def refuse(self, entry: Entry) -> None:
        """One record of the quarantine topic."""
        value = quarantine.encode(entry, self._quarantine_limit)
        self._outbox.send(self._partitions, value, self._key, entry.timestamp_ms)

    def poll(self) -> None:
        """Take acknowledgements."""
        self._outbox.poll(0)

    def drain(self) -> None:
        """Return when all is acknowledged."""
        self._outbox.drain()

    def cover(self, first: int, last: int) -> None:
        """The source answers for these times too (UTC ns), though it said nothing at them."""
        self._first, self._last = min(self._first, first), max(self._last, last)

    def finish(self) -> None:
        """Return when all is acknowledged and the extent is closed."""
        self.drain()
        if self._extent is not None:
            self._history.end(self._extent, self._first, self._last)

    def close(self) -> None:
        """Let go of Kafka."""
        self._outbox.close()

    def _opened(self, first: int, last: int) -> Extent:
        """The extent, which now reaches over these times."""
        self._first, self._last = min(self._first, first), max(self._last, last)
        if self._extent is None:
            self._extent = self._history.begin()
        return self._extent

    def _lanes(self, symbol: str) -> range:
        """Where records of a symbol go."""
        if symbol == WHOLE_FEED:
            return range(self._partitions)
        home = partition_of(symbol, self._partitions)
        return range(home, home + 1)

    def _wait(self) -> None:
        """Called while Kafka keeps the load waiting."""
        done, since = self._progress
        acknowledged = sum(self._outbox.acknowledged)
        if acknowledged > done:
            self._progress = acknowledged, time.monotonic()
        elif time.monotonic() - since > STALL_SECONDS:
            raise Unavailable(
                f"Kafka has acknowledged nothing for {STALL_SECONDS:.0f} s "
                f"({self._outbox.trouble or 'it is silent'}): look at `tapedeck status`, then load "
                "again; what came through is not published twice"
            )
