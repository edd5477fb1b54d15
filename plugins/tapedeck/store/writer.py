"""The live writer: Kafka to Arctic, window by window (DESIGN §4).

A vendor's writers share its partitions out through a consumer group (`store.share`) and read them by plain
assignment. A window is built in memory and written once it is complete (`store.closing`); what comes late,
history and voids are mended from the log in batches (`store.mending`). A position is saved only behind
acknowledged documents, so that whatever is killed, whenever, is done again, and doing it again changes
nothing; nor does it where two writers take themselves for a partition's only one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import KafkaException
from pymongo.database import Database

from tapedeck.errors import Incomplete, NothingRecorded, Unavailable
from tapedeck.log import client, topics
from tapedeck.log.decode import decode_records
from tapedeck.log.fetch import Batch, Fetcher, fetcher
from tapedeck.log.plan import Range
from tapedeck.log.read import Records
from tapedeck.partitions import numbers, of_groups
from tapedeck.settings import Settings
from tapedeck.slices import NS, parse_duration
from tapedeck.store import database, library, positions, schema, undecodable
from tapedeck.store.closing import Closer
from tapedeck.store.database import Away, Document
from tapedeck.store.held import Held, Mend
from tapedeck.store.latency import Latencies
from tapedeck.store.ledger import Ledger
from tapedeck.store.mending import Mender
from tapedeck.store.positions import Lane, Position
from tapedeck.store.report import Report
from tapedeck.store.resume import begin
from tapedeck.store.share import Share
from tapedeck.store.shown import FOREVER
from tapedeck.store.watch import Seen, Watch, look, sure

BATCH = 20_000
TICK_SECONDS = 1.0
SCHEMA_SECONDS = 30.0
MS = 1_000_000

Say = Callable[[str], None]


def write(
    settings: Settings,
    vendor: str,
    asked: Callable[[], bool],
    say: Say,
    report: Callable[[Report], None],
    by: str,
) -> None:
    """Write this writer's share of a vendor's log to Arctic until `asked` says to end.

    Goes on by itself after Kafka or MongoDB were away. Stands by while the vendor's other writers have all
    partitions. Raises BadInput, and Mismatch where a topic or library is not the expected one.
    """
    settings.vendor(vendor)
    done = Report()
    with ExitStack() as stack:
        share: Share | None = None
        while not asked():
            try:
                pins = sure(lambda: topics.ensure(settings, vendor))
                share = share or stack.enter_context(Share(settings, vendor, pins.backfill, by))
                with fetcher(settings) as source:
                    _Session(settings, vendor, source, share, say, report, by, done, asked).run()
            except (Unavailable, Incomplete, NothingRecorded, KafkaException) as e:
                lags = isinstance(e, NothingRecorded)  # its topics are there, but who answered lags behind
                done.held = f"a broker does not know of {vendor}'s topics yet" if lags else str(e)
                say(f"{done.held}; going on as soon as it is possible")
                report(done)
                if share is not None and share.failed:
                    share.__exit__(None, None, None)
                    share = None
                _pause(asked, 2.0)


def _pause(asked: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not asked() and time.monotonic() < end:
        time.sleep(0.1)


@dataclass(slots=True)
class _Session:
    """One stretch of uninterrupted writing, from the saved positions on."""

    settings: Settings
    vendor: str
    source: Fetcher
    share: Share
    say: Say
    report: Callable[[Report], None]
    by: str
    done: Report
    asked: Callable[[], bool]
    closer: Closer = field(init=False)
    ledger: Ledger = field(init=False)
    groups: frozenset[int] = frozenset()
    """The partition groups that are being written."""
    held: dict[int, Held] = field(default_factory=dict)
    """By partition group."""
    history: dict[int, int] = field(default_factory=dict)
    """By partition group, the next offset of the backfill topic."""
    saved: dict[Lane, Position] = field(default_factory=dict)

    def run(self) -> None:
        """Write until asked to end, or until the vendor's topics are others: it has grown."""
        first = sure(lambda: look(self.settings, self.vendor))
        mender = Mender(self.settings, self.vendor, self.by, self.done, lambda: self.report(self.done))
        self.closer = Closer(
            self.settings, library.ensure(self.settings, self.vendor),
            {pin.name: pin for pin in first.topics.log}, first.topics.backfill, self.by, self.done, mender,
            Latencies(self.settings, self.vendor),
        )  # fmt: skip
        self.ledger = Ledger(self.settings, self.vendor)
        own, looked = database.database(self.settings), time.monotonic()
        watch = Watch(self.settings, self.vendor, first)
        ticked = 0.0
        try:
            while not self.asked():
                seen = watch.seen
                if seen.topics != first.topics:
                    self.say(
                        f"{self.vendor} has other topics than before: beginning anew with those there are"
                    )
                    break
                self._share(seen)
                if not self.groups:
                    self._stand_by()
                    continue
                self._take(self._fetched())
                for held in self.held.values():
                    self._patiently(lambda held=held, seen=seen: self.closer.due(held, seen))  # type: ignore[misc]
                    self._patiently(lambda held=held, seen=seen: self.closer.draft(held, seen))  # type: ignore[misc]
                    self._patiently(lambda held=held: self.closer.mender.due(held))  # type: ignore[misc]
                if time.monotonic() - ticked < TICK_SECONDS:
                    continue
                ticked = time.monotonic()
                if ticked - looked > SCHEMA_SECONDS:
                    self._patiently(lambda: self._check_schema(own))
                    looked = ticked
                self._bound_memory()
                self._patiently(self.ledger.flush_due)
                self._patiently(self.closer.latencies.flush_due)
                self._patiently(self._save)
                self._show()
            self.ledger.flush()
            self.closer.latencies.flush()
            self._save()
        finally:
            self.share.hold(frozenset())
            watch.end()

    def _check_schema(self, own: Database[Document]) -> None:
        """A later version may have gone on from here: what this one would write is then not its to write."""
        with database.answering(self.settings):
            schema.check(own)

    # sharing

    def _share(self, seen: Seen) -> None:
        """Let go of what the group has taken back, and begin with what it has given."""
        wanted = self.share.groups
        if wanted == self.groups:
            return
        if gone := [group for group in self.held if group not in wanted]:
            self._save()  # so that the next one begins there
            for group in gone:
                del self.held[group], self.history[group]
                self.closer.forget(group)
        windows = {kind: one.window for kind, one in self.closer.libraries.items()}
        fresh = sorted(wanted - self.groups)
        begun = begin(self.settings, self.vendor, seen.topics, windows, fresh, self.say)
        self.held |= begun.held
        self.history |= begun.history
        self.saved |= begun.saved
        self.groups = wanted
        self.source.assign({place: offset for p in self.held for place, offset in self._places(p)})
        self.closer.at_end.clear()
        self.closer.last_record = time.monotonic()
        self.share.hold(wanted)
        self.done.rebalances += 1
        if self.done.rebalances > 1:
            self.say(f"now writing partitions {numbers(sorted(self.held))} of {self.vendor}")
        self._show()

    def _group(self, partition: int) -> int:
        return partition % self.closer.backfill.partitions

    def _places(self, group: int) -> Iterator[tuple[tuple[str, int], int]]:
        """Where the next records of a partition group come from."""
        for pin in self.closer.pins.values():
            for p in of_groups([group], self.closer.backfill.partitions, pin.partitions):
                yield (pin.name, p), self._next(pin.id, p)

    def _stand_by(self) -> None:
        if self.share.joined:
            self.done.stand_by(f"the other writers of {self.vendor} have all its partitions")
        else:
            self.done.stand_by(f"joining the writers of {self.vendor}")
        self.report(self.done)
        _pause(lambda: self.asked() or bool(self.share.groups), 1.0)

    def _patiently(self, step: Callable[[], None]) -> None:
        """Do it, again until MongoDB answers: meanwhile nothing is fetched, and nothing let go."""
        while True:
            try:
                return step()
            except Away as e:
                if self.asked() or self.share.groups != self.groups:
                    raise
                if self.done.held != str(e):
                    self.say(f"{e}; paused until it is possible")
                self.done.held = str(e)
                self.report(self.done)
                _pause(self.asked, 1.0)

    # taking in

    def _fetched(self) -> Iterable[Records]:
        """What Kafka gave, by partition, in order and proved to be without a hole."""
        at_end = self.closer.at_end
        batches, events = self.source.fetch(BATCH, 0.1)
        ends = {(batch.topic, batch.partition): int(batch.offsets[-1]) + 1 for batch in batches}
        at_end.difference_update(ends)
        for event in events:
            place = (event.topic, event.partition)
            if event.name == "_PARTITION_EOF":
                if event.offset >= ends.get(place, event.offset):
                    at_end.add(place)
            elif event.name not in ("_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE"):
                raise client.unavailable(self.settings, f"{place[0]}[{place[1]}]: {event.text}")
        for batch in batches:
            yield self._records(batch)

    def _records(self, batch: Batch) -> Records:
        pin, p, offsets = self.closer.pins[batch.topic], batch.partition, batch.offsets
        expected = self._next(pin.id, p)
        if not np.array_equal(offsets, np.arange(expected, expected + len(offsets))):
            raise Incomplete(
                f"{pin.name}[{p}] gave offsets {offsets[0]} to {offsets[-1]} where {expected} and on were due"
            )
        return Records(
            Range(
                topic=pin.name, topic_id=pin.id, number=pin.number, partition=p, start=expected,
                stop=expected + len(offsets), start_reason="exact", stop_reason="watermark",
            ),
            offsets, batch.timestamps_ms, batch.keys, batch.values,
        )  # fmt: skip

    def _next(self, topic_id: str, p: int) -> int:
        if topic_id == self.closer.backfill.id:
            return self.history[p]
        return self.held[self._group(p)].reaches[topic_id, p].position

    def _take(self, batches: Iterable[Records]) -> None:
        bad = []
        for records in batches:
            r = records.range
            group, pin = self._group(r.partition), self.closer.pins[r.topic]
            held, lane = self.held[group], (pin.id, r.partition)
            decoded = decode_records(records, pin.partitions)
            bad += decoded.undecodable
            self.ledger.add(records, decoded)
            self.closer.last_record = time.monotonic()
            late_before, messages_before = _amount(held.late), held.late_messages
            if pin.id == self.closer.backfill.id:
                self.history[group] = r.stop
                held.add_history(lane, decoded.messages)
                if decoded.signs is not None:
                    held.add_history_signs(lane, decoded.signs)
            else:
                reach = held.reaches[lane]
                reach.index(records.offsets, records.timestamps_ms)
                if reach.whole_from == FOREVER:
                    lateness = parse_duration(self.settings.vendor(self.vendor).lateness)
                    reach.whole_from = int(records.timestamps_ms.max() + 1) * MS + lateness
                if decoded.heartbeats is not None:
                    reach.shown.add(decoded.heartbeats)
                held.add(lane, decoded.messages)
                for columns in decoded.messages.values():
                    self.closer.latencies.note("kafka", columns["ts_recv"])
                if decoded.signs is not None:
                    held.add_signs(lane, decoded.signs)
            if decoded.voids is not None:
                held.add_voids(lane, decoded.voids)
            self.done.late += held.late_messages - messages_before
            self.done.messages += sum(len(columns) for columns in decoded.messages.values())
            if _amount(held.late) > late_before:
                self.closer.mender.noticed(group)
        self.done.undecodable += len(bad)
        self._patiently(lambda: undecodable.enter(self.settings, self.vendor, bad))

    # keeping

    def _bound_memory(self) -> None:
        sizes = {p: held.size() for p, held in self.held.items()}
        while sum(sizes.values()) > self.settings.writer.memory_bytes:
            largest = max(sizes, key=lambda p: sizes[p])
            self.held[largest].drop()
            self.say(
                f"open windows of partition {largest} took {sizes[largest] >> 20} MB, past "
                "writer.memory_bytes: their rows are let go and read again when the windows close"
            )
            sizes[largest] = 0
        self.done.memory = sum(sizes.values())

    def _save(self) -> None:
        """Raise the positions to what is safe."""
        fresh = []
        for group, held in self.held.items():
            unsafe = held.unsafe()
            ends = {lane: reach.position for lane, reach in held.reaches.items()}
            ends[self.closer.backfill.id, group] = self.history[group]
            for (topic_id, p), position in ends.items():
                closed = dict(held.closed) if topic_id != self.closer.backfill.id else {}
                safe = min(position, unsafe.get((topic_id, p), position))
                fresh.append(Position(topic_id=topic_id, partition=p, next=safe, closed=closed))
        changed = [new for new in fresh if self.saved.get((new.topic_id, new.partition)) != new]
        positions.save(self.settings, self.vendor, changed)
        self.saved.update({(new.topic_id, new.partition): new for new in changed})

    def _show(self) -> None:
        behind = {
            str(group): sum(
                max(0, self.source.seen_watermarks(topic, p)[1] - offset)
                for (topic, p), offset in self._places(group)
            )
            for group in sorted(self.held)
        }
        begun = [start for held in self.held.values() if (start := held.oldest()) is not None]
        self.done.lag, self.done.partitions, self.done.held = sum(behind.values()), sorted(self.held), ""
        self.done.behind = behind
        self.done.oldest = round(max(0.0, time.time() - min(begun) / NS), 3) if begun else 0.0
        self.done.waits = False
        self.report(self.done)


def _amount(mend: Mend) -> tuple[int, int, int]:
    return len(mend.keys), len(mend.sweeps), sum(last for _, last in mend.spans.values())
