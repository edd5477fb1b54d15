"""A Kafka of one partition and a MongoDB in memory, in which a writer dies before or after any of its writes.

What decides is the library's own: decoding, holding, closing, mending, re-reading, building, the rule of
replacement (`documents.verdict`), where a writer begins, and how a reader joins Arctic with the log. What is
replaced is only what would have asked a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from tapedeck import message as m
from tapedeck.columns import Columns, concat
from tapedeck.log import client, meta, reading, topics
from tapedeck.log.decode import decode_records
from tapedeck.log.meta import Extent, Life, Meta, TopicPin, VendorTopics
from tapedeck.log.plan import Bound, Claim, Plan, Range
from tapedeck.log.read import Records
from tapedeck.log.stop import waiting_for
from tapedeck.packed import pack
from tapedeck.settings import Settings, Vendor, Writer
from tapedeck.slices import NS, Slice, parse_duration
from tapedeck.store import closing, documents, library, positions, rebuild, reread, tail, undecodable
from tapedeck.store.closing import Closer
from tapedeck.store.documents import Outcome, Stored
from tapedeck.store.library import Library
from tapedeck.store.mending import Mender
from tapedeck.store.positions import Position
from tapedeck.store.report import Report
from tapedeck.store.resume import begin
from tapedeck.store.watch import Seen
from tapedeck.store.window import Built, build_windows
from tapedeck.store.writer import _Session

VENDOR = "binance_usdm"
T0 = 1_700_000_000 // 60 * 60 * NS
MS = 1_000_000
OF = Slice(T0, T0 + 3600 * NS)
WINDOWS = {"trade": 10, "quote": 20, "book": 10, "status": 10, "fields": 10}
SETTINGS = Settings(
    vendors={VENDOR: Vendor(symbols=["A", "B"], window=WINDOWS, margin="2s", lateness="5s")},
    writer=Writer(grace="8s", late_every="1ms"),
)
ROWS = 3
"""A window of more rows is halved."""
MARGIN = parse_duration(SETTINGS.vendors[VENDOR].margin)
LIVE = TopicPin(
    id="live", name="md.live", vendor=VENDOR, role="live", partitions=1, partitioner="murmur2", number=3
)
BACKFILL = structs.replace(LIVE, id="backfill", name="md.backfill", role="backfill", number=4)
PINS = VendorTopics((LIVE,), BACKFILL, structs.replace(LIVE, id="quarantine", role="quarantine", number=5))


class Killed(BaseException):
    """The process ends here: nothing of it runs any more but what Python can't help running."""


class World:
    """The servers, and all that was ever written to them."""

    def __init__(self) -> None:
        self.log: dict[str, list[tuple[int, str, bytes]]] = {LIVE.name: [], BACKFILL.name: []}
        """By topic, (CreateTime in ms, key, value) of each offset."""
        self.lives: dict[int, Life] = {}
        self.closed: list[Life] = []
        self.extents: list[Extent] = []
        self.libraries = {
            kind: Library(VENDOR, kind, WINDOWS[kind] * NS, kind, None, None)  # type: ignore[arg-type]
            for kind in m.KINDS
        }
        self.documents: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in m.KINDS}
        self.positions: dict[tuple[str, int], Position] = {}
        self.undecodable: set[int] = set()
        self.fuse: int | None = None
        """How many more writes' beginnings and ends pass before whoever is at work is killed."""
        self.passes = 0
        """How many ranges of the log were read for mending."""

    # the log

    def append(self, pin: TopicPin, ts: int, value: bytes, key: str = "A") -> int:
        """A record as any producer writes it; gives its offset."""
        self.log[pin.name].append((ts // MS, key, value))
        return len(self.log[pin.name]) - 1

    def publish(self, message: m.Message, to: TopicPin = LIVE) -> int:
        return self.append(to, message.ts_recv, m.encode(message), message.symbol)

    def records(self, r: Range) -> Records:
        rows = self.log[r.topic][r.start : r.stop]
        return Records(
            r, np.arange(r.start, r.start + len(rows)), np.array([row[0] for row in rows], np.int64),
            pack(row[1].encode() for row in rows), pack(row[2] for row in rows),
        )  # fmt: skip

    def range(
        self, pin: TopicPin, start: int, stop: int, why: tuple[Bound, Bound] = ("exact", "watermark")
    ) -> Range:
        return Range(
            topic=pin.name, topic_id=pin.id, number=pin.number, partition=0, start=start, stop=stop,
            start_reason=why[0], stop_reason=why[1],
        )  # fmt: skip

    def end(self, pin: TopicPin) -> int:
        return len(self.log[pin.name])

    def at(self, time_ms: int) -> int:
        """The first offset of the live topic at or past a time, -1 where there is none."""
        return next((o for o, row in enumerate(self.log[LIVE.name]) if row[0] >= time_ms), -1)

    def meta(self) -> Meta:
        lives = tuple(sorted((*self.closed, *self.lives.values()), key=lambda life: life.since))
        return Meta({pin.id: pin for pin in (*PINS.log, PINS.quarantine)}, lives, tuple(self.extents))

    def resolve(self, settings: Settings, vendor: str, of: Slice, **_: Any) -> Plan:
        """As `log.resolve` resolves: exact where every open collector has shown a later time."""
        wide = of.widen(MARGIN)
        high = self.end(LIVE)
        start, end = (self.at(time // MS) for time in (wide.start, wide.end))
        waiting = waiting_for(self.meta().lives, wide.end)
        shown: dict[int, int] = {}
        for offset, (_, _, value) in enumerate(self.log[LIVE.name]):
            try:
                message = m.decode(value)
            except ValueError:
                continue
            if message.ts_recv >= wide.end and not isinstance(message, m.Void):
                shown.setdefault(message.src, offset)
        closed = min(waiting.closings(0), high)
        if waiting.open <= shown.keys():
            stop = max(high if end < 0 else end, closed, *(shown[src] for src in waiting.open), 0)
            why: Bound = "exact"
        else:
            late = self.at((wide.end + 5 * NS) // MS)
            stop, why = max(high if late < 0 else late, closed), "lateness"
        start = high if start < 0 else start
        live = self.range(LIVE, start, max(start, stop), ("exact", why))
        history = [
            self.range(BACKFILL, e.start[0], (e.next or {0: self.end(BACKFILL)})[0], ("extent", "extent"))
            for e in self.extents
            if e.next is None or wide.meets(e.first, e.last + 1)
        ]
        claims = (
            Claim(topic_id=LIVE.id, partition=0, start=live.start, next=live.stop),
            Claim(topic_id=BACKFILL.id, partition=0, start=0, next=self.end(BACKFILL)),
        )
        return Plan(
            vendor=vendor, slice=of, margin=MARGIN, partitions=1, ranges=(live, *history), claims=claims
        )

    # what is written, before and after which one may be killed

    def write(self, change: Callable[[], object]) -> None:
        self._step()
        change()
        self._step()

    def _step(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise Killed

    def replace(self, one: Library, builds: Sequence[Built], by: str, **_: Any) -> list[Outcome]:
        """A bulk may be cut anywhere: each window is written by itself, but the parts of a halved one at
        once, as MongoDB does in a transaction."""
        outcomes = []
        stand = self.documents[one.kind]
        for built in builds:
            parts = documents.documents(built, by)
            before = stand.get(parts[0]["_id"])
            outcome = documents.verdict(before, built)
            if outcome is Outcome.WRITTEN:
                self.write(lambda before=before, parts=parts: _put(stand, before, parts))  # type: ignore[misc]
            outcomes.append(outcome)
        return outcomes

    def save(self, settings: Settings, vendor: str, fresh: Iterable[Position]) -> None:
        for new in fresh:
            self.write(lambda new=new: self._raise(new))  # type: ignore[misc]

    def _raise(self, new: Position) -> None:
        key = (new.topic_id, new.partition)
        old = self.positions.get(key, structs.replace(new, next=0, closed={}))
        closed = {k: max(v, old.closed.get(k, 0)) for k, v in {**old.closed, **new.closed}.items()}
        self.positions[key] = structs.replace(new, next=max(old.next, new.next), closed=closed)

    def enter(self, settings: Settings, vendor: str, found: Iterable[Any]) -> None:
        for one in found:
            self.write(lambda one=one: self.undecodable.add(one.offset))  # type: ignore[misc]

    # what is read of it

    def heads(
        self, kind: Any, partition: int, of: Slice, symbols: Iterable[str] | None = None
    ) -> list[Stored]:
        wanted = None if symbols is None else set(symbols)
        return [s for s in self._standing(kind, of) if wanted is None or s.symbol in wanted]

    def load(self, kind: Any, symbols: Sequence[str], of: Slice) -> list[Stored]:
        return [s for s in self._standing(kind, of) if s.symbol in symbols]

    def _standing(self, kind: str, of: Slice) -> list[Stored]:
        found = [documents.stored(d) for d in self.documents[kind].values()]
        return sorted((s for s in found if of.start <= s.span.start < of.end), key=lambda s: s.span.start)

    def reading(self, settings: Settings, ranges: Iterable[Range], batch: int = 0) -> Iterator[Records]:
        for r in ranges:
            if r.stop > r.start:
                self.passes += 1
                yield self.records(r)

    # what it must come to

    def truth(self) -> tuple[dict[str, Columns], Columns | None, Columns | None]:
        """Every message of the log by kind, its voids, and its signs of listening."""
        messages: dict[str, list[Columns]] = {kind: [] for kind in m.KINDS}
        voids, signs = [], []
        for pin in PINS.log:
            decoded = decode_records(self.records(self.range(pin, 0, self.end(pin))), 1)
            for kind, columns in decoded.messages.items():
                messages[kind].append(columns)
            if decoded.voids is not None:
                voids.append(decoded.voids)
            if decoded.signs is not None:
                signs.append(decoded.signs)
        whole = {kind: concat(kind, parts) for kind, parts in messages.items()}
        return (
            whole, concat("void", voids) if voids else None, concat("heartbeat", signs) if signs else None,
        )  # fmt: skip

    def due(self, kind: str, span: Slice) -> dict[str, Built]:
        """The windows of a span as the whole log has them."""
        messages, voids, signs = self.truth()
        return build_windows(
            span, messages[kind], voids, MARGIN, partition=0, signs=signs,
            backfills=frozenset({BACKFILL.number}),
        )  # fmt: skip

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the library ask this world instead of servers."""
        quiet = SimpleNamespace(flush=lambda: None, add=lambda *_: None)
        for module, name, mine in (
            (documents, "replace", self.replace), (documents, "heads", self.heads),
            (documents, "load", self.load), (positions, "save", self.save),
            (positions, "read", lambda *_: dict(self.positions)), (undecodable, "enter", self.enter),
            (library, "ensure", lambda *_: self.libraries), (meta, "read", lambda *_: self.meta()),
            (topics, "verified", lambda *_: PINS), (rebuild, "resolve", self.resolve),
            (tail, "resolve", self.resolve), (reread, "read", self.reading),
            (tail, "read_log", self.reading), (rebuild, "Ledger", lambda *_: quiet),
            (rebuild, "settled", lambda *_: None), (reading, "read", self.reading),
            (client, "consumer", lambda *_: nullcontext()),
            (client, "watermarks", lambda _, __, topic, ___: (0, len(self.log[topic]))),
            (client, "offsets_at", lambda _, __, ___, times: {p: self.at(ms) for p, ms in times.items()}),
            (closing, "IDLE_SECONDS", -1.0),
            (documents, "_size", lambda document: 2**30 if document["c"] > ROWS else 0),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, mine)


def _put(stand: dict[str, dict[str, Any]], before: dict[str, Any] | None, parts: Sequence[Any]) -> None:
    for name in (before or {}).get("parts", ()):
        del stand[name]
    stand.update({part["_id"]: part for part in parts})


class Process:
    """One writer's process: what it holds is gone with it."""

    def __init__(self, world: World) -> None:
        done = Report()
        mender = Mender(SETTINGS, VENDOR, "test", done, lambda: None)
        self.world = world
        self.session = _Session(
            SETTINGS, VENDOR, None, None, lambda _: None, lambda _: None, "test", done, lambda: False  # type: ignore[arg-type]
        )  # fmt: skip
        latencies: Any = SimpleNamespace(note=lambda *_: None)
        pins = {pin.name: pin for pin in PINS.log}
        self.session.closer = Closer(
            SETTINGS, world.libraries, pins, BACKFILL, "test", done, mender, latencies
        )  # fmt: skip
        self.session.ledger = SimpleNamespace(add=lambda *_: None)  # type: ignore[assignment]
        windows = {kind: one.window for kind, one in world.libraries.items()}
        begun = begin(SETTINGS, VENDOR, PINS, windows, [0], lambda _: None)
        self.session.held |= begun.held
        self.session.history |= begun.history
        self.session.saved |= begun.saved
        self.session.groups = frozenset({0})
        self.held = self.session.held[0]

    def take(self, pin: TopicPin, most: int) -> None:
        """Read on in a topic."""
        start = self.session._next(pin.id, 0)
        stop = min(start + most, self.world.end(pin))
        if stop > start:
            self.session._take([self.world.records(self.world.range(pin, start, stop))])
        place = (pin.name, 0)
        (
            self.session.closer.at_end.add
            if stop == self.world.end(pin)
            else self.session.closer.at_end.discard
        )(place)

    def turn(self) -> None:
        """Write what is due, as one turn of the writer's loop does."""
        seen = Seen(self.world.meta(), PINS, float("inf"))
        closer = self.session.closer
        closer.due(self.held, seen)
        closer.draft(self.held, seen)
        if self.held.late:
            closer.mender.since[0] = (0.0, 0.0)  # it paused long enough
            closer.mender.due(self.held)

    def save(self) -> None:
        self.session._save()

    def drop(self) -> None:
        """What the memory bound does."""
        self.held.drop()
