"""Loading captures: each message once by its name, whatever was loaded, refused or killed before."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from msgspec import structs

from tapedeck.buses.captured import content_source, line_of
from tapedeck.errors import BadInput, Unavailable
from tapedeck.log import meta, quarantine, topics
from tapedeck.message import Book, Message
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.simulate import capture as recording
from tapedeck.simulate import market
from tapedeck.slices import NS, Slice
from tapedeck.tape import load as loading
from tapedeck.tape import lock
from tapedeck.tape.load import Loaded
from tests.servers import tapedeck
from tests.tapes import SYMBOLS, VENDOR, Running, Tape, messages, name_of, payloads, until, variables

DAY = 1_723_161_600 * NS
NAMELESS = b'{"lastUpdateId":7,"E":1723161600000,"T":1723161600000,"bids":[["1.5","2"]],"asks":[["1.6","3"]]}'
REASON = "snapshot names no symbol; load it with --symbol"


def load(settings: Settings, path: Path, symbol: str | None = None) -> Loaded:
    [file] = loading.check(VENDOR, [path], symbol)
    return loading.load(settings, VENDOR, file, symbol)


def write(path: Path, *lines: tuple[int, bytes]) -> Path:
    path.write_bytes(b"".join(line_of(at, payload) for at, payload in lines))
    return path


def history(path: Path, count: int = 500, seed: int = 1) -> Path:
    """A capture of so many messages, the tenth of which names no symbol."""
    lines = [(DAY + i * 1000, p) for i, p in enumerate(payloads(count, seed))]
    lines.insert(10, (DAY + 9_500, NAMELESS))
    return write(path, *lines)


def backfilled(settings: Settings) -> list[Message]:
    """All messages in the backfill topic; each is in its symbol's partition."""
    pin = topics.verify(settings, VENDOR).backfill
    log = messages(settings, pin)
    for p, part in enumerate(log):
        assert all(partition_of(m.symbol, pin.partitions) == p for m in part)
    return [m for part in log for m in part]


def test_a_capture_is_published_with_its_own_receipt_times_and_an_extent_that_names_it(
    settings: Settings, tmp_path: Path
) -> None:
    path = history(tmp_path / "a.txt")
    done = load(settings, path)
    src = content_source(path)
    assert (sum(done.messages.values()), done.refused, done.present) == (500, {REASON: 1}, 0)
    found = backfilled(settings)
    assert sorted(m.ts_recv for m in found) == [DAY + i * 1000 for i in range(500)]
    assert {m.src for m in found} == {src} == {done.src}
    assert Counter(type(m).__name__.lower() for m in found) == done.messages
    pin = topics.verify(settings, VENDOR).backfill
    [extent] = meta.read(settings).extents
    assert (extent.topic_id, extent.src) == (pin.id, src)
    assert (extent.first, extent.last) == (DAY, DAY + 499_000)
    assert extent.next is not None
    assert sum(extent.next[p] - extent.start[p] for p in range(pin.partitions)) == 500


def test_loading_again_adds_nothing_and_a_symbol_redeems_the_nameless_and_adds_nothing_else(
    settings: Settings, tmp_path: Path
) -> None:
    path = history(tmp_path / "a.txt")
    load(settings, path)
    again = load(settings, path)
    assert (again.messages, again.refused, again.present) == ({}, {}, 501)
    assert len(meta.read(settings).extents) == 1
    day = Slice(DAY, DAY + NS)
    assert quarantine.count(settings, VENDOR, day) == 1
    redeemed = load(settings, path, "BTCUSDT")
    assert (redeemed.messages, redeemed.redeemed, redeemed.present) == ({"book": 1}, 1, 500)
    assert quarantine.count(settings, VENDOR, day) == 0
    for symbol in ("BTCUSDT", None, "ETHUSDT"):
        more = load(settings, path, symbol)
        assert (more.messages, more.refused, more.redeemed, more.present) == ({}, {}, 0, 501)
    found = backfilled(settings)
    assert Counter(map(name_of, found)).most_common(1)[0][1] == 1
    [snapshot] = [m for m in found if isinstance(m, Book) and m.snapshot]
    assert (snapshot.symbol, snapshot.ts_recv, snapshot.seq) == ("BTCUSDT", DAY + 9_500, 7)
    assert len(found) == 501


def test_a_symbol_that_the_file_never_names_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="and never LTCUSDT"):
        load(settings, history(tmp_path / "a.txt"), "LTCUSDT")


def test_packed_and_renamed_the_same_capture_is_the_same_source(settings: Settings, tmp_path: Path) -> None:
    plain = history(tmp_path / "a.txt")
    lines = [(int(s), p) for s, _, p in (row.partition(b" ") for row in plain.read_bytes().splitlines())]
    packed = tmp_path / "b.zst"
    recording.write(packed, lines)
    load(settings, plain)
    assert load(settings, packed).present == 501


def test_receipt_times_are_raised_only_where_one_is_not_above_the_message_before(
    settings: Settings, tmp_path: Path
) -> None:
    good = payloads(4)
    path = write(
        tmp_path / "a.txt",
        (DAY, good[0]), (DAY, b'{"result":null,"id":1}'), (DAY, good[1]), (DAY - 5, good[2]),
        (DAY + 2, NAMELESS), (DAY + 9, good[3]),
    )  # fmt: skip
    load(settings, path)
    assert sorted(m.ts_recv for m in backfilled(settings)) == [DAY, DAY + 1, DAY + 2, DAY + 9]
    assert [e.ts_recv for e in quarantine.standing(settings, VENDOR)] == [DAY + 3]
    assert load(settings, path).present == 5


def test_a_tapes_own_lines_are_passed_over(settings: Settings, tmp_path: Path) -> None:
    tape = Tape(structs.replace(settings, state_dir=str(tmp_path / "elsewhere")))
    stamps = tape.take(*payloads(20))
    tape.end()
    [segment] = tape.folder.glob("*.tape")
    load(settings, segment)
    assert sorted(m.ts_recv for m in backfilled(settings)) == stamps


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"hello\n", "is no capture: line 1"),
        (b"", "is empty"),
        (b"1723161600 {}\n", "not in ns since the epoch"),
        (b"4102444800000000000 {}\n", "in the future"),  # 2100
        (line_of(DAY, b'{"a":1}') + b'1723161600000000001 {"b', "breaks off in the middle of line 2"),
    ],
)
def test_nothing_is_published_where_one_of_the_files_can_not_be_loaded(
    settings: Settings, tmp_path: Path, content: bytes, sentence: str
) -> None:
    good, bad = history(tmp_path / "good.txt"), tmp_path / "bad.txt"
    bad.write_bytes(content)
    done = tapedeck(
        "load", VENDOR, str(good), str(bad), state=Path(settings.state_dir), **variables(settings)
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert str(bad) in done.stderr
    assert done.stderr.count("\n") == 1
    assert meta.read(settings).pins == {}


def test_a_file_is_loaded_by_one_process_at_a_time(settings: Settings, tmp_path: Path) -> None:
    path = history(tmp_path / "a.txt")
    role = f"load of {VENDOR}-{content_source(path)}"
    with lock.held(settings.state / "load", role), pytest.raises(BadInput, match="or wait until it is done"):
        load(settings, path)
    assert sum(load(settings, path).messages.values()) == 500


def test_without_kafka_a_load_is_one_sentence_and_safe_to_run_again(
    settings: Settings, tmp_path: Path
) -> None:
    away = structs.replace(settings, kafka=structs.replace(settings.kafka, bootstrap="127.0.0.1:1"))
    with pytest.raises(Unavailable, match="did not answer"):
        load(away, history(tmp_path / "a.txt"))


def test_a_load_killed_at_any_moment_is_finished_by_the_next_with_nothing_twice(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "big.txt"
    made = market.generate(VENDOR, SYMBOLS, 10_000.0, 6.0, 3, DAY)
    count = recording.write(path, [*made, (DAY + 6 * NS, NAMELESS)])
    for _ in range(2):
        known = len(meta.read(settings).extents)
        with Running(settings, "load", VENDOR, str(path)) as killed:
            until(lambda known=known: len(meta.read(settings).extents) > known or killed.process.poll() == 0)  # type: ignore[misc]
            os.kill(killed.process.pid, signal.SIGKILL)
            killed.process.wait()
    left = [e for e in meta.read(settings).extents if e.next is None]
    done = load(settings, path)
    assert left, "the loads were not killed in the middle"
    assert all(e.next is not None for e in meta.read(settings).extents)
    found = backfilled(settings)
    assert (len(found), len({name_of(m) for m in found})) == (count - 1, count - 1)
    assert done.present + sum(done.messages.values()) + sum(done.refused.values()) == count
    assert len(quarantine.standing(settings, VENDOR)) == 1
