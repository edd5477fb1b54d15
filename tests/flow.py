"""A vendor's log that is being written for as long as a test needs, who reads it meanwhile, and what is true
of Arctic in the end."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import KafkaException
from msgspec import structs
from pymongo.errors import PyMongoError

from tapedeck import message as m
from tapedeck.errors import Incomplete, Mismatch, Unavailable
from tapedeck.log import client
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings, Writer
from tapedeck.slices import NS, Slice
from tapedeck.store import check, library, positions, undecodable
from tapedeck.store.read import read
from tapedeck.store.rebuild import rebuild
from tests.faulty import Orders, within
from tests.published import HOUR, T0, VENDOR, Published, environment, trade
from tests.servers import PROGRAM

OF = Slice(T0, T0 + HOUR)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "LTCUSDT", "XRPUSDT")
STEP = 2
"""Seconds of the market in each beat."""
BEAT_SECONDS = 0.1
SECONDS = 3000
"""The market ends there, within OF."""
LATE_SECONDS = 40
PATIENCE = 180.0


def quick(settings: Settings, **writer: Any) -> Settings:
    """Windows of ten seconds, which close soon, and a group that soon gives up a dead writer."""
    vendor = structs.replace(
        settings.vendors[VENDOR], symbols=list(SYMBOLS), window={"trade": 10}, margin="2s", lateness="10s"
    )
    asked: dict[str, Any] = {"grace": "15s", "late_every": "300ms", "session": "2s", **writer}
    return structs.replace(settings, vendors={VENDOR: vendor}, writer=Writer(**asked))


class Flow:
    """Publishes trades of four symbols during the block, twenty seconds of a market in a real one at most.

    One collector is on time and resends what lies behind closed windows; another brings its few messages only
    when their windows are closed; some records are no messages. `sent`: by symbol, the ts_recv of what was
    handed to Kafka; `acked`: of what Kafka has acknowledged. A `calm` one has nothing late and nothing again,
    so no window is written twice.
    """

    def __init__(self, settings: Settings, seed: int = 0, *, calm: bool = False) -> None:
        self._slow, self._again = (0.0, 0) if calm else (0.05, 2)
        self.log, self._settings, self._dice = Published(settings), settings, random.Random(seed)
        self.sent: dict[str, list[int]] = {symbol: [] for symbol in SYMBOLS}
        self.acked: dict[str, list[int]] = {symbol: [] for symbol in SYMBOLS}
        self.failed: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Flow:
        for src in (1, 2):
            self.log.register(T0, src)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def messages(self) -> int:
        """How many Arctic must hold in the end."""
        return sum(map(len, self.acked.values()))

    def end(self) -> None:
        """Let the collectors say goodbye; all is acknowledged then."""
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self.failed is not None:
            raise self.failed

    def _work(self) -> None:
        try:
            at, past, late = 0, list[m.Trade](), list[m.Trade]()
            while not self._stop.wait(BEAT_SECONDS) and at < SECONDS:
                mine: list[m.Trade] = []
                for i in range(at, at + STEP):
                    for k, symbol in enumerate(SYMBOLS):
                        slow = self._dice.random() < self._slow
                        one = trade(T0 + i * NS + k, i + 1, symbol, 2 if slow else 1)
                        (late if slow else mine).append(one)
                at += STEP
                again = self._dice.sample(past, min(len(past), self._again))
                _until_done(lambda mine=mine, again=again: self._publish(mine, again))  # type: ignore[misc]
                past += mine
                if late and late[0].ts_recv < T0 + (at - LATE_SECONDS) * NS:
                    _until_done(lambda late=late: self._publish(late, []))  # type: ignore[misc]
                    shown = late[-1].ts_recv + 1
                    _until_done(lambda shown=shown: self.log.beat(shown, 2))  # type: ignore[misc]
                    late = []
                if self._dice.random() < 0.1:
                    _until_done(lambda at=at: self.log.garbage(T0 + at * NS))  # type: ignore[misc]
                _until_done(lambda at=at: self.log.beat(T0 + at * NS))  # type: ignore[misc]
            _until_done(lambda: self._publish(late, []))
            for src in (1, 2):
                _until_done(lambda src=src: self.log.close(T0 + (at + 60) * NS, src))  # type: ignore[misc]
        except BaseException as e:
            self.failed = e

    def _publish(self, fresh: list[m.Trade], again: list[m.Trade]) -> None:
        """All of it once more after a failure is no more than a resend."""
        for one in fresh:
            self.sent[one.symbol].append(one.ts_recv)
        producer, live = client.producer(self._settings), self.log.live
        for one in (*fresh, *again):
            self.log.record(producer, live, partition_of(one.symbol, live.partitions), one)
        assert producer.flush(PATIENCE) == 0
        for one in fresh:
            self.acked[one.symbol].append(one.ts_recv)


def _until_done(step: Callable[[], None]) -> None:
    """Do it, again until Kafka takes it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return step()
        except (Unavailable, KafkaException, AssertionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


class Reader:
    """Reads up to now, again and again during the block, and holds each answer to the log: what was
    acknowledged before it began is there, nothing that was not sent before it ended, in order and once."""

    def __init__(self, settings: Settings, flow: Flow) -> None:
        self._settings, self._flow = settings, flow
        self.reads = self.refused = 0
        self.wrong: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stop.wait(0.2):
            for symbol in SYMBOLS:
                before = list(self._flow.acked[symbol])
                try:
                    frame = read(
                        f"{VENDOR}.trade", symbol, OF.start, OF.end, ["seq"], settings=self._settings
                    )
                except (Unavailable, Incomplete, KafkaException):
                    self.refused += 1
                    continue
                except Mismatch as e:  # a broker that is just back does not know its topics for a moment
                    if self._flow.log.live.name not in str(e):
                        self.wrong.append(repr(e))
                    self.refused += 1
                    continue
                except BaseException as e:
                    self.wrong.append(repr(e))
                    return
                self.reads += 1
                self._hold(symbol, frame.index.asi8.tolist(), before, list(self._flow.sent[symbol]))

    def _hold(self, symbol: str, seen: list[int], before: list[int], sent: list[int]) -> None:
        if seen != sorted(set(seen)):
            self.wrong.append(f"{symbol}: rows twice or out of order")
        if lacking := sorted(set(before) - set(seen)):
            self.wrong.append(f"{symbol}: lacks {[(t - T0) / NS for t in lacking][:5]} of {len(lacking)}")
        if alien := set(seen) - set(sent):
            self.wrong.append(f"{symbol}: {len(alien)} rows that nobody sent")


class Process:
    """`tapedeck write`; ended with the block, whatever happened in it. `processes`: of more than one, each is
    started again when it dies."""

    def __init__(
        self, settings: Settings, *, processes: int = 1, orders: Orders | None = None, careless: bool = False
    ) -> None:
        self.log = Path(settings.state_dir).parent / f"writer-{time.monotonic_ns()}.log"
        more = within(orders, careless) if orders is not None or careless else {}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(PROGRAM), "write", VENDOR, "--processes", str(processes)],
                env=environment(settings) | more, stdout=log, stderr=log,
            )  # fmt: skip

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            crew = self.crew
            self.process.kill()
            for one in crew:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        self.process.wait()

    @property
    def crew(self) -> list[psutil.Process]:
        """The processes that it has started, if it is not alone."""
        return psutil.Process(self.process.pid).children()

    @property
    def said(self) -> str:
        return self.log.read_text()

    def end(self) -> int:
        """SIGTERM, and the status with which it ended."""
        self.process.terminate()
        return self.process.wait(PATIENCE)


def await_that(true: Callable[[], bool], what: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for what must come to pass; what MongoDB or Kafka do not answer is asked again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except (Unavailable, Incomplete, KafkaException, PyMongoError):
            pass
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def stored(settings: Settings) -> int:
    """How many messages Arctic's documents say they hold."""
    one = library.ensure(settings, VENDOR)["trade"]
    return sum(d["kept"]["n"] for d in one.collection.find({}, {"kept": 1}))


def read_to_the_end(settings: Settings, flow: Flow) -> bool:
    """Whether the saved positions are those of the log's ends: all is in Arctic, the writer says."""
    saved = positions.read(settings, VENDOR)
    return all(
        (pin.id, p) in saved and saved[pin.id, p].next == end
        for pin in flow.log.topics.log
        for p, end in flow.log.ends(pin).items()
    )


def lacking(settings: Settings, flow: Flow) -> int:
    """How many messages of the log Arctic lacks, or has twice."""
    one = library.ensure(settings, VENDOR)["trade"]
    wanted = {(symbol, ts) for symbol, stamps in flow.acked.items() for ts in stamps}
    there = [
        (document["sy"], ts)
        for document in one.collection.find({})
        for ts in _stamps(document)
    ]  # fmt: skip
    return len(wanted - set(there)) + len(there) - len(set(there))


def _stamps(document: dict[str, Any]) -> list[int]:
    from tapedeck.store import documents

    return documents.stored(document).rows("trade")["ts_recv"].tolist()  # type: ignore[no-any-return]


def is_right(settings: Settings, flow: Flow, writer: Process) -> None:
    """The flow is over: Arctic comes to hold the log, each message once, as a rebuild and a check find."""
    await_that(
        lambda: read_to_the_end(settings, flow) or writer.process.poll() is not None,
        lambda: (stored(settings), flow.messages, writer.said),
    )
    assert writer.process.poll() is None, writer.said
    assert lacking(settings, flow) == 0, writer.said
    assert writer.end() == 0, writer.said
    entered = undecodable.count(settings, VENDOR, OF)
    done = rebuild(settings, VENDOR, OF)
    assert (done.written, done.messages, done.undecodable) == (0, flow.messages, entered), done
    assert check.check(settings, VENDOR, OF).faults == ()


@contextmanager
def watched(settings: Settings, seed: int = 0) -> Iterator[Flow]:
    """A flow that is read all the while; fails where any reader saw what the log does not justify."""
    with Flow(settings, seed) as flow:
        with Reader(settings, flow) as reader:
            yield flow
        assert not reader.wrong, reader.wrong[:5]
        assert reader.reads > 0, "nobody could read"
