"""A road that stays at work from one test to the next: what a test costs is its market and its blows.

Each test plays a market of symbols of its own onto the road's bus. At the end the road says goodbye, and its
whole log is held against its whole tapes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tapedeck.buses import captured
from tapedeck.message import Message
from tapedeck.settings import Kafka, Mongo, Settings, Vendor
from tapedeck.settings import Tape as TapeSettings
from tapedeck.tape.segment import Segment, opened, own_of, segments
from tests import servers
from tests.tapes import FIRST, Running, check_log, lines_on, taped, until

PATIENCE = 60.0
WINDOW = 2
"""Seconds of a window: their edges lie within every pause."""


class Road:
    """Collectors of one bus and a writer."""

    def __init__(self, settings: Settings, vendor: str, sources: Sequence[int]) -> None:
        self.settings, self.vendor, self.sources = settings, vendor, sources
        self.collectors = [
            Running(settings, "collect", vendor, "--src", str(src)) for src in sources
        ]  # fmt: skip
        self.writers = [self._writer()]
        self._since = dict.fromkeys(sources, FIRST)

    def tape(self, src: int) -> Path:
        """A collector's tape."""
        return self.settings.tape_dir(self.vendor, src)

    def collector(self, src: int) -> Running:
        """The collector of that number."""
        return self.collectors[self.sources.index(src)]

    @property
    def writer(self) -> Running:
        """The writer at work."""
        return self.writers[-1]

    def kill_writer(self) -> None:
        """SIGKILL; another one takes its place."""
        self.writer.process.kill()
        self.writer.process.wait()
        self.writers.append(self._writer())

    @contextmanager
    def playing(self, market: Path, *more: str) -> Iterator[Running]:
        """A market on the bus, once all collectors listen; the block begins when each has heard of it."""
        self._since = {src: (segments(self.tape(src)) or [FIRST])[-1] for src in self.sources}
        first = {payload for (_, payload), _ in zip(captured.read(market), range(1000), strict=False)}
        with Running(
            self.settings, "simulate", self.vendor, str(market), "--json",
            "--wait-subscribers", str(len(self.sources)), *more,
        ) as player:  # fmt: skip
            until(lambda: all(first & {*self.heard(src)} for src in self.sources), PATIENCE, 0.1)
            yield player

    def since(self, src: int) -> Segment:
        """The segment that a collector wrote when the last market began."""
        return self._since[src]

    def heard(self, src: int) -> list[bytes]:
        """A collector's payloads since the last market began, and a few before it."""
        return lines_on(self.tape(src), since=self._since[src])

    def settle(self) -> None:
        """Return when every tape has all that its bus will bring: by its own word the bus is gone."""
        now = time.time_ns()
        until(lambda: all(self._alone_since(src) > now for src in self.sources), PATIENCE, 0.1)

    def _alone_since(self, src: int) -> int:
        """When the tape last said that it hears no bus; 0 where it does."""
        with opened(self.tape(src), segments(self.tape(src))[-1]) as file:
            lines = [line for line in file.read().split(b"\n")[:-1] if line.startswith(b"!heartbeat")]
        table = own_of(lines[-1])[1] if lines else {}
        return int(table["recv_ns"]) if not table.get("connected", True) else 0

    def taped(self, src: int) -> list[Message]:
        """What they say, statuses included."""
        return taped(self.settings, src, self.vendor, self._since[src])

    def end(self) -> None:
        """Say goodbye and hold the log against the tapes."""
        for collector in self.collectors:
            assert collector.end() == 0, collector.said
        for src in self.sources:
            check_log(self.settings, src, self.vendor)
        assert self.writer.end() == 0, self.writer.said

    def drop(self) -> None:
        """End all processes, whatever state they are in."""
        for process in (*self.collectors, *self.writers):
            process.__exit__()

    def _writer(self) -> Running:
        return Running(
            self.settings, "write", self.vendor,
            TAPEDECK_MONGO__URI=self.settings.mongo.uri,
            TAPEDECK_MONGO__DATABASE=self.settings.mongo.database,
            TAPEDECK_WRITER__SESSION="2s",
        )  # fmt: skip


class Roads:
    """Roads by vendor. One of a vendor at a time: Arctic's libraries are named by vendor."""

    def __init__(self, kafka: str, mongo: str) -> None:
        self._kafka, self._mongo = kafka, mongo
        self._standing: dict[str, tuple[Road, ExitStack]] = {}

    @contextmanager
    def taken(self, vendor: str, sources: Sequence[int] = (1, 2), margin: str = "30s") -> Iterator[Road]:
        """The road of that vendor; after a test that failed another one."""
        if vendor not in self._standing:
            self._standing[vendor] = self._begun(vendor, sources, margin)
        road, stack = self._standing[vendor]
        try:
            yield road
        except BaseException:
            del self._standing[vendor]
            stack.close()
            raise

    def close(self) -> None:
        """End all of them."""
        standing, self._standing = [*self._standing.values()], {}
        for road, stack in standing:
            with stack:
                road.end()

    def _begun(self, vendor: str, sources: Sequence[int], margin: str) -> tuple[Road, ExitStack]:
        unique, stack = f"r{uuid.uuid4().hex[:8]}", ExitStack()
        state = stack.enter_context(servers.state_dir())
        stack.callback(servers.clear, self._kafka, self._mongo, unique)
        windows = dict.fromkeys(("trade", "quote", "book"), WINDOW)
        bus = f"zmq:tcp://127.0.0.1:{servers.free_port()}"
        settings = Settings(
            state_dir=str(state),
            kafka=Kafka(bootstrap=self._kafka, partitions=4, prefix=f"{unique}."),
            mongo=Mongo(uri=self._mongo, database=f"tapedeck_{unique}"),
            tape=TapeSettings(segment_bytes=300_000),
            vendors={vendor: Vendor(bus=bus, symbols=["A"], window=windows, margin=margin)},
        )
        road = Road(settings, vendor, sources)
        stack.callback(road.drop)
        return road, stack
