"""Any cutting into batches, any order of arrival that Kafka allows, any crash point: the same documents.

A machine publishes, reads, writes, stops, wakes and kills in any order; whoever reads meanwhile sees exactly
what the log has by then, and in the end Arctic's windows are those of the whole log.
"""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs

from tapedeck import message as m
from tapedeck.log.meta import Extent, Life
from tapedeck.slices import NS, Slice
from tapedeck.store import documents, tail
from tapedeck.store.window import between, build
from tests.faults import SEEDS
from tests.world import BACKFILL, LIVE, MARGIN, OF, SETTINGS, T0, VENDOR, Killed, Process, World

UNSEQUENCED = "B"
SYMBOLS = ("A", UNSEQUENCED)
STEP = st.sampled_from([1, 7_000_000, 900_000_000, 2 * NS, 6 * NS])
SRC = st.sampled_from([1, 2])
KIND = st.sampled_from(["trade", "quote"])
FEW = st.integers(1, 6)


class Writing(RuleBasedStateMachine):
    """Two collectors, a loader, and writers that are killed anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.monkeypatch = pytest.MonkeyPatch()
        self.world = World()
        self.world.patch(self.monkeypatch)
        self.clock = {1: T0, 2: T0, 1007: T0}
        self.seq = 0
        self.sent: list[m.Message] = []
        self.process: Process | None = None
        self.stopped: Process | None = None

    @initialize()
    def begin(self) -> None:
        for src in (1, 2):
            self.open(src)

    def open(self, src: int) -> None:
        self.clock[src] += 1
        life = Life(vendor=VENDOR, src=src, since=self.clock[src], topic_id=LIVE.id)
        self.world.lives[src] = life
        self.beat(src)

    def make(self, src: int, symbol: str, kind: str, step: int) -> m.Message:
        self.clock[src] += step
        self.seq += 1
        common: dict[str, Any] = {
            "symbol": symbol, "ts_event": 0, "ts_recv": self.clock[src], "prev": 0, "src": src,
            "seq": self.seq // 2 if symbol != UNSEQUENCED else 0,
        }  # fmt: skip
        return (
            m.Trade(**common, price=1.0, size=1.0) if kind == "trade" else m.Quote(**common, bid=1.0, ask=2.0)
        )

    # the log

    @rule(
        src=SRC,
        steps=st.lists(
            st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(["trade", "quote"]), STEP), max_size=6
        ),
    )
    def publish(self, src: int, steps: list[tuple[str, str, int]]) -> None:
        for symbol, kind, step in steps:
            if self.clock[src] + step < OF.end - 60 * NS:
                self.sent.append(self.make(src, symbol, kind, step))
                self.world.publish(self.sent[-1])

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 10**6), many=FEW)
    def resend(self, which: int, many: int) -> None:
        for one in self.sent[which % len(self.sent) :][:many]:
            self.world.publish(one)

    @rule(src=SRC, step=STEP)
    def beat(self, src: int, step: int = 1) -> None:
        if src in self.world.lives and self.clock[src] + step < OF.end - 60 * NS:
            self.clock[src] += step
            life = self.world.lives[src]
            self.world.publish(m.Heartbeat("*", 0, self.clock[src], 0, 0, src, life.since, 0))

    @rule(src=SRC)
    def bounce(self, src: int) -> None:
        self.close(src)
        self.open(src)

    def close(self, src: int) -> None:
        self.clock[src] += 1
        life = self.world.lives.pop(src)
        self.world.publish(m.Heartbeat("*", 0, self.clock[src], 0, 0, src, life.since, 0, 1))
        ends = {0: self.world.end(LIVE)}
        self.world.closed.append(structs.replace(life, closed=self.clock[src], closing=ends))

    @rule(seconds=st.integers(0, 60), many=FEW, symbol=st.sampled_from(SYMBOLS))
    def load(self, seconds: int, many: int, symbol: str) -> None:
        self.clock[1007] = max(self.clock[1007], T0 + seconds * NS)
        start = self.world.end(BACKFILL)
        made = [self.make(1007, symbol, "trade", 300_000_000) for _ in range(many)]
        self.world.extents.append(
            Extent(id=str(start), vendor=VENDOR, topic_id=BACKFILL.id, src=1007, start={0: start})
        )
        for one in made:
            self.world.publish(one, BACKFILL)
        self.end_extent(made[0].ts_recv, made[-1].ts_recv)

    def end_extent(self, first: int, last: int) -> None:
        extent = self.world.extents[-1]
        ends = {0: self.world.end(BACKFILL)}
        self.world.extents[-1] = structs.replace(extent, next=ends, first=first, last=last)

    @rule(
        src=st.sampled_from([1, 2, 1007]), symbol=st.sampled_from(["A", "*"]), at=st.integers(0, 40), long=FEW
    )
    def void(self, src: int, symbol: str, at: int, long: int) -> None:
        start = self.world.end(BACKFILL)
        self.world.extents.append(
            Extent(id=str(start), vendor=VENDOR, topic_id=BACKFILL.id, src=src, start={0: start})
        )
        first, end = T0 + at * NS, T0 + (at + long) * NS
        self.world.publish(m.Void(symbol, 0, first, 0, 0, src, end, start, "garbage"), BACKFILL)
        self.end_extent(first, end)

    @rule()
    def garbage(self) -> None:
        self.world.append(LIVE, max(self.clock.values()), b"\xc1 no message")

    # the writer

    @property
    def writer(self) -> Process:
        if self.process is None:
            self.process = Process(self.world)
        return self.process

    def dying(self, work: Any) -> None:
        try:
            work()
        except Killed:
            self.process = None

    @rule(pin=st.sampled_from([LIVE, LIVE, BACKFILL]), most=st.integers(1, 40))
    def read(self, pin: Any, most: int) -> None:
        self.dying(lambda: self.writer.take(pin, most))

    @rule(fuse=st.none() | st.integers(0, 12))
    def turn(self, fuse: int | None) -> None:
        self.dying(lambda: self.writer)
        self.world.fuse = fuse
        self.dying(lambda: self.writer.turn())
        self.world.fuse = None

    @rule(fuse=st.none() | st.integers(0, 4))
    def save(self, fuse: int | None) -> None:
        self.dying(lambda: self.writer)
        self.world.fuse = fuse
        self.dying(lambda: self.writer.save())
        self.world.fuse = None

    @rule()
    def drop(self) -> None:
        self.writer.drop()

    @rule()
    def kill(self) -> None:
        self.process = None

    @precondition(lambda self: self.process is not None)
    @rule()
    def stop(self) -> None:
        """It stands still with all that it holds; a successor begins."""
        self.stopped, self.process = self.process, None

    @precondition(lambda self: self.stopped is not None)
    @rule(most=st.integers(1, 40))
    def wake(self, most: int) -> None:
        """It goes on as if nothing had been, beside its successor."""
        assert self.stopped is not None
        self.stopped.take(LIVE, most)
        self.stopped.turn()
        self.stopped.save()

    # what must hold

    @invariant()
    def readers_see_what_the_log_has(self) -> None:
        messages, voids, signs = self.world.truth()
        for kind in ("trade", "quote"):
            one = self.world.libraries[kind]
            answer = tail.up_to_now(SETTINGS, one, SYMBOLS, OF)
            for symbol in SYMBOLS:
                wanted = build(
                    symbol, OF, messages[kind], voids, MARGIN, partition=0, signs=signs,
                    backfills=frozenset({BACKFILL.number}),
                ).kept  # fmt: skip
                seen = between(answer.columns[symbol], OF)
                assert _names(seen) == _names(wanted), (kind, symbol)

    def teardown(self) -> None:
        try:
            for src in sorted(self.world.lives):
                self.close(src)
            for _ in range(4):
                for pin in (LIVE, BACKFILL):
                    self.writer.take(pin, 10**6)
                self.writer.turn()
                self.writer.save()
            self.as_the_log_has_them()
        finally:
            self.monkeypatch.undo()

    def as_the_log_has_them(self) -> None:
        for kind, one in self.world.libraries.items():
            stand = dict(self.world.documents[kind])
            for window in one.windows(Slice(OF.start, max(self.clock.values()) + 1)):
                for symbol, built in self.world.due(kind, window).items():
                    document = stand.pop(documents.document_id(window.start, symbol), None)
                    assert document is not None, f"no document of {kind} {symbol} {window}"
                    assert document["content"] == built.content, f"{kind} {symbol} {window}"
                    for part in document["parts"]:
                        assert stand.pop(part)["build"] == document["build"], f"{part} is of another build"
            assert all(d["kept"]["n"] == d["duplicate"]["n"] == d["voided"]["n"] == 0 for d in stand.values())
        ends = {pin.id: self.world.end(pin) for pin in (LIVE, BACKFILL)}
        assert {key[0]: position.next for key, position in self.world.positions.items()} == ends
        bad = {o for o, row in enumerate(self.world.log[LIVE.name]) if row[2].startswith(b"\xc1")}
        assert self.world.undecodable == bad


def _names(columns: Any) -> list[tuple[int, int, int]]:
    stamps, topics, offsets = (columns[name].tolist() for name in ("ts_recv", "topic", "offset"))
    return list(zip(stamps, topics, offsets, strict=True))


PHASES = [phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain]
if len(SEEDS) <= 2:
    PHASES.remove(hypothesis.Phase.shrink)  # it may take longer than a test may: `make faults` has the time
TestWriting = Writing.TestCase
TestWriting.settings = hypothesis.settings(
    max_examples=15 * len(SEEDS), stateful_step_count=40, deadline=None, phases=PHASES,
    derandomize=len(SEEDS) <= 2,  # what nobody has seen yet is for campaigns to find
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much],
)  # fmt: skip


def writer_that_read_all(machine: Writing) -> Process:
    for pin in (LIVE, BACKFILL):
        machine.writer.take(pin, 10**6)
    machine.writer.turn()
    machine.writer.save()
    return machine.writer


@pytest.fixture
def machine() -> Any:
    """The machine, moved by hand."""
    machine = Writing()
    machine.begin()
    yield machine
    machine.teardown()


def test_a_reader_obeys_a_void_that_was_written_before_what_it_speaks_of_came(machine: Writing) -> None:
    """A collector that spooled brings it only now; the void's record lies below the saved position."""
    machine.publish(1, [("A", "trade", 6 * NS)] * 5)
    machine.void(2, "*", 10, 5)
    writer_that_read_all(machine)
    machine.publish(2, [("A", "trade", 6 * NS)] * 5)
    machine.readers_see_what_the_log_has()


def test_history_just_past_the_newest_live_message_is_written_though_nobody_goes_on(machine: Writing) -> None:
    machine.publish(1, [("A", "trade", 6 * NS)] * 3)
    machine.load(20, 1, "A")
    writer_that_read_all(machine)
    at = documents.document_id(T0 + 20 * NS, "A")
    assert machine.world.documents["trade"][at]["kept"]["n"] == 1
