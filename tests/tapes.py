"""For tests of the collector: tapes made by hand, and all that the log holds read back."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import psutil
from confluent_kafka import TopicPartition
from msgspec import structs

from tapedeck import vendors
from tapedeck.buses.captured import line_of
from tapedeck.clock import Stamps
from tapedeck.log import client, meta, topics
from tapedeck.log.meta import TopicPin
from tapedeck.log.plan import Range
from tapedeck.log.read import Records, read
from tapedeck.message import CONNECTED, DISCONNECTED, Heartbeat, Message, Status, decode
from tapedeck.metrics import Show, unheard
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.simulate import market
from tapedeck.tape.ending import Ending
from tapedeck.tape.follow import Follower
from tapedeck.tape.publish import publish
from tapedeck.tape.segment import Place, Segment, opened, own_line, own_of, segments
from tapedeck.tape.write import TapeWriter
from tapedeck.vendors import Chatter, Refusal
from tests import servers

VENDOR = "binance_usdm"
FIRST = Segment(0, 0)
"""Before every segment."""
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT")


def payloads(count: int, seed: int = 1, symbols: Sequence[str] = SYMBOLS) -> list[bytes]:
    """So many payloads of a synthetic market, of six symbols if no others are named."""
    made = market.generate(VENDOR, symbols, 1000.0, None, seed, 1_700_000_000 * 10**9)
    return [payload for (_, payload), _ in zip(made, range(count), strict=False)]


class Tape:
    """One life of a taper, moved by hand."""

    def __init__(
        self,
        settings: Settings,
        src: int = 1,
        stamps: Stamps | None = None,
        size: int = 2**28,
        name: str = VENDOR,
    ) -> None:
        self.folder = settings.tape_dir(name, src)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stamps = stamps or Stamps()
        self.writer = TapeWriter(
            self.folder, name, src, self.stamps,
            segment_bytes=size, segment_seconds=10**9, closed=lambda segment: None,
        )  # fmt: skip
        self.life = self.writer.life

    def take(self, *payloads: bytes) -> list[int]:
        """Record payloads; gives their receipt times."""
        stamps = [self.stamps.take(len(payload)) for payload in payloads]
        self.writer.write(b"".join(map(line_of, stamps, payloads)))
        return stamps

    def own(self, word: str, **more: object) -> int:
        """Record a line of the taper's own; gives its receipt time."""
        stamp = self.stamps.take()
        self.writer.write(own_line(word, stamp, **more))
        return stamp

    def end(self) -> int:
        """Say goodbye; gives the closing heartbeat's receipt time."""
        stamp = self.own("heartbeat", closing=True)
        self.writer.close()
        return stamp


@contextmanager
def publishing(
    settings: Settings, src: int = 1, patience: float = 15.0, show: Show = unheard, part: int = 0
) -> Iterator[list[str]]:
    """A publisher at work during the block, which then ends as on SIGTERM; gives what it warned of."""
    ending, said = Ending(patience=patience), list[str]()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            publish(settings, VENDOR, src, ending, said.append, show=show, part=part)
        except BaseException as e:
            failed.append(e)
            said.append(f"the publisher ended: {e!r}")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield said
    finally:
        ending.ask()
        thread.join(patience + 60)
        assert not thread.is_alive()
    if failed:
        raise failed[0]


def publish_all(settings: Settings, src: int = 1) -> list[str]:
    """Publish what is on the tape and end."""
    with publishing(settings, src) as said:
        pass
    return said


def shared(settings: Settings, publishers: int) -> Settings:
    """These settings, with so many publishers to a tape."""
    vendor = structs.replace(settings.vendor(VENDOR), publishers=publishers)
    return structs.replace(settings, vendors={**settings.vendors, VENDOR: vendor})


@contextmanager
def all_publishing(settings: Settings, publishers: int) -> Iterator[list[str]]:
    """So many publishers at work; who leads ends last, as a collector ends them."""
    said, heard = list[str](), list[list[str]]()
    with ExitStack() as stack:
        for part in range(publishers):
            own = publishing(shared(settings, publishers), part=part, patience=120.0)  # they wait for others
            heard.append(stack.enter_context(own))
        yield said
    said += [sentence for one in heard for sentence in one]


def records(settings: Settings, pin: TopicPin) -> list[list[Records]]:
    """Every record of a topic, by partition."""
    ranges = []
    with client.consumer(settings) as consumer:
        for p in range(pin.partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(pin.name, p), 10)
            ranges.append(
                Range(
                    topic=pin.name, topic_id=pin.id, number=pin.number, partition=p,
                    start=low, stop=high, start_reason="exact", stop_reason="watermark",
                )
            )  # fmt: skip
    return [list(read(settings, [r])) for r in ranges]


def messages(settings: Settings, pin: TopicPin) -> list[list[Message]]:
    """Every message and control record of a topic, by partition, in the log's order."""
    return [
        [decode(value) for part in partition for value in part.values] for partition in records(settings, pin)
    ]


def name_of(message: Message) -> tuple[int, str, str, int]:
    """What names a message for ever (DESIGN §2.1)."""
    return message.src, type(message).__name__, message.symbol, message.ts_recv


def firsts(log: Sequence[Message]) -> list[Message]:
    """The first occurrence of each name, heartbeats left out."""
    seen = set()
    found = []
    for message in log:
        if not isinstance(message, Heartbeat) and name_of(message) not in seen:
            seen.add(name_of(message))
            found.append(message)
    return found


def until(what: Callable[[], bool], seconds: float = 30.0, every: float = 0.02) -> None:
    """Wait for something that must come to pass."""
    pause = threading.Event()
    for _ in range(int(seconds / every)):
        if what():
            return
        pause.wait(every)
    raise AssertionError(f"it did not come to pass within {seconds} s")


def files(folder: Path) -> list[str]:
    """Names of the tape's segments as they lie there."""
    return sorted(path.name for path in folder.iterdir() if ".tape" in path.name)


def variables(settings: Settings) -> dict[str, str]:
    """The environment in which another process has these settings."""
    vendors = {
        name: {
            "bus": vendor.bus,
            "symbols": vendor.symbols,
            "window": vendor.window,
            "margin": vendor.margin,
            "publishers": vendor.publishers,
        }
        for name, vendor in settings.vendors.items()
    }
    return {
        "TAPEDECK_STATE_DIR": settings.state_dir,
        "TAPEDECK_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "TAPEDECK_KAFKA__PREFIX": settings.kafka.prefix,
        "TAPEDECK_KAFKA__PARTITIONS": str(settings.kafka.partitions),
        "TAPEDECK_TAPE__SEGMENT_BYTES": str(settings.tape.segment_bytes),
        "TAPEDECK_VENDORS": json.dumps(vendors),
    }


class Running:
    """A `tapedeck` process at work; ended with the block, whatever happened in it."""

    command: ClassVar[Sequence[str]] = (str(servers.PROGRAM),)

    def __init__(self, settings: Settings, *words: str, **more: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TAPEDECK_")}
        self.log = Path(settings.state_dir).parent / f"{words[0]}-{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*self.command, *words], env=kept | variables(settings) | more, stdout=log, stderr=log
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self.log.read_text()

    def halves(self) -> dict[str, int]:
        """Pids of a collector's `taper` and `publisher`, as far as they run."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # a zombie, too
                words = child.cmdline()
                if "-m" not in words:  # not yet what it will be
                    continue
                found[words[words.index("-m") + 1].removeprefix("live.")] = child.pid
        return found

    def end(self) -> int:
        """SIGTERM, and the status with which it ended."""
        self.process.terminate()
        return self.process.wait(60)


def lines_on(tape: Path, after: int = 0, since: Segment = FIRST) -> list[bytes]:
    """The bus's payloads on a tape, of the lives after that one and from that segment on, in order."""
    found: list[bytes] = []
    for segment in segments(tape):
        if segment.life > after and segment >= since:
            found += _payloads(tape, segment)
    return found


def _payloads(tape: Path, segment: Segment) -> list[bytes]:
    with opened(tape, segment) as file:
        whole = b"".join(iter(lambda: file.read(2**20), b"")).split(b"\n")[:-1]
    return [line.partition(b" ")[2] for line in whole if not line.startswith(b"!")]


def taped(settings: Settings, src: int = 1, name: str = VENDOR, since: Segment = FIRST) -> list[Message]:
    """What a collector's tape, from that segment on, must have become, in the tape's order, without
    heartbeats."""
    vendor, found = vendors.get(name), list[Message]()
    follower = Follower(settings.tape_dir(name, src), Place(since, 0) if since > FIRST else None)
    while chunk := follower.read():
        for line in chunk.data.split(b"\n")[:-1]:
            if line.startswith(b"!"):
                word, table = own_of(line)
                if word in ("connect", "disconnect"):
                    code = CONNECTED if word == "connect" else DISCONNECTED
                    found.append(Status("*", 0, table["recv_ns"], 0, 0, src, code, table["why"]))
            else:
                stamp, _, payload = line.partition(b" ")
                said = vendor.normalise(payload, int(stamp), src)
                found += [one for one in said if not isinstance(one, Refusal | Chatter)]
    follower.close()
    return found


def check_log(settings: Settings, src: int = 1, name: str = VENDOR) -> tuple[int, int]:
    """Hold what the live topic has of a collector against its whole tape: nothing lost, first occurrences in
    order in each partition, every heartbeat's count true. Gives how many messages, and how many records that
    were resends."""
    pin = topics.verify(settings, name).live[0]
    wanted = taped(settings, src, name)
    count = resent = 0
    for p, whole in enumerate(messages(settings, pin)):
        log = [message for message in whole if message.src == src]
        mine = [m for m in wanted if m.symbol == "*" or partition_of(m.symbol, pin.partitions) == p]
        found = firsts(log)
        assert found == mine
        home = p == partition_of("*", pin.partitions)
        sent: dict[int, int] = {}
        names = set()
        for message in log:
            if isinstance(message, Heartbeat):
                assert message.sent == sum(1 for ts in sent if message.since <= ts < message.ts_recv), (
                    f"heartbeat {message} in partition {p}"
                )
            elif message.symbol != "*" or home:
                sent[message.ts_recv] = 1
            names.add(name_of(message))
        count += len(found)
        resent += len(log) - len(names)
    return count, resent


def check_grown(settings: Settings, src: int = 1, resends: bool = False) -> tuple[int, int]:
    """`check_log` of a vendor that has grown: each line of the tape is in one topic, in the tape's order."""
    pins = topics.verify(settings, VENDOR).live
    logs = [(pin, p, log) for pin in pins for p, log in enumerate(messages(settings, pin))]
    said = [
        one
        for pin, p, log in logs
        for one in log
        if not isinstance(one, Heartbeat) and (one.symbol != "*" or p == partition_of("*", pin.partitions))
    ]
    names = Counter(map(name_of, said))
    assert names.keys() == {name_of(one) for one in taped(settings, src)}
    assert resends or set(names.values()) == {1}, "a message is in two topics"
    moved = {life.topic_id: life.since for life in meta.read(settings).lives if life.moved}
    for pin, p, log in logs:
        found = firsts(log)
        assert [one.ts_recv for one in found] == sorted(one.ts_recv for one in found)
        assert all(one.ts_recv >= moved.get(pin.id, 0) for one in log) or resends
        stamps = {one.ts_recv for one in found if one.symbol != "*" or p == partition_of("*", pin.partitions)}
        for beat in (one for one in log if isinstance(one, Heartbeat)):
            assert beat.sent == sum(beat.since <= ts < beat.ts_recv for ts in stamps), (
                f"{beat} in {pin.name}[{p}]"
            )
    return len(names), len(said) - len(names)
