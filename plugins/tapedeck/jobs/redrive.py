"""Quarantine, tried again with today's code: what was refused is published, what was undecodable rebuilt.

What the publisher or a loader refused goes into the backfill topic under its own name (src, recv_ns + k), so
that it can never be there twice, and is then redeemed. What the log holds already is a rebuild of its
windows, and its entry in MongoDB is marked. Killed at any point it can be run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import TypeVar

from msgspec import Struct

from tapedeck import vendors
from tapedeck.log import client, meta, quarantine, topics
from tapedeck.log.decode import Decoded, Undecodable, decode_records
from tapedeck.log.meta import TopicPin, VendorTopics
from tapedeck.log.plan import Range
from tapedeck.log.quarantine import Entry
from tapedeck.log.read import Records, read
from tapedeck.log.timeline import timeline
from tapedeck.message import Message, encode
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import undecodable
from tapedeck.store.rebuild import rebuild
from tapedeck.tape import lock
from tapedeck.tape.history import History
from tapedeck.tape.lines import normalised
from tapedeck.tape.sender import Sender
from tapedeck.vendors import Chatter, Refusal, Vendor

MS = 1_000_000
NEAR = 600 * NS
"""Payloads, and records, that lie no further apart than this are looked up, and rebuilt, together."""

Progress = Callable[[int], None]
T = TypeVar("T")


class Redriven(Struct, frozen=True, kw_only=True):
    """What was done. Entries = `redeemed` + `refused`; records of the log = `decoded` + `undecodable`."""

    published: int = 0
    """Messages that are in the log now and were not before."""
    redeemed: int = 0
    refused: int = 0
    """Entries that today's code can't make messages of either, or whose payload is not whole here."""
    decoded: int = 0
    undecodable: int = 0
    """Records that can't be decoded today either, or that Kafka has deleted."""
    windows: int = 0
    """Windows that were written anew."""


def redrive(settings: Settings, vendor: str, progress: Progress = lambda entries: None) -> Redriven:
    """Try all that is in quarantine again; `progress` is told of so many more entries looked at.

    Raises BadInput where a load or another redrive of the same source is at work, Unavailable.
    """
    pinned = topics.ensure(settings, vendor)
    published = redeemed = refused = 0
    for src in sorted({entry.src for entry in quarantine.standing(settings, vendor)}):
        done = _Source(settings, vendor, pinned, src).run(progress)
        published, redeemed, refused = published + done[0], redeemed + done[1], refused + done[2]
    decoded, still, windows = _rebuilt(settings, vendor, progress)
    return Redriven(
        published=published, redeemed=redeemed, refused=refused, decoded=decoded, undecodable=still,
        windows=windows,
    )  # fmt: skip


class _Source:
    """The entries of one source."""

    def __init__(self, settings: Settings, vendor: str, pinned: VendorTopics, src: int) -> None:
        self._settings, self._vendor, self._pinned, self._src = settings, vendor, pinned, src
        self._spoken: Vendor = vendors.get(vendor)

    def run(self, progress: Progress) -> tuple[int, int, int]:
        """Published, redeemed, still refused."""
        settings = self._settings
        role = f"load of {self._vendor}-{self._src}"
        with (
            lock.held(settings.state / "load", role, remedy="or wait until it is done"),
            client.consumer(settings) as consumer,
        ):
            standing = quarantine.standing(settings, self._vendor, src=self._src)
            history = History(settings, consumer, self._pinned.backfill, self._vendor, self._src)
            names = history.names()  # closes the extent of a redrive that was killed
            outbox = Sender(settings, self._pinned, self._src, history)
            published = 0
            redemptions: list[Entry] = []
            try:
                for payload in self._payloads(standing):
                    entries = {entry.k: entry for entry in payload}
                    for k, message, value in self._said(payload[0], outbox.limit):
                        at = payload[0].recv_ns + k
                        if not names.has(at) and at not in self._known:
                            outbox.publish(message, value, at)
                            published += 1
                        if k in entries:
                            redemptions.append(entries[k].redemption())
                    outbox.poll()
                    progress(len(payload))
                outbox.finish()  # a redemption says that the message is in the log
                for redemption in redemptions:
                    outbox.refuse(redemption)
                outbox.drain()
            finally:
                outbox.close()
        return published, len(redemptions), len(standing) - len(redemptions)

    def _payloads(self, standing: Iterable[Entry]) -> Iterator[list[Entry]]:
        """The entries of each payload, in order; `_known` then names what of it came through before."""
        by_payload = sorted(standing, key=lambda entry: (entry.recv_ns, entry.k))
        # a damaged line (k < 0) bears the time of the line before it, and is a payload of its own
        whole = [list(group) for _, group in groupby(by_payload, key=lambda e: (e.recv_ns, min(e.k, 0)))]
        for near in _near(whole, lambda payload: payload[0].recv_ns):
            self._known = self._came_through(near)
            yield from near

    def _came_through(self, payloads: list[list[Entry]]) -> frozenset[int]:
        """Receipt times of this source in the log, where payloads say more than what was refused."""
        said = [(payload, self._said(payload[0], 2**63)) for payload in payloads]
        more = [
            payload for payload, parts in said if {k for k, _, _ in parts} - {entry.k for entry in payload}
        ]
        if not more:
            return frozenset()
        end = max(payload[0].recv_ns + len(payload[0].payload) for payload in more) + 1
        reading = timeline(self._vendor, self._settings).between(more[0][0].recv_ns, end, everything=True)
        found: set[int] = set()
        for batch in reading.batches():
            for columns in batch.values():
                found.update(columns["ts_recv"][columns["src"] == self._src].tolist())
        return frozenset(found)

    def _said(self, entry: Entry, limit: int) -> list[tuple[int, Message, bytes]]:
        """What today's code makes of the payload: each message with its k."""
        if entry.k < 0 or entry.size or not entry.src:
            return []  # a damaged line, a payload that was cut, a record that was none of ours
        parts = normalised(self._spoken, entry.payload, entry.recv_ns, self._src)
        messages = []
        for k, one in enumerate(part for part in parts if not isinstance(part, Chatter)):
            if not isinstance(one, Refusal) and len(value := encode(one)) <= limit:
                messages.append((k, one, value))
        return messages


def _rebuilt(settings: Settings, vendor: str, progress: Progress) -> tuple[int, int, int]:
    """Records that can be decoded now, those that can't, and windows written anew."""
    known = meta.read(settings).topics(vendor)
    pins = {pin.id: pin for pin in known.log}
    standing = undecodable.standing(settings, vendor)
    decoded = windows = 0
    for (topic_id, partition), group in groupby(standing, key=lambda u: (u.topic_id, u.partition)):
        entered = {u.offset: u for u in group}
        pin = pins.get(topic_id)
        sound = _sound(settings, pin, partition, entered) if pin else {}
        spans = [(span, entered[offset]) for offset, span in sound.items()]
        for near in _near(sorted(spans, key=lambda one: one[0]), lambda one: one[0].start):
            of = Slice(near[0][0].start, max(span.end for span, _ in near))
            windows += rebuild(settings, vendor, of, [partition % known.groups], by="redrive").written
            undecodable.mark(settings, [u for _, u in near], datetime.now(UTC))
        decoded += len(sound)
        progress(len(entered))
    return decoded, len(standing) - decoded, windows


def _sound(
    settings: Settings, pin: TopicPin, partition: int, entered: dict[int, Undecodable]
) -> dict[int, Slice]:
    """Of these offsets those that can be decoded now, and the time that each speaks of."""
    low, high = client.bounds(settings, [(pin.name, partition)])[pin.name, partition]
    ranges = []
    for near in _near([o for o in sorted(entered) if low <= o < high], lambda offset: offset, 1000):
        ranges.append(
            Range(
                topic=pin.name, topic_id=pin.id, number=pin.number, partition=partition, start=near[0],
                stop=near[-1] + 1, start_reason="exact", stop_reason="exact",
            )
        )  # fmt: skip
    found: dict[int, Slice] = {}
    for records in read(settings, ranges):
        found.update(_spans(records, decode_records(records, pin.partitions), entered))
    return found


def _spans(
    records: Records, decoded: Decoded, entered: dict[int, Undecodable]
) -> Iterator[tuple[int, Slice]]:
    bad = {u.offset for u in decoded.undecodable}
    voids = decoded.voids
    meant = {} if voids is None else dict(zip(voids["offset"].tolist(), voids["end"].tolist(), strict=True))
    for offset, ms in zip(records.offsets.tolist(), records.timestamps_ms.tolist(), strict=True):
        if offset in entered and offset not in bad:
            yield offset, Slice(ms * MS, max(ms * MS + MS, meant.get(offset, 0)))


def _near(items: Iterable[T], place: Callable[[T], int], most: int = NEAR) -> Iterator[list[T]]:
    """Runs of items in order, each no further than `most` behind the one before."""
    run: list[T] = []
    for item in items:
        if run and place(item) - place(run[-1]) > most:
            yield run
            run = []
        run.append(item)
    if run:
        yield run
