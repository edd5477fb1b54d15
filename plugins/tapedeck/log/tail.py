"""Following a vendor's live topics from a time on."""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import KafkaException

from tapedeck.errors import Incomplete, Mismatch, Unavailable
from tapedeck.log import client, meta, topics
from tapedeck.log.client import Place
from tapedeck.log.decode import Decoded, decode_records
from tapedeck.log.fetch import Batch, Event, Fetcher, fetcher
from tapedeck.log.lost import holes, refuse
from tapedeck.log.meta import Life, TopicPin
from tapedeck.log.plan import Range
from tapedeck.log.read import Records, damaged
from tapedeck.log.seams import Seams
from tapedeck.log.turns import Turns
from tapedeck.log.watching import MetaChanges
from tapedeck.message import KINDS, Book, Message, Status
from tapedeck.partitions import partition_of
from tapedeck.rows import messages_of
from tapedeck.settings import Settings
from tapedeck.slices import NS, parse_duration

MOST = 10_000
LIKES = 400_000
"""How many messages are remembered at most, over all partitions, to know copies of them."""
IDENTITY_SECONDS = 5.0
META_SECONDS = 1.0
PASSING = frozenset(
    {
        "_PARTITION_EOF", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_TIMED_OUT", "REQUEST_TIMED_OUT",
        "NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "BROKER_NOT_AVAILABLE", "NETWORK_EXCEPTION",
        "REPLICA_NOT_AVAILABLE", "KAFKA_STORAGE_ERROR", "OFFSET_NOT_AVAILABLE",
    }
)  # fmt: skip
"""Errors of a broker that is away or starts again: librdkafka goes on by itself."""


@dataclass(frozen=True, slots=True)
class Behind:
    """How far a tail is behind the log's end: records not yet read, and ns since the last time it showed."""

    records: int
    ns: int


@dataclass(slots=True)
class _Lane:
    """What is known of one partition."""

    pin: TopicPin
    partition: int
    position: int
    shown: int
    last: dict[int, int]
    """By source, the stamp of its last message: its stamps strictly increase. At first the stamp at which it
    moved here from another topic, less 1: what it has before that came there before."""
    likes: OrderedDict[tuple[object, ...], _Like]
    """Of its partition group: a vendor's collectors do not all move to a new topic at once."""
    older: tuple[_Lane, ...]
    """Where its symbols are in the topics before this one. A publisher that was killed may move at a line
    which it had passed there, and then sends what came behind it again, here."""
    turns: Turns | None = None
    """Whose messages without seq are handed out."""


@dataclass(slots=True)
class _Like:
    """Messages of one seq: when the last one came, how many were handed out, how many of each source."""

    time: int
    out: int = 0
    of: dict[int, int] = field(default_factory=dict)


class Tail:
    """Messages with ts_recv >= start (UTC ns) as they come, without end.

    What is published is read once from there on, so between the past and the present there is no seam; nor is
    there where the vendor grows: a new topic is read behind what the old ones hold by then, and what a source
    says in it behind what it said in the one that it left. In order within a partition (of several, as they
    come). Left out are resends, copies of what another source has shown within
    the vendor's margin (where `seq` tells, of two sources whoever is first stays; without it those of the
    lowest that listens stay, see `log.turns`; while one source has moved to a new topic and another has not
    those of both), control records, and what can't be decoded: `cat --count` counts it. A broker may end and
    begin again meanwhile. Raises Incomplete where Kafka deleted what was not yet read, Mismatch for a topic
    that is not as pinned, Unavailable where Kafka fails otherwise.
    """

    def __init__(
        self,
        settings: Settings,
        vendor: str,
        start: int,
        symbols: Collection[str] = (),
        kinds: Sequence[str] = KINDS,
    ) -> None:
        self._settings, self._vendor, self._start = settings, vendor, start
        self._symbols, self._kinds = frozenset(symbols), frozenset(kinds)
        self._margin = parse_duration(settings.vendor(vendor).margin)
        self._changes = MetaChanges(settings)
        known = meta.read(settings)
        pinned = topics.verify(settings, vendor, known)
        lives = [life for life in known.lives if life.vendor == vendor]
        self._several = len({life.src for life in lives if life.closed is None or life.closed >= start}) > 1
        self._groups = pinned.groups
        self._likes: dict[int, OrderedDict[tuple[object, ...], _Like]] = {}
        self._alone: defaultdict[int, deque[tuple[str, Message]]] = defaultdict(deque)
        """By partition group, what the only source said within the margin: who begins has copies of it."""
        self._lanes: dict[Place, _Lane] = {}
        self._highs: dict[Place, int] = {}
        self._later: deque[dict[Place, _Lane]] = deque()
        """Partitions of newer topics, which are read once those of the older ones were read to `_ends`."""
        self._ends: dict[Place, int] = {}
        self._held: dict[Place, dict[Place, int]] = {}
        """Partitions that are not read on before others are read through to these offsets: there a source
        left for this one."""
        self._seams = Seams(settings, vendor, known, pinned.groups)
        self._grow(known)
        self._most_likes = max(1, LIKES // max(1, len(self._likes)))

    def __iter__(self) -> Iterator[Message]:
        """Message after message, waiting for each."""
        for batch in self.batches():
            yield from batch

    @property
    def behind(self) -> Behind:
        """How far the tail is behind now."""
        lanes = {**self._lanes, **{place: lane for part in self._later for place, lane in part.items()}}
        left = {place: self._highs.get(place, 0) - lane.position for place, lane in lanes.items()}
        late = [lanes[place].shown for place, records in left.items() if records > 0]
        return Behind(
            sum(max(0, records) for records in left.values()), time.time_ns() - min(late) if late else 0
        )

    def batches(self) -> Iterator[list[Message]]:
        """Messages as they come, many at once; an empty list where nothing has come for a moment."""
        next_look, next_ask, changed = time.monotonic() + IDENTITY_SECONDS, time.monotonic(), False
        with fetcher(self._settings, **{"fetch.wait.max.ms": 100}) as source:
            assigned: set[Place] = set()
            while True:
                if self._later and self._has_come_so_far():
                    self._lanes |= self._later.popleft()
                    self._ends = {}
                wanted = self._wanted()
                if wanted.keys() != assigned:
                    source.assign(wanted)
                    assigned = {*wanted}
                batches, events = source.fetch(MOST, 0.05)
                for batch in batches:
                    yield self._taken(source, batch)
                if not self._held.keys().isdisjoint(assigned):
                    assigned = set()  # what was fetched past where they are held is fetched once more
                for event in events:
                    self._look_at(event)
                if not batches:
                    yield []
                if time.monotonic() >= next_ask:
                    next_ask = time.monotonic() + META_SECONDS
                    changed = changed or self._changes.seen()
                    if changed:
                        with suppress(Unavailable):  # Kafka is away: the tail waits for it, and asks again
                            self._grow(meta.read(self._settings))
                            changed = False
                if time.monotonic() >= next_look:
                    self._look_again()
                    next_look = time.monotonic() + IDENTITY_SECONDS

    def _grow(self, known: meta.Meta) -> None:
        """Have the partitions of live topics that are not yet followed; the oldest are begun with at once."""
        lanes = [*self._lanes.values(), *(lane for part in self._later for lane in part.values())]
        have = {lane.pin.id for lane in lanes}
        for pin in known.topics(self._vendor).live:
            if pin.id not in have:
                self._later.append(self._begin(pin, known.lives))
        if not self._lanes:
            self._lanes = self._later.popleft()

    def _has_come_so_far(self) -> bool:
        """Whether all is read that the partitions followed held when the newer topic's were waiting first."""
        if not self._ends:
            with suppress(Unavailable):  # away: asked again, and nothing newer is read before
                bounds = client.bounds(self._settings, self._lanes)
                self._ends = {place: high for place, (_, high) in bounds.items()}
        return bool(self._ends) and all(self._lanes[p].position >= end for p, end in self._ends.items())

    def _begin(self, pin: TopicPin, lives: Sequence[Life]) -> dict[Place, _Lane]:
        """Each partition from its first record at or past the start on; where there is none, from its end."""
        wanted = {partition_of(symbol, pin.partitions) for symbol in self._symbols} or range(pin.partitions)
        bounds = client.bounds(self._settings, [(pin.name, p) for p in wanted])  # before the times are asked
        with client.consumer(self._settings) as consumer:
            asked = dict.fromkeys(wanted, self._start // 1_000_000)
            found = client.offsets_at(self._settings, consumer, pin.name, asked)
        moved: dict[int, int] = {}
        for life in lives:  # in order of time
            if life.topic_id == pin.id:
                moved.setdefault(life.src, life.since if life.moved else 0)
        lanes: dict[Place, _Lane] = {}
        before = [*self._lanes.values(), *(lane for part in self._later for lane in part.values())]
        for p, offset in found.items():
            high = self._highs[pin.name, p] = bounds[pin.name, p][1]
            lanes[pin.name, p] = _Lane(
                pin, p, high if offset < 0 else offset, self._start,
                {src: since - 1 for src, since in moved.items() if since},
                self._likes.setdefault(p % self._groups, OrderedDict()),
                tuple(one for one in before if one.partition == p % one.pin.partitions),
            )  # fmt: skip
        return lanes

    def _taken(self, source: Fetcher, batch: Batch) -> list[Message]:
        place = (batch.topic, batch.partition)
        lane = self._lanes[place]
        if place in self._held:
            return []
        r = Range(
            topic=lane.pin.name, topic_id=lane.pin.id, number=lane.pin.number, partition=lane.partition,
            start=lane.position, stop=int(batch.offsets[-1]) + 1, start_reason="exact",
            stop_reason="watermark",
        )  # fmt: skip
        for lost in holes(r, batch.offsets, batch.timestamps_ms, lane.position):
            refuse(lost)
        lane.position = r.stop
        self._highs[place] = max(lane.position, source.seen_watermarks(*place)[1])
        records = Records(r, batch.offsets, batch.timestamps_ms, batch.keys, batch.values)
        decoded = decode_records(records, lane.pin.partitions)
        if (first := self._held_from(place, lane, decoded)) is not None:
            lane.position = first
            if first == batch.offsets[0]:
                return []
            records = records.part(0, int(np.searchsorted(batch.offsets, first)))
            decoded = decode_records(records, lane.pin.partitions)
        self._show(lane, decoded)
        rows: list[tuple[int, str, Message | tuple[int, ...]]] = []
        for kind, columns in decoded.messages.items():
            offsets = columns["offset"].tolist()
            rows += [(offset, kind, one) for offset, one in zip(offsets, messages_of(columns), strict=True)]
        if decoded.signs is not None:
            names = ("offset", "src", "ts_recv", "since", "connected", "closing")
            rows += [
                (one[0], "", one[1:])
                for one in zip(*(decoded.signs[name].tolist() for name in names), strict=True)
            ]
        rows.sort(key=lambda row: row[0])
        return [one for _, kind, said in rows for one in self._out(lane, kind, said)]

    def _held_from(self, place: Place, lane: _Lane, decoded: Decoded) -> int | None:
        """The offset of the first message by a source of which older ones are still to be read in the topic
        that it left, if there is one; the partition is then held until they were."""
        if lane.pin.number == min(one.pin.number for one in self._lanes.values()):
            return None
        positions = {there: one.position for there, one in self._lanes.items()}
        first, waits = None, dict[Place, int]()
        parts = [*decoded.messages.values(), *([decoded.signs] if decoded.signs is not None else [])]
        for part in parts:
            for src in np.unique(part["src"]).tolist():
                if ends := self._seams.unread(lane.pin, lane.partition, src, positions):
                    waits |= ends
                    offset = int(part["offset"][part["src"] == src].min())
                    first = offset if first is None else min(first, offset)
        if waits:
            self._held[place] = waits
        return first

    def _wanted(self) -> dict[Place, int]:
        """What is to be fetched now, and from where on."""
        for place, ends in [*self._held.items()]:
            if all(self._lanes[p].position >= end for p, end in ends.items()):
                del self._held[place]
        return {place: lane.position for place, lane in self._lanes.items() if place not in self._held}

    def _out(self, lane: _Lane, kind: str, said: Message | tuple[int, ...]) -> Iterator[Message]:
        """What is handed out now that a message, or a sign of listening, has come."""
        turns = lane.turns = lane.turns or Turns(self._margin, self._most_likes)
        if isinstance(said, tuple):
            src, time_ns, since, connected, closing = said
            turns.sign(src, time_ns, since, bool(connected), bool(closing))
        elif not self._stands(lane, kind, said):
            return
        elif said.seq or isinstance(said, Status):
            yield said
        else:
            yield from turns.message(kind, said)
        if turns.waiting:
            yield from turns.due()

    def _show(self, lane: _Lane, decoded: Decoded) -> None:
        parts = [*decoded.messages.values()]
        if decoded.heartbeats is not None:
            parts.append(decoded.heartbeats)
            self._several = self._several or len(set(decoded.heartbeats["src"].tolist())) > 1
        lane.shown = max([lane.shown, *(int(part["ts_recv"].max()) for part in parts)])

    def _stands(self, lane: _Lane, kind: str, one: Message) -> bool:
        if one.ts_recv < self._start or one.ts_recv <= lane.last.get(one.src, 0):
            return False
        if lane.older and any(one.ts_recv <= older.last.get(one.src, 0) for older in lane.older):
            return False
        lane.last[one.src] = one.ts_recv
        if len(lane.last) > 1:
            self._several = True
        if one.seq and not isinstance(one, Status) and self._was_said(lane, kind, one):
            return False
        return kind in self._kinds and (not self._symbols or one.symbol in self._symbols)

    def _was_said(self, lane: _Lane, kind: str, one: Message) -> bool:
        """Whether a message is a copy; while there is one source it is only noted, which costs less."""
        alone = self._alone[lane.partition % self._groups]
        if self._several:
            while alone:
                self._is_copy(lane, *alone.popleft())
            return self._is_copy(lane, kind, one)
        alone.append((kind, one))
        if alone[0][1].ts_recv < one.ts_recv - self._margin or len(alone) > self._most_likes:
            alone.popleft()
        return False

    def _is_copy(self, lane: _Lane, kind: str, one: Message) -> bool:
        """Whether another source's like was handed out: the n-th of one is like the n-th of another."""
        key = (kind, one.symbol, one.seq, one.snapshot if isinstance(one, Book) else 0)
        like = lane.likes.get(key)
        if like is None or abs(one.ts_recv - like.time) > self._margin:
            like = lane.likes[key] = _Like(one.ts_recv)
        lane.likes.move_to_end(key)
        like.time = max(like.time, one.ts_recv)
        like.of[one.src] = like.of.get(one.src, 0) + 1
        oldest = next(iter(lane.likes.values()))
        old = not self._later and oldest.time < one.ts_recv - 2 * self._margin
        if old or len(lane.likes) > self._most_likes:
            lane.likes.popitem(last=False)
        if like.of[one.src] <= like.out:
            return True
        like.out = like.of[one.src]
        return False

    def _look_at(self, event: Event) -> None:
        if event.name in PASSING or (not event.topic and event.name.startswith("_")):
            return
        if event.name == "_AUTO_OFFSET_RESET":
            raise Incomplete(
                f"{event.topic}[{event.partition}] no longer holds offset {event.offset}: Kafka deleted it "
                "before it was read; begin again from a later time, what was deleted is in Arctic"
            )
        if event.name == "_BAD_MSG":
            raise damaged(event.topic, event.partition, self._lanes[event.topic, event.partition].position)
        where = f"{event.topic}[{event.partition}] at offset {event.offset}: " if event.topic else ""
        raise client.unavailable(self._settings, f"{where}{event.text}")

    def _look_again(self) -> None:
        """Prove the topics to be those that were begun with: a topic made again is not noticed otherwise."""
        expected = {lane.pin.name: lane.pin.id for lane in self._lanes.values()}
        try:
            found = topics.topic_ids(client.admin(self._settings), expected)
        except (KafkaException, Unavailable):
            return  # away: the next look tells
        for name, identity in found.items():
            if identity != expected[name]:
                raise Mismatch(
                    f"the topic {name} was deleted and made again while it was followed: what it held is "
                    "gone; look at `tapedeck topics`, then begin again"
                )


def behind_text(behind: Behind) -> str:
    """One line for a person."""
    return f"{behind.ns / NS:,.1f} s and {behind.records:,} records behind"
