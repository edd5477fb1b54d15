"""The topic `md.<vendor>.quarantine`: what could not be published as a message, kept for ever.

A record's value is a MsgPack array `[payload, src, recv_ns, k, reason, redeemed, size]`, its key and its
partition (murmur2) are those of the decimal `src`. `(src, recv_ns, k)` names an entry: the payload's k-th
part, which as a message would have had `ts_recv = recv_ns + k`; that // 1_000_000 is the CreateTime. A
damaged line of the tape has the `recv_ns` of the line before and k = -(its place in the segment) - 1. A
later record of the same name with `redeemed` 1 says that this message is now in the log. `size` is the
payload's whole length where it was too long for Kafka and was cut here (the whole is on the tape), else 0.
The records lie in no order of time and no extent names them: all at or after t lie at or after
`offsets_for_times(t)`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from confluent_kafka import Consumer
from msgspec import Struct, structs

from tapedeck.log import client, topics
from tapedeck.log.meta import TopicPin
from tapedeck.log.plan import Range
from tapedeck.log.read import read_range
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice

MS = 1_000_000
CUT = 65_536
"""What is kept here of a payload that is too long for Kafka."""


class Entry(Struct, array_like=True, frozen=True):
    """One refused part of a payload, or the word that it was redeemed."""

    payload: bytes
    src: int
    recv_ns: int
    k: int
    reason: str
    redeemed: int = 0
    size: int = 0

    @property
    def name(self) -> tuple[int, int, int]:
        """What tells this entry from all others."""
        return self.src, self.recv_ns, self.k

    @property
    def ts_recv(self) -> int:
        """The receipt time (UTC ns) that the message would have had; a damaged line's own."""
        return self.recv_ns + max(0, self.k)

    @property
    def timestamp_ms(self) -> int:
        """The record's CreateTime."""
        return self.ts_recv // MS

    def redemption(self) -> Entry:
        """The record that says that this entry's message is now in the log."""
        return structs.replace(self, payload=b"", redeemed=1)


_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


def encode(entry: Entry, limit: int) -> bytes:
    """The record's value, its payload cut where the value would be longer than `limit` bytes."""
    value = _encode(entry)
    if len(value) <= limit:
        return value
    size = len(entry.payload)
    return _encode(structs.replace(entry, payload=entry.payload[: min(CUT, limit // 2)], size=size))


def key_of(src: int) -> bytes:
    """The key of all records of a source."""
    return str(src).encode()


def lane_of(pin: TopicPin, src: int) -> int:
    """The partition of all records of a source."""
    return partition_of(str(src), pin.partitions)


def read(settings: Settings, vendor: str, since: int = 0, src: int | None = None) -> Iterator[Entry]:
    """All records with ts_recv >= `since` (UTC ns), redemptions included, in each partition as they were
    written; of one source if given. Reads from the first such record to the end.

    A record that is none of ours comes as an entry of source 0 that says so.
    """
    pin = topics.verify(settings, vendor).quarantine
    partitions = range(pin.partitions) if src is None else [lane_of(pin, src)]
    with client.consumer(settings) as consumer:
        for p in partitions:
            r = _from(settings, consumer, pin, p, since)
            for records in read_range(settings, r):
                for i, value in enumerate(records.values):
                    entry = _decoded(value, int(records.timestamps_ms[i]), int(records.offsets[i]))
                    if entry.ts_recv >= since and (src is None or entry.src == src):
                        yield entry


def standing(settings: Settings, vendor: str, of: Slice | None = None, src: int | None = None) -> list[Entry]:
    """Entries that were never redeemed, each once, by ts_recv; those of a slice and source if given."""
    entries: dict[tuple[int, int, int], Entry] = {}
    redeemed = set()
    for entry in read(settings, vendor, of.start if of else 0, src):
        if entry.redeemed:
            redeemed.add(entry.name)
        elif of is None or of.start <= entry.ts_recv < of.end:
            entries.setdefault(entry.name, entry)
    left = [entry for name, entry in entries.items() if name not in redeemed]
    return sorted(left, key=lambda entry: (entry.ts_recv, entry.src))


def count(settings: Settings, vendor: str, of: Slice) -> int:
    """How many entries of the slice were never redeemed."""
    return len(standing(settings, vendor, of))


def _from(settings: Settings, consumer: Consumer, pin: TopicPin, p: int, since: int) -> Range:
    """The partition from the first record at or after `since` to its end."""
    low, high = client.watermarks(settings, consumer, pin.name, p)
    start = client.offsets_at(settings, consumer, pin.name, {p: since // MS})[p]
    return Range(
        topic=pin.name, topic_id=pin.id, number=pin.number, partition=p,
        start=high if start < 0 else max(low, start), stop=high,
        start_reason="exact", stop_reason="watermark",
    )  # fmt: skip


def _decoded(value: bytes, timestamp_ms: int, offset: int) -> Entry:
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, TypeError):
        return Entry(value or b"", 0, timestamp_ms * MS, offset % MS, "the record is no quarantined payload")
