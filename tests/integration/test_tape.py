"""The taper on a real ZeroMQ bus: every payload byte for byte, stamps of one clock, a clean goodbye."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import zmq

from tapedeck import buses, vendors
from tapedeck.buses import captured
from tapedeck.clock import Stamps
from tapedeck.settings import Settings, Vendor
from tapedeck.settings import Tape as TapeSettings
from tapedeck.slices import NS
from tapedeck.tape import position
from tapedeck.tape.follow import Follower
from tapedeck.tape.position import Lane, Position
from tapedeck.tape.segment import own_of, segments
from tapedeck.tape.taper import Taped, tape
from tests.servers import free_port
from tests.tapes import VENDOR, payloads, until


class Market:
    """A publishing socket that sends once somebody listens."""

    def __init__(self, port: int) -> None:
        self.context = zmq.Context[zmq.Socket[bytes]]()
        self.socket = self.context.socket(zmq.XPUB)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.bind(f"tcp://127.0.0.1:{port}")

    def send(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.socket.send(payload)

    def await_listener(self) -> None:
        assert self.socket.poll(10_000)
        assert self.socket.recv() == b"\x01"

    def close(self) -> None:
        self.socket.close(5_000)
        self.context.term()


@pytest.fixture
def deck(tmp_path: Path) -> Settings:
    bus = f"zmq:tcp://127.0.0.1:{free_port()}"
    return Settings(state_dir=str(tmp_path / "state"), vendors={VENDOR: Vendor(bus=bus)})


@pytest.fixture
def venue(deck: Settings) -> Iterator[Market]:
    made = Market(int(deck.vendor(VENDOR).bus.rpartition(":")[2]))
    yield made
    made.close()


@contextmanager
def taping(deck: Settings) -> Iterator[list[Taped]]:
    """A taper at work during the block, which then ends as on SIGTERM; gives what it did, once it has."""
    bus = buses.open(deck.vendor(VENDOR).bus, vendors.get(VENDOR), [])
    stop, done = threading.Event(), list[Taped]()
    thread = threading.Thread(target=lambda: done.append(tape(deck, VENDOR, 1, bus, stop.is_set, print)))
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join(30)
        bus.close()
    assert done


def lines(deck: Settings) -> list[bytes]:
    follower = Follower(deck.tape_dir(VENDOR, 1))
    found = []
    while chunk := follower.read():
        found += chunk.data.split(b"\n")[:-1]
    follower.close()
    return found


def taped(deck: Settings) -> list[tuple[int, bytes]]:
    """What any reader of captured files finds on the tape."""
    return [captured.parse(line, "tape", 0) for line in lines(deck) if line[:1] != b"!"]


def own(deck: Settings) -> list[tuple[str, dict[str, object]]]:
    return [own_of(line) for line in lines(deck) if line[:1] == b"!"]


def test_every_payload_is_on_the_tape_byte_for_byte_whatever_it_holds(deck: Settings, venue: Market) -> None:
    odd = [b"", b"!heartbeat {}", b"b64:AAAA", b'{"a":\n1}', bytes(range(256)), b"\n", b"{\r}", b" "]
    sent = [*payloads(3000), *odd, *payloads(10)]
    with taping(deck) as done:
        venue.await_listener()
        venue.send(*sent)
        until(lambda: len(taped(deck)) == len(sent))
    assert [payload for _, payload in taped(deck)] == sent
    assert done[0].messages == len(sent)


def test_stamps_strictly_increase_and_leave_room_for_every_k(deck: Settings, venue: Market) -> None:
    with taping(deck):
        venue.await_listener()
        venue.send(*[b"x" * 50_000] * 200)
        until(lambda: len(taped(deck)) == 200)
    stamps = [at for at, _ in taped(deck)]
    assert all(later - earlier >= 50_000 for earlier, later in pairwise(stamps))


def test_a_message_is_on_the_tape_before_the_taper_waits_for_more(deck: Settings, venue: Market) -> None:
    with taping(deck):
        venue.await_listener()
        for count in (1, 2, 3):
            venue.send(b"{}")
            until(lambda wanted=count: len(taped(deck)) == wanted)  # type: ignore[misc]


def test_the_tape_says_when_the_bus_was_connected_that_the_taper_lives_and_goodbye(
    deck: Settings, venue: Market
) -> None:
    with taping(deck) as done:
        venue.await_listener()
        until(lambda: sum(word == "heartbeat" for word, _ in own(deck)) >= 2)
        venue.close()
        until(lambda: any(word == "disconnect" for word, _ in own(deck)))
    said = own(deck)
    assert [word for word, _ in said if word != "heartbeat"] == ["tape", "connect", "disconnect"]
    assert said[0][1]["life"] == done[0].life == said[0][1]["recv_ns"]
    assert [table.get("closing", False) for word, table in said if word == "heartbeat"][-1] is True
    stamps = [int(str(table["recv_ns"])) for _, table in said]
    assert stamps == sorted(set(stamps))
    assert [p.suffix for p in deck.tape_dir(VENDOR, 1).glob("*.tape*")] == [".zst"]


def test_what_waits_on_the_bus_is_taken_before_the_goodbye(deck: Settings, venue: Market) -> None:
    with taping(deck) as done:
        venue.await_listener()
        venue.send(*[b"{}"] * 20_000)
        until(lambda: len(lines(deck)) > 1)
    assert done[0].messages == len(taped(deck))
    assert own_of(lines(deck)[-1])[1]["closing"] is True


def test_a_segment_ends_at_its_size_and_its_life_goes_on(deck: Settings, venue: Market) -> None:
    small = Settings(state_dir=deck.state_dir, vendors=deck.vendors, tape=TapeSettings(segment_bytes=100_000))
    with taping(small) as done:
        venue.await_listener()
        for count in (100, 200, 300, 400, 500):
            venue.send(*[b"x" * 1000] * 100)
            until(lambda wanted=count: len(taped(deck)) == wanted)  # type: ignore[misc]
    found = segments(deck.tape_dir(VENDOR, 1))
    assert len(found) > 2
    assert {s.life for s in found} == {done[0].life}
    assert [table["n"] for word, table in own(deck) if word == "tape"] == list(range(len(found)))
    assert len(taped(deck)) == 500


def test_a_new_life_stamps_above_all_that_was_issued_even_where_only_the_position_is_left(
    deck: Settings,
) -> None:
    folder = deck.tape_dir(VENDOR, 1)
    folder.mkdir(parents=True)
    ahead = Stamps().take() + 3600 * NS
    position.save(folder, Position(topic_id="x", lanes=[Lane("", 0, 0)], stamp=ahead))
    with taping(deck) as first:
        until(lambda: len(lines(deck)) > 1)
    assert first[0].life > ahead
    with taping(deck) as second:
        until(lambda: len(segments(folder)) == 2)
    assert second[0].life > first[0].life
