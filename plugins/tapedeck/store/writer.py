"""The live writer: Kafka to Arctic, window by window (DESIGN §4).

One writer takes all partitions of a vendor by plain assignment. A window is built in memory and written
once it is complete, or a fixed grace behind the newest record; what comes late, history and voids are
mended from the log in batches. A position is saved only behind acknowledged documents, so that whatever
is killed, whenever, is done again, and doing it again changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import KafkaException

from tapedeck.errors import Incomplete, Unavailable
from tapedeck.log import client, topics
from tapedeck.log.decode import decode_records
from tapedeck.log.fetch import Batch, Fetcher, fetcher
from tapedeck.log.meta import TopicPin
from tapedeck.log.plan import Range
from tapedeck.log.read import Records
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, parse_duration
from tapedeck.store import database, documents, library, positions, undecodable
from tapedeck.store.documents import Outcome
from tapedeck.store.held import Held, Mend
from tapedeck.store.lease import Lease
from tapedeck.store.library import Library
from tapedeck.store.positions import Position
from tapedeck.store.rebuild import rebuild_partition
from tapedeck.store.rebuilt import Key
from tapedeck.store.report import Report
from tapedeck.store.resume import begin
from tapedeck.store.shown import FOREVER
from tapedeck.store.watch import Seen, Watch, look, sure
from tapedeck.store.window import Built, build_windows

BATCH = 20_000
IDLE_SECONDS = 1.0
"""How long nothing must have come before windows are written that no collector is open for."""
PATIENCE = 10
"""Late messages that keep coming are mended after so many times `writer.late_every`."""
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
    """Write a vendor's log to Arctic until `asked` says to end; then what is closed is written.

    Goes on by itself after Kafka or MongoDB were away. Waits while another writer of the vendor holds
    the lease. Raises BadInput, and Mismatch where a topic or library is not the expected one.
    """
    settings.vendor(vendor)
    lease, done, waited = Lease(settings, vendor, by), Report(), ""
    while not asked():
        try:
            if other := lease.take():
                if other != waited:
                    say(f"waiting: {other} is writing {vendor}, and this one takes over when it ends")
                waited = other
                done.stand_by(f"{other} is writing {vendor}")
                report(done)
                _pause(asked, 1.0)
                continue
            waited, done.waits = "", False
            sure(lambda: topics.ensure(settings, vendor))
            with fetcher(settings) as source:
                _Session(settings, vendor, source, lease, say, report, by, done).run(asked)
            if asked():
                lease.release()
        except (Unavailable, Incomplete, KafkaException) as e:
            say(f"{e}; going on as soon as it is possible")
            done.held = str(e)
            report(done)
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
    lease: Lease
    say: Say
    report: Callable[[Report], None]
    by: str
    done: Report
    libraries: dict[str, Library] = field(init=False)
    pins: dict[str, TopicPin] = field(init=False)
    """By topic name, those that hold messages."""
    backfill: TopicPin = field(init=False)
    held: dict[int, Held] = field(init=False)
    history: dict[int, int] = field(init=False)
    """By partition, the next offset of the backfill topic."""
    saved: dict[tuple[str, int], Position] = field(init=False)
    at_end: set[tuple[str, int]] = field(default_factory=set)
    late_since: dict[int, tuple[float, float]] = field(default_factory=dict)
    """By partition, when the first and the newest late message came (monotonic seconds)."""
    last_record: float = 0.0
    drafted: dict[int, dict[str, int]] = field(default_factory=dict)
    """By partition, how far its topics were read when its open windows were written as they were."""

    def run(self, asked: Callable[[], bool]) -> None:
        """Write until asked to end, or until another writer has taken over."""
        first = sure(lambda: look(self.settings, self.vendor))
        self._begin(first)
        watch = Watch(self.settings, self.vendor, first)
        ticked = 0.0
        try:
            while not asked():
                self._take(self._fetched())
                seen = watch.seen
                for held in self.held.values():
                    self._close_due(held, seen)
                    self._draft(held, seen)
                    self._mend_due(held)
                if time.monotonic() - ticked < 1.0:
                    continue
                ticked = time.monotonic()
                self._bound_memory()
                self._save()
                self._show()
                if self.lease.take() is not None:
                    self.say(f"another writer has taken {self.vendor} over, since this one was away")
                    return
            self._save()
        finally:
            watch.end()

    # beginning

    def _begin(self, seen: Seen) -> None:
        pins = seen.topics
        self.libraries = library.ensure(self.settings, self.vendor)
        self.pins = {pin.name: pin for pin in pins.log}
        self.backfill = pins.backfill
        windows = {kind: one.window for kind, one in self.libraries.items()}
        begun = begin(self.settings, self.vendor, self.source, pins, windows, self.say)
        self.saved, self.held, self.history = begun.saved, begun.held, begun.history
        self.last_record = time.monotonic()

    # taking in

    def _fetched(self) -> Iterable[Records]:
        """What Kafka gave, by partition, in order and proved to be without a hole."""
        batches, events = self.source.fetch(BATCH, 0.1)
        ends = {(batch.topic, batch.partition): int(batch.offsets[-1]) + 1 for batch in batches}
        self.at_end -= ends.keys()
        for event in events:
            place = (event.topic, event.partition)
            if event.name == "_PARTITION_EOF":
                if event.offset >= ends.get(place, event.offset):
                    self.at_end.add(place)
            elif event.name not in ("_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE"):
                raise client.unavailable(self.settings, f"{place[0]}[{place[1]}]: {event.text}")
        for batch in batches:
            yield self._records(self.pins[batch.topic], batch)

    def _records(self, pin: TopicPin, batch: Batch) -> Records:
        p, offsets = batch.partition, batch.offsets
        expected = self._next(pin, p)
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

    def _next(self, pin: TopicPin, p: int) -> int:
        if pin.id == self.backfill.id:
            return self.history[p]
        return self.held[p].reaches[pin.id].position

    def _take(self, batches: Iterable[Records]) -> None:
        bad = []
        for records in batches:
            r = records.range
            held, pin = self.held[r.partition], self.pins[r.topic]
            decoded = decode_records(records, pin.partitions)
            bad += decoded.undecodable
            self.last_record = time.monotonic()
            late_before, messages_before = _amount(held.late), held.late_messages
            if pin.id == self.backfill.id:
                self.history[r.partition] = r.stop
                held.add_history(pin.id, decoded.messages)
            else:
                reach = held.reaches[pin.id]
                reach.index(records.offsets, records.timestamps_ms)
                if reach.whole_from == FOREVER:
                    lateness = parse_duration(self.settings.vendor(self.vendor).lateness)
                    reach.whole_from = int(records.timestamps_ms.max() + 1) * MS + lateness
                if decoded.heartbeats is not None:
                    reach.shown.add(decoded.heartbeats)
                held.add(pin.id, decoded.messages)
            if decoded.voids is not None:
                held.add_voids(pin.id, decoded.voids)
            self.done.late += held.late_messages - messages_before
            self.done.messages += sum(len(columns) for columns in decoded.messages.values())
            if _amount(held.late) > late_before:
                first, _ = self.late_since.get(r.partition, (self.last_record, 0.0))
                self.late_since[r.partition] = (first, self.last_record)
        self.done.undecodable += len(bad)
        undecodable.enter(self.settings, self.vendor, bad)

    # closing

    def _close_due(self, held: Held, seen: Seen) -> None:
        """Write all windows that nothing more can come for."""
        ends = self._ends(held, seen)
        ends = {kind: end for kind, end in ends.items() if end > held.closed.get(kind, 0)}
        if not ends:
            return
        self._write(held, ends, seen)
        for kind, end in ends.items():
            held.close(kind, end)
        if held.late:
            now = time.monotonic()
            self.late_since.setdefault(held.partition, (now, now))

    def _draft(self, held: Held, seen: Seen) -> None:
        """Write the windows that are still going on, as they are, where nobody goes on with them.

        They stay open: a collector that comes back into them is not late, and its window replaces this.
        """
        read = {topic_id: reach.position for topic_id, reach in held.reaches.items()}
        if self.drafted.get(held.partition) == read or not self._is_quiet(held, seen):
            return
        newest = max(reach.shown.newest for reach in held.reaches.values())
        ends = {kind: (newest // length + 1) * length for kind, length in held.windows.items() if newest}
        self._write(held, {kind: end for kind, end in ends.items() if end > held.closed.get(kind, 0)}, seen)
        self.drafted[held.partition] = read

    def _write(self, held: Held, ends: dict[str, int], seen: Seen) -> None:
        """Write the open windows that end by then, from memory or from the log."""
        sweeps: list[Slice] = []
        refused: set[Key] = set()
        for kind, end in ends.items():
            builds, unbuilt = self._built(held, kind, end, seen)
            sweeps += unbuilt
            began = time.monotonic()
            with database.answering(self.settings):
                outcomes = documents.replace(self.libraries[kind].collection, builds, self.by)
            if builds:
                self.done.mongo.add(time.monotonic() - began)
            for built, outcome in zip(builds, outcomes, strict=True):
                if outcome is Outcome.REFUSED:
                    refused.add((kind, built.symbol, built.span.start))
            self.done.written += outcomes.count(Outcome.WRITTEN)
            self.done.equal += outcomes.count(Outcome.EQUAL)
            self.done.refused += outcomes.count(Outcome.REFUSED)
        self._mend(held, Mend(refused, sweeps))

    def _ends(self, held: Held, seen: Seen) -> dict[str, int]:
        """By kind, up to where windows may close."""
        grace = max(parse_duration(self.settings.writer.grace), held.margin)
        newest = max(reach.shown.newest for reach in held.reaches.values())
        if not newest:
            return {}
        known = self._waited_for(held, seen)
        through = max(min(known, default=0), newest - grace + held.margin)
        ends = {kind: held.due(kind, through) for kind in held.windows}
        if self._is_quiet(held, seen):
            now = time.time_ns()
            for kind, length in held.windows.items():
                ends[kind] = max(ends[kind], min((newest // length + 1) * length, held.due(kind, now)))
        return ends

    def _waited_for(self, held: Held, seen: Seen) -> list[int]:
        """What each live topic's open collectors have shown; nothing where none is open."""
        shown = []
        for topic_id, reach in held.reaches.items():
            lives = [life for life in seen.meta.lives if life.topic_id == topic_id]
            shown.append(reach.shown.through(lives, held.partition, reach.position))
        return [time_ns for time_ns in shown if time_ns is not None]

    def _is_quiet(self, held: Held, seen: Seen) -> bool:
        """Whether all was read, a while ago, no collector is open and none has registered since."""
        ends = {(name, held.partition) for name in self.pins}
        quiet = time.monotonic() - self.last_record > IDLE_SECONDS
        return (
            quiet and seen.at > self.last_record and ends <= self.at_end and not self._waited_for(held, seen)
        )

    def _built(self, held: Held, kind: str, end: int, seen: Seen) -> tuple[list[Built], list[Slice]]:
        """Windows of a kind that close, built from memory, and those that can't be."""
        begin, length = held.closed.get(kind, 0), held.windows[kind]
        columns = held.open_rows(kind)
        inside = columns["ts_recv"][(columns["ts_recv"] >= begin) & (columns["ts_recv"] < end)]
        let_go = {start for start in held.let_go[kind] if start + length <= end}
        builds: list[Built] = []
        sweeps: list[Slice] = []
        for start in sorted({*np.unique(inside // length * length).tolist(), *let_go}):
            span = Slice(start, start + length)
            if start in let_go or not held.is_whole(span) or self._has_history(span.widen(held.margin), seen):
                sweeps.append(span)
                continue
            windows = build_windows(
                span, columns, None, held.margin, partition=held.partition, claims=held.claims(span)
            )
            builds += [b for symbol, b in windows.items() if (kind, symbol, start) not in held.touched]
        return builds, sweeps

    def _has_history(self, wide: Slice, seen: Seen) -> bool:
        """Whether something loaded, or a void, meets this time; what an open load holds marks its windows."""
        return any(
            extent.topic_id == self.backfill.id
            and extent.next is not None
            and wide.meets(extent.first, extent.last + 1)
            for extent in seen.meta.extents
        )

    # mending

    def _mend_due(self, held: Held) -> None:
        """Mend what came late, once it has paused or gone on for long."""
        if not held.late:
            return
        every = parse_duration(self.settings.writer.late_every) / NS
        now = time.monotonic()
        first, newest = self.late_since.setdefault(held.partition, (now, now))
        if now - newest >= every or now - first >= PATIENCE * every:
            self._mend(held, held.late)
            held.late = Mend()
            del self.late_since[held.partition]

    def _mend(self, held: Held, mend: Mend) -> None:
        """Rebuild the windows from the log, stretch by stretch."""
        longest = max(held.windows.values())
        for of, keys in _stretches(mend.keys, held.windows, longest):
            self._rebuild(held, of, frozenset(keys), mend)
        for of in _merged(mend.sweeps, longest):
            self._rebuild(held, of, None, mend)

    def _rebuild(self, held: Held, of: Slice, only: frozenset[Key] | None, mend: Mend) -> None:
        done = rebuild_partition(
            self.settings, self.vendor, of, held.partition, only=only, late=mend.spans, by=self.by
        )
        self.done.mended += done.written
        self.report(self.done)
        self.lease.take()

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
        for p, held in self.held.items():
            unsafe = held.unsafe()
            ends = {topic_id: reach.position for topic_id, reach in held.reaches.items()}
            ends[self.backfill.id] = self.history[p]
            for topic_id, position in ends.items():
                closed = dict(held.closed) if topic_id != self.backfill.id else {}
                fresh.append(
                    Position(
                        topic_id=topic_id, partition=p, next=min(position, unsafe.get(topic_id, position)),
                        closed=closed,
                    )
                )  # fmt: skip
        changed = [new for new in fresh if self.saved.get((new.topic_id, new.partition)) != new]
        positions.save(self.settings, self.vendor, changed)
        self.saved.update({(new.topic_id, new.partition): new for new in changed})

    def _show(self) -> None:
        lag = 0
        for pin in self.pins.values():
            for p in self.held:
                _, high = self.source.seen_watermarks(pin.name, p)
                lag += max(0, high - self._next(pin, p))
        begun = [start for held in self.held.values() if (start := held.oldest()) is not None]
        self.done.lag, self.done.partitions, self.done.held = lag, sorted(self.held), ""
        self.done.oldest = round(max(0.0, time.time() - min(begun) / NS), 3) if begun else 0.0
        self.report(self.done)


def _amount(mend: Mend) -> tuple[int, int, int]:
    return len(mend.keys), len(mend.sweeps), sum(last for _, last in mend.spans.values())


def _stretches(
    keys: Iterable[Key], windows: dict[str, int], longest: int
) -> Iterable[tuple[Slice, list[Key]]]:
    """Keys that lie close together in time, with the slice that they span."""
    group: list[Key] = []
    end = 0
    for key in sorted(keys, key=lambda k: k[2]):
        if group and key[2] > end + longest:
            yield Slice(group[0][2], end), group
            group, end = [], 0
        group.append(key)
        end = max(end, key[2] + windows[key[0]])
    if group:
        yield Slice(group[0][2], end), group


def _merged(slices: Iterable[Slice], longest: int) -> Iterable[Slice]:
    """Slices that lie close together as one."""
    merged: list[Slice] = []
    for one in sorted(slices):
        if merged and one.start <= merged[-1].end + longest:
            merged[-1] = Slice(merged[-1].start, max(merged[-1].end, one.end))
        else:
            merged.append(one)
    return merged
