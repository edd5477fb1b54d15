"""A slice replayed in time, stamped anew, onto a bus, from a tape: real Kafka, real mongod, real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from msgspec import structs

from tapedeck.errors import BadInput, Unavailable
from tapedeck.jobs import copying, plans, replay, to_zmq, together
from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.message import encode
from tapedeck.settings import WEEKDAYS, SessionTable, Settings
from tapedeck.slices import NS, Slice
from tapedeck.tape.segment import Segment, own_line
from tests import servers
from tests.published import VENDOR, Published, trade
from tests.topics import contents, row

T0 = 1_723_161_600 * NS
OF = Slice(T0, T0 + 10 * NS)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
MESSAGES = [trade(T0 + i * NS // 20, i + 1, SYMBOLS[i % 4]) for i in range(200)]


@pytest.fixture
def log(settings: Settings) -> Published:
    log = Published(settings)
    log.load(MESSAGES)
    return log


def run(settings: Settings, to: str, **more: object) -> Receipt:
    origin = Origin(who="test", started=time.time_ns())
    return replay.replay(settings, VENDOR, OF, to, origin=origin, **more)  # type: ignore[arg-type]


def topic(settings: Settings) -> str:
    return f"{settings.kafka.prefix}paced"


@contextmanager
def subscriber(address: str) -> Iterator[list[tuple[int, bytes]]]:
    """What comes at an address while this is open, each with its time (monotonic ns)."""
    found: list[tuple[int, bytes]] = []
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    socket.connect(address)
    ended = threading.Event()

    def take() -> None:
        while not ended.is_set() or socket.poll(200):
            if socket.poll(50):
                found.append((time.monotonic_ns(), socket.recv()))

    taking = threading.Thread(target=take)
    taking.start()
    try:
        yield found
    finally:
        ended.set()
        taking.join()
        socket.close(0)
        context.term()


@pytest.fixture
def address() -> str:
    return f"tcp://127.0.0.1:{servers.free_port()}"


def test_a_paced_replay_takes_its_time_and_its_receipt_says_how_late_it_was(
    settings: Settings, log: Published
) -> None:
    receipt = run(settings, f"kafka:{topic(settings)}", speed="10")
    held = contents(settings, topic(settings))
    assert sorted(r for part in held.values() for r in part) == sorted(map(row, MESSAGES))
    assert receipt.seconds > (MESSAGES[-1].ts_recv - T0) / NS / 10
    assert receipt.asked["speed"] == "10"
    assert receipt.lateness["messages"] == 200
    assert 0 <= receipt.lateness["p50"] <= receipt.lateness["p99"] <= receipt.lateness["max"]
    again = run(settings, f"kafka:{topic(settings)}", speed="10")
    assert (again.outcome, again.counts["already"], again.lateness) == ("unchanged", 200, {})
    assert again.before == again.after == receipt.after


def test_a_half_finished_paced_replay_is_completed(settings: Settings, log: Published) -> None:
    run(settings, f"kafka:{topic(settings)}", symbols=["ETHUSDT"])
    receipt = run(settings, f"kafka:{topic(settings)}", speed="1000")
    assert (receipt.counts["already"], receipt.counts["written"]) == (50, 150)
    held = contents(settings, topic(settings))
    assert sorted(r for part in held.values() for r in part) == sorted(map(row, MESSAGES))


@pytest.mark.parametrize("speed", ["max", "1000"])
def test_restamped_records_bear_the_time_of_the_replay_and_go_to_a_new_topic_only(
    settings: Settings, log: Published, speed: str
) -> None:
    before = time.time_ns() // 1_000_000
    receipt = run(settings, f"kafka:{topic(settings)}", restamp=True, speed=speed)
    records = [r for part in contents(settings, topic(settings)).values() for r in part]
    assert all(before <= ms <= time.time_ns() // 1_000_000 for _, ms, _ in records)
    assert sorted(value for _, _, value in records) == sorted(map(encode, MESSAGES))
    assert receipt.counts["written"] == 200
    again = run(settings, f"kafka:{topic(settings)}", restamp=True, speed=speed)
    assert (again.outcome, again.counts["already"], again.after) == ("unchanged", 200, receipt.after)
    assert sorted(records) == sorted(r for part in contents(settings, topic(settings)).values() for r in part)
    with pytest.raises(BadInput, match=r"already holds messages that this replay would not write"):
        run(settings, f"kafka:{topic(settings)}", restamp=True, speed=speed, kinds=["quote"])


@pytest.mark.parametrize("speed", ["max", "1000"])
def test_a_restamped_replay_that_was_killed_is_completed_without_a_double(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch, speed: str
) -> None:
    asked = {"restamp": True, "speed": speed}
    with monkeypatch.context() as dying:
        dying.setattr(copying.Copying, "finish", _dies)
        with pytest.raises(KeyboardInterrupt):
            run(settings, f"kafka:{topic(settings)}", **asked)
    held = [r for part in contents(settings, topic(settings)).values() for r in part]
    assert len(held) > 0
    receipt = run(settings, f"kafka:{topic(settings)}", **asked)
    assert receipt.counts["already"] == len(held)
    records = [r for part in contents(settings, topic(settings)).values() for r in part]
    assert sorted(value for _, _, value in records) == sorted(map(encode, MESSAGES))


def _dies(self: copying.Copying, *_: object) -> None:
    assert self.outbox is not None
    self.outbox.drain()
    raise KeyboardInterrupt


def test_a_bus_gets_every_message_in_one_order(settings: Settings, log: Published, address: str) -> None:
    with subscriber(address) as found:
        receipt = run(settings, f"zmq:{address}", symbols=["BTCUSDT", "SOLUSDT"])
    wanted = [encode(m) for m in MESSAGES if m.symbol in ("BTCUSDT", "SOLUSDT")]
    assert [value for _, value in found] == wanted
    assert (receipt.outcome, receipt.counts["written"]) == ("written", 100)


def test_a_paced_bus_keeps_the_tapes_time(settings: Settings, log: Published, address: str) -> None:
    with subscriber(address) as found:
        receipt = run(settings, f"zmq:{address}", speed="10")
    assert [value for _, value in found] == [encode(m) for m in MESSAGES]
    assert receipt.lateness["messages"] == 200
    assert found[-1][0] - found[0][0] > (MESSAGES[-1].ts_recv - T0) / 10 * 0.9


def test_a_bus_goes_on_where_one_that_was_killed_was_a_second_before(
    settings: Settings, log: Published, address: str
) -> None:
    order, plan = replay.prepare(settings, VENDOR, OF, f"zmq:{address}")
    kept = Kept(b"150")
    with subscriber(address) as found:
        (part,) = replay.parts(settings, order)
        done = replay.copy_part(settings, order, plan, part, checkpoint=kept)
    assert [value for _, value in found] == [encode(m) for m in MESSAGES[150:]]
    assert (done.messages, done.already, done.written) == (200, 150, 50)
    assert "went on from there" in done.notes[0]
    assert kept.state == b""
    plans.keep(settings, plan)
    receipt = replay.finish(settings, order, plan, [done], Origin(who="test", started=time.time_ns()))
    assert (receipt.outcome, receipt.counts["written"]) == ("written", 50)


def test_a_bus_keeps_each_second_how_many_were_sent(
    settings: Settings, log: Published, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_zmq, "SAVED_EVERY", 0.01)
    order, plan = replay.prepare(settings, VENDOR, OF, f"zmq:{address}", speed="4")
    kept = Kept()
    with subscriber(address) as found:
        done = replay.copy_part(settings, order, plan, replay.parts(settings, order)[0], checkpoint=kept)
    assert len(found) == done.written == 200
    counts = [int(state) for state in kept.states]
    assert counts == sorted(counts)
    assert len(set(counts)) > 1
    assert counts[-1] <= 200


def test_vendors_side_by_side_go_by_one_clock_each_to_its_own_target(
    settings: Settings, log: Published, tmp_path: Path
) -> None:
    later = [trade(T0 + 60 * NS + i * NS // 20, i + 1) for i in range(20)]
    Published(settings, "binance_spot").load(later)
    of = Slice(T0, T0 + 120 * NS)
    to = f"zmq:ipc://{tmp_path}/{{vendor}}"
    prepared = together.prepare(settings, [VENDOR, "binance_spot"], of, to, speed="15")
    with (
        subscriber(f"ipc://{tmp_path}/{VENDOR}") as ours,
        subscriber(f"ipc://{tmp_path}/binance_spot") as theirs,
    ):
        made = together.replayed(settings, prepared, origin=Origin(who="test", started=time.time_ns()))
    assert [value for _, value in ours] == [encode(m) for m in MESSAGES]
    assert [value for _, value in theirs] == [encode(m) for m in later]
    assert theirs[0][0] > ours[-1][0]  # due three seconds after it; by clocks of their own both at once
    assert [(r.vendor, r.counts["written"]) for r in made] == [(VENDOR, 200), ("binance_spot", 20)]


def test_vendors_side_by_side_as_fast_as_possible_have_topics_of_their_own(
    settings: Settings, log: Published
) -> None:
    Published(settings, "binance_spot").load([trade(T0 + i * NS, i + 1) for i in range(5)])
    vendors, to = [VENDOR, "binance_spot"], f"kafka:{settings.kafka.prefix}beside.{{vendor}}"
    for _ in range(2):
        made = together.replayed(
            settings, together.prepare(settings, vendors, OF, to),
            origin=Origin(who="test", started=time.time_ns()),
        )  # fmt: skip
    assert [(r.counts["messages"], r.counts["written"]) for r in made] == [(200, 0), (5, 0)]
    assert sum(map(len, contents(settings, f"{settings.kafka.prefix}beside.binance_spot").values())) == 5
    for names, target, why in [
        (vendors, "kafka:x", "2 vendors need a target each"),
        ([VENDOR, VENDOR], to, "named twice"),
        ([VENDOR, "binance_spt"], to, "did you mean 'binance_spot'"),
    ]:
        with pytest.raises(BadInput, match=why):
            together.prepare(settings, names, OF, target)


def test_closed_hours_are_left_out_and_a_slice_of_closed_hours_is_refused(
    settings: Settings, log: Published, address: str
) -> None:
    day = ["00:00-00:01", "20:00-24:00"]  # T0 is midnight
    tables = {"short": SessionTable(sessions=dict.fromkeys(WEEKDAYS, day))}
    vendor = structs.replace(settings.vendors[VENDOR], calendar="short")
    able = structs.replace(settings, calendars=tables, vendors={**settings.vendors, VENDOR: vendor})
    log.load([trade(T0 + 20 * 3600 * NS, 1000)], src=1008)
    asked = {"speed": "100", "skip_closed": True}
    whole = Slice(T0, T0 + 21 * 3600 * NS)
    order, plan = replay.prepare(able, VENDOR, whole, f"zmq:{address}", **asked)  # type: ignore[arg-type]
    assert "at 100 times real time, closed hours left out" in list(replay.shown(able, order, plan))
    with subscriber(address) as found:
        done = replay.copy_part(able, order, plan, replay.parts(able, order)[0])
    assert len(found) == done.written == 201  # and not a fifth of an hour later
    closed = Slice(T0 + 3600 * NS, T0 + 7200 * NS)
    with pytest.raises(BadInput, match=r"no venue of binance_usdm is open in"):
        replay.prepare(able, VENDOR, closed, f"zmq:{address}", **asked)  # type: ignore[arg-type]


class Kept(Checkpoint):
    """A checkpoint in memory, and all that it was."""

    def __init__(self, state: bytes = b"") -> None:
        self.state, self.states = state, list[bytes]()

    def load(self) -> bytes:
        return self.state

    def save(self, state: bytes) -> None:
        self.state = state
        self.states.append(state)

    def clear(self) -> None:
        self.state = b""


def test_a_bus_that_nobody_hears_is_refused(
    settings: Settings, log: Published, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_zmq.Sender.await_subscriber, "__defaults__", (0.1,))
    with pytest.raises(Unavailable, match=r"nobody has subscribed at .* nothing was sent"):
        run(settings, f"zmq:{address}")


def test_a_live_bus_is_refused(settings: Settings, log: Published) -> None:
    bus = settings.vendor(VENDOR).bus
    assert bus.startswith("zmq:tcp://127.0.0.1:")
    for to in (bus, bus.replace("127.0.0.1", "*")):
        with pytest.raises(BadInput, match=f"is the live bus of {VENDOR}: replay to another address"):
            replay.prepare(settings, VENDOR, OF, to)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Two segments: payloads of every kind, one a tenth of a second."""
    folder = tmp_path / "tape" / "1"
    folder.mkdir(parents=True)
    for n in range(2):
        segment = Segment(T0, n)
        begin = T0 + n * 5 * NS
        lines = [own_line("tape", begin, vendor=VENDOR, src=1, life=T0, n=n)]
        for i in range(50):
            payload = b"b64:AAoB" if i == 7 else b"%d.%d" % (n, i)
            lines.append(b"%d %b\n" % (begin + 1 + i * NS // 10, payload))
        lines.append(own_line("heartbeat", begin + 5 * NS - 1))
        segment.plain(folder).write_bytes(b"".join(lines))
    return folder


def test_a_tapes_payloads_are_sent_as_they_came(settings: Settings, tape: Path, address: str) -> None:
    with subscriber(address) as found:
        origin = Origin(who="test", started=time.time_ns())
        receipt = replay.replay(
            settings, VENDOR, Slice(T0 + 4 * NS, T0 + 6 * NS), f"zmq:{address}", origin=origin,
            from_tape=True, tape=str(tape), speed="10",
        )  # fmt: skip
    wanted = [b"0.%d" % i for i in range(40, 50)] + [b"1.%d" % i for i in range(10)]
    wanted[17] = b"\0\n\1"
    assert [value for _, value in found] == wanted
    assert (receipt.counts["written"], receipt.asked["tape"]) == (20, str(tape))
    assert found[-1][0] - found[0][0] > 0.15 * NS


def test_a_tape_that_lacks_the_slice_or_is_none_is_one_sentence(
    settings: Settings, tape: Path, address: str
) -> None:
    def asked(of: Slice, folder: Path) -> object:
        return replay.prepare(settings, VENDOR, of, f"zmq:{address}", from_tape=True, tape=str(folder))

    with pytest.raises(BadInput, match=r"has nothing of .*: it goes from 2024-08-09T00:00:00Z to"):
        asked(Slice(T0 - 60 * NS, T0 - 30 * NS), tape)
    with pytest.raises(BadInput, match="is no raw tape"):
        asked(OF, tape.parent)


def test_options_that_a_target_has_no_use_for_are_refused(settings: Settings, log: Published) -> None:
    for to, more, why in [
        ("zmq:tcp://127.0.0.1:1", {"restamp": True}, "only a topic's records can be stamped anew"),
        ("kafka:x", {"from_tape": True}, "raw payloads go onto a bus only"),
        ("kafka:x", {"speed": "0"}, "can't run at speed '0'"),
        ("kafka:x", {"speed": "-1"}, "can't run at speed '-1'"),
        ("zmq:tcp://127.0.0.1:1", {"from_tape": True, "kinds": ["trade"]}, "of all symbols and kinds"),
        ("kafka:x", {"rate": -1}, "can't read -1 records a second"),
        ("kafka:x", {"tape": "/x"}, "holds raw payloads"),
        ("kafka:x", {"skip_closed": True}, "as fast as possible waits for no closed hours"),
    ]:
        with pytest.raises(BadInput, match=why):
            replay.prepare(settings, VENDOR, OF, to, **more)  # type: ignore[arg-type]


def test_a_capped_replay_reads_no_faster(settings: Settings, log: Published) -> None:
    receipt = run(settings, f"kafka:{topic(settings)}", rate=20, symbols=["BTCUSDT"])
    assert receipt.counts["written"] == 50
    assert receipt.seconds >= 2.5


def test_the_plan_for_a_person_begins_with_the_slice_and_says_what_it_costs(
    settings: Settings, log: Published
) -> None:
    order, plan = replay.prepare(settings, VENDOR, OF, f"kafka:{topic(settings)}", speed="1")
    lines = list(replay.shown(settings, order, plan))
    assert lines[0] == f"{VENDOR} {OF}"
    said = "\n".join(lines)
    assert "at most 200 messages, about 1" in said
    assert "in about 10 s" in said
    assert lines[-1] == f"to kafka:{topic(settings)} holds 0 messages of it already"
