"""Captured files into `md.<vendor>.backfill`, with their own receipt times, each message once by its name."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from tapedeck import vendors
from tapedeck.errors import Unavailable
from tapedeck.log import client, quarantine, topics
from tapedeck.log.meta import Extent, VendorTopics
from tapedeck.log.produce import Outbox, Target, value_limits
from tapedeck.log.quarantine import Entry
from tapedeck.message import KIND_OF, WHOLE_FEED, Message, encode
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.tape import capture, lock
from tapedeck.tape.capture import Capture
from tapedeck.tape.history import History, Names
from tapedeck.tape.lines import TOO_LONG
from tapedeck.vendors import Chatter, Refusal, Vendor

MS = 1_000_000
STALL_SECONDS = 60.0
"""How long Kafka may acknowledge nothing before the load gives up; it can then be run again."""
POLL_LINES = 1000

Progress = Callable[[int], None]


class Loaded(Struct, frozen=True):
    """What a load did with one file.

    `messages` published by kind, `refused` newly quarantined by reason, `chatter` by name; `present` came
    through before (messages and refusals), `redeemed` are quarantined payloads that are messages now.
    """

    file: str
    src: int
    messages: dict[str, int]
    refused: dict[str, int]
    chatter: dict[str, int]
    present: int
    redeemed: int


def check(vendor: str, paths: Sequence[Path], symbol: str | None = None) -> list[Capture]:
    """The files, each read whole. Raises BadInput for the first that can't be loaded; publishes nothing."""
    spoken = vendors.get(vendor)
    return [capture.check(path, spoken, symbol) for path in paths]


def load(
    settings: Settings,
    vendor: str,
    file: Capture,
    symbol: str | None = None,
    progress: Progress = lambda lines: None,
) -> Loaded:
    """Publish what of the file did not come through before; returns when Kafka has acknowledged all.

    `symbol` is what payloads that name none are about; it redeems them where they were refused.
    `progress` is told how many lines are done. Killed at any point it can be run again: the
    extent that it left open is read and closed, and what is missing is published in one of its own. A
    load of the same file at the same time on another machine does no harm but resends.
    Raises Unavailable where Kafka fails or stalls, BadInput where this file is being loaded now.
    """
    spoken = vendors.get(vendor)
    pinned = topics.ensure(settings, vendor)
    with lock.held(
        settings.state / "load", f"load of {vendor}-{file.src}", remedy="or wait until it is done"
    ), client.consumer(settings) as consumer:  # fmt: skip
        history = History(settings, consumer, pinned.backfill, vendor, file.src)
        names = history.names()
        refused = _Refused(settings, vendor, file)
        outbox = _Sender(settings, pinned, file.src, history)
        try:
            done = _walk(file, spoken, symbol, names, refused, outbox, progress)
            outbox.finish()
        finally:
            outbox.close()
    return done


def _walk(
    file: Capture,
    vendor: Vendor,
    symbol: str | None,
    names: Names,
    refused: _Refused,
    outbox: _Sender,
    progress: Progress,
) -> Loaded:
    """Every line of the file against what came through before."""
    messages: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    chatter: Counter[str] = Counter()
    present = 0
    redemptions = []
    for number, (stamp, payload, said) in enumerate(capture.walk(file, vendor, symbol), 1):
        k = 0
        for one in said:
            if isinstance(one, Chatter):
                chatter[one.name] += 1
                continue
            there = names.has(stamp + k)
            value = b"" if isinstance(one, Refusal) else encode(one)
            if isinstance(one, Refusal) or len(value) > outbox.limit:
                reason = one.reason if isinstance(one, Refusal) else TOO_LONG
                if there or (stamp, k) in refused.known:
                    present += 1
                else:
                    outbox.refuse(Entry(payload, file.src, stamp, k, reason))
                    reasons[reason] += 1
            else:
                if there:
                    present += 1
                else:
                    outbox.publish(one, value, stamp + k)
                    messages[KIND_OF[type(one)]] += 1
                if entry := refused.standing.pop((stamp, k), None):
                    redemptions.append(entry.redemption())
            k += 1
        if number % POLL_LINES == 0:
            outbox.poll()
            progress(number)
    if redemptions:
        outbox.drain()  # a redemption says that the message is in the log
        for redemption in redemptions:
            outbox.refuse(redemption)
    return Loaded(
        str(file.path), file.src, dict(messages), dict(reasons), dict(chatter), present, len(redemptions)
    )


class _Refused:
    """What of this file is in quarantine: `known` names all, `standing` those never redeemed."""

    def __init__(self, settings: Settings, vendor: str, file: Capture) -> None:
        entries: dict[tuple[int, int], Entry] = {}
        redeemed = set()
        for entry in quarantine.read(settings, vendor, file.first, file.src):
            name = entry.recv_ns, entry.k
            if entry.redeemed:
                redeemed.add(name)
            else:
                entries.setdefault(name, entry)
        self.known = frozenset(entries)
        self.standing = {name: entry for name, entry in entries.items() if name not in redeemed}


class _Sender:
    """Publishes into an extent that is opened by the first message and closed by `finish`."""

    def __init__(self, settings: Settings, pinned: VendorTopics, src: int, history: History) -> None:
        self._settings, self._history = settings, history
        self._partitions = pinned.backfill.partitions
        self._key = quarantine.key_of(src)
        self._extent: Extent | None = None
        self._first, self._last = 0, 0
        limits = value_limits(settings, [pinned.backfill.name, pinned.quarantine.name])
        self.limit = limits[pinned.backfill.name]
        self._quarantine_limit = limits[pinned.quarantine.name]
        targets = [Target(pinned.backfill.name, p) for p in range(self._partitions)]
        targets.append(Target(pinned.quarantine.name, quarantine.lane_of(pinned.quarantine, src)))
        self._outbox = Outbox(settings, targets, self._wait)
        self._progress = 0, time.monotonic()

    def publish(self, message: Message, value: bytes, ts_recv: int) -> None:
        """One message; a "*" one goes to every partition."""
        if self._extent is None:
            self._extent = self._history.begin()
            self._first = ts_recv
        self._last = ts_recv
        key = message.symbol.encode()
        if message.symbol == WHOLE_FEED:
            lanes = range(self._partitions)
        else:
            home = partition_of(message.symbol, self._partitions)
            lanes = range(home, home + 1)
        for lane in lanes:
            self._outbox.send(lane, value, key, ts_recv // MS)

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

    def finish(self) -> None:
        """Return when all is acknowledged and the extent is closed."""
        self.drain()
        if self._extent is not None:
            self._history.end(self._extent, self._first, self._last)

    def close(self) -> None:
        """Let go of Kafka."""
        self._outbox.close()

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
