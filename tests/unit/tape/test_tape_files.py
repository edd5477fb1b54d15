"""Writing, recovering, compressing and following the tape's files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tapedeck.buses.captured import line_of
from tapedeck.clock import Stamps
from tapedeck.errors import BadInput, Mismatch, Unavailable
from tapedeck.tape import lock, publish, taper
from tapedeck.tape.compress import compress
from tapedeck.tape.ending import PATIENCE
from tapedeck.tape.follow import Follower
from tapedeck.tape.recover import recover
from tapedeck.tape.segment import Place, Segment, named, own_line, own_of, segments, stamp_of
from tapedeck.tape.write import TapeWriter


def writer(
    folder: Path, stamps: Stamps, closed: list[Segment] | None = None, size: int = 10**9
) -> TapeWriter:
    return TapeWriter(
        folder, "binance_usdm", 1, stamps,
        segment_bytes=size, segment_seconds=10**9, closed=(closed if closed is not None else []).append,
    )  # fmt: skip


@pytest.fixture
def follow() -> Iterator[Callable[..., Follower]]:
    """Makes followers and lets go of their segments at the end."""
    made: list[Follower] = []

    def make(folder: Path, place: Place | None = None) -> Follower:
        made.append(Follower(folder, place))
        return made[-1]

    yield make
    for follower in made:
        follower.close()


def rest_of(follower: Follower, size: int = 2**18) -> list[bytes]:
    lines: list[bytes] = []
    while chunk := follower.read(size):
        lines += chunk.data.splitlines()
    return lines


def messages(lines: list[bytes]) -> list[bytes]:
    return [line.partition(b" ")[2] for line in lines if not line.startswith(b"!")]


def test_a_segment_begins_with_who_recorded_it_and_names_sort_as_the_tape_runs(tmp_path: Path) -> None:
    stamps = Stamps()
    tape = writer(tmp_path, stamps)
    tape.rotate()
    tape.close()
    found = segments(tmp_path)
    assert found == [Segment(tape.life, 0), Segment(tape.life, 1)]
    assert [named(s.name) for s in found] == found
    assert sorted(s.name for s in found) == [s.name for s in found]
    first = found[0].plain(tmp_path).read_bytes()
    assert own_of(first.rstrip()) == (
        "tape",
        {"recv_ns": tape.life, "vendor": "binance_usdm", "src": 1, "life": tape.life, "n": 0},
    )


def test_lines_come_back_in_order_over_segments_lives_and_compression(
    tmp_path: Path, follow: Callable[..., Follower]
) -> None:
    stamps, written = Stamps(), []
    for life in range(3):
        closed: list[Segment] = []
        tape = writer(tmp_path, stamps, closed, size=2000)
        for i in range(40):
            payload = b"%d-%d" % (life, i) * 9
            tape.write(line_of(stamps.take(len(payload)), payload))
            written.append(payload)
        tape.close()
        for segment in closed[::2]:
            compress(tmp_path, segment)
    assert messages(rest_of(follow(tmp_path), 300)) == written
    assert len(segments(tmp_path)) == 6


def test_following_can_begin_at_any_place_it_gave(tmp_path: Path, follow: Callable[..., Follower]) -> None:
    stamps, closed = Stamps(), []
    tape = writer(tmp_path, stamps, closed, size=500)
    for i in range(30):
        tape.write(line_of(stamps.take(), b"%d" % i * 20))
    tape.close()
    compress(tmp_path, closed[0])
    follower, places, whole = follow(tmp_path), [], []
    while chunk := follower.read(60):
        places.append(chunk.start)
        whole.append(chunk.data)
    for i, place in enumerate(places):
        assert b"\n".join(rest_of(follow(tmp_path, place))) + b"\n" == b"".join(whole[i:])


def test_a_follower_sees_lines_as_they_are_written_and_never_half_a_line(
    tmp_path: Path, follow: Callable[..., Follower]
) -> None:
    tape = writer(tmp_path, Stamps())
    follower = follow(tmp_path)
    rest_of(follower)
    tape.write(b"1 a\n2 b")
    assert rest_of(follower) == [b"1 a"]
    tape.write(b"c\n")
    assert rest_of(follower) == [b"2 bc"]


def test_a_follower_goes_on_in_a_segment_that_is_compressed_under_it(
    tmp_path: Path, follow: Callable[..., Follower]
) -> None:
    stamps, closed = Stamps(), []
    tape = writer(tmp_path, stamps, closed)
    tape.write(b"1 a\n2 b\n")
    follower = follow(tmp_path)
    follower.read(5)
    tape.rotate()
    tape.write(b"3 c\n")
    compress(tmp_path, closed[0])
    assert messages(rest_of(follower)) == [b"a", b"b", b"c"]


def test_a_torn_line_of_a_killed_life_is_skipped_and_cut_off_by_the_next(
    tmp_path: Path, follow: Callable[..., Follower]
) -> None:
    stamps = Stamps()
    tape = writer(tmp_path, stamps)
    tape.write(b"%d whole\n%d to" % (stamps.take(5), stamps.take(7)))
    follower = follow(tmp_path)
    assert messages(rest_of(follower)) == [b"whole"]
    found = recover(tmp_path)
    assert (found.cut, found.plain) == (len(b"%d to" % stamps.take()), [Segment(tape.life, 0)])
    again = writer(tmp_path, Stamps(above=found.above))
    again.write(b"%d next\n" % (found.above + 9))
    follower.look_again()
    assert messages(rest_of(follower)) == [b"next"]
    assert messages(rest_of(follow(tmp_path))) == [b"whole", b"next"]


def test_recovery_starts_above_every_name_that_the_last_line_can_hold(tmp_path: Path) -> None:
    tape = writer(tmp_path, Stamps())
    future = tape.life + 10**15
    tape.write(line_of(future, b"x" * 1000))
    assert recover(tmp_path).above >= future + 1000


def test_recovery_looks_back_over_segments_that_hold_no_whole_line(tmp_path: Path) -> None:
    tape = writer(tmp_path, Stamps())
    tape.write(b"%d x\n" % (tape.life + 5))
    Segment(tape.life + 50, 0).plain(tmp_path).write_bytes(b"!tape {")
    found = recover(tmp_path)
    assert found.above >= tape.life + 5
    assert Segment(tape.life + 50, 0).plain(tmp_path).stat().st_size == 0


def test_recovery_of_a_compression_that_was_killed_loses_nothing(
    tmp_path: Path, follow: Callable[..., Follower]
) -> None:
    stamps, closed = Stamps(), []
    tape = writer(tmp_path, stamps, closed)
    tape.write(b"%d x\n" % stamps.take())
    tape.close()
    content = closed[0].plain(tmp_path).read_bytes()
    compress(tmp_path, closed[0])
    closed[0].plain(tmp_path).write_bytes(content)  # killed between the rename and the removal
    (tmp_path / f"{closed[0].name}.zst.part").write_bytes(b"half")
    found = recover(tmp_path)
    assert found.plain == []
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{closed[0].name}.zst"]
    assert messages(rest_of(follow(tmp_path))) == [b"x"]


def test_a_missing_segment_stops_whoever_follows_with_a_sentence(
    tmp_path: Path, follow: Callable[..., Follower]
) -> None:
    stamps, closed = Stamps(), []
    tape = writer(tmp_path, stamps, closed)
    tape.rotate()
    tape.rotate()
    tape.close()
    closed[1].plain(tmp_path).unlink()
    follower = follow(tmp_path)
    assert follower.read() is not None
    with pytest.raises(Mismatch, match=r"000001\.tape is gone: put it back"):
        follower.read()
    with pytest.raises(Mismatch, match="is gone"):
        follow(tmp_path, Place(closed[1], 0)).read()


def test_a_full_disk_is_a_loud_stop_that_leaves_whole_lines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, follow: Callable[..., Follower]
) -> None:
    tape = writer(tmp_path, Stamps())
    real, room = os.write, 12

    def write(fd: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(fd, data[:room])
        room -= done
        return done

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(Unavailable, match=r"No space left on device.*make room"):
        tape.write(b"1 aaaa\n2 bbbb\n3 cccc\n")
    monkeypatch.undo()
    assert messages(rest_of(follow(tmp_path))) == [b"aaaa"]


def test_one_tape_has_one_taper(tmp_path: Path) -> None:
    with lock.held(tmp_path, "taper"):
        assert lock.is_held(tmp_path, "taper")
        with pytest.raises(BadInput, match=rf"another taper \(process {os.getpid()}\) is at work in"), \
                lock.held(tmp_path, "taper"):  # fmt: skip
            pass
        with lock.held(tmp_path, "publisher"):
            pass
    assert not lock.is_held(tmp_path, "taper")


def test_who_takes_over_a_tape_waits_longer_than_the_one_before_can_take_to_end() -> None:
    longest_parting = 2 * taper.PARTING_SECONDS  # for the bus, then for what is compressed
    assert 2 * longest_parting <= taper.LOCK_SECONDS
    assert publish.LOCK_SECONDS >= 2 * PATIENCE


@pytest.mark.parametrize("line", [b"", b"x y", b"!heartbeat", b"!heartbeat {}", b"-5 x", b"\0" * 20])
def test_a_damaged_line_has_no_stamp(line: bytes) -> None:
    assert stamp_of(line) is None


def test_own_lines_have_a_stamp() -> None:
    assert stamp_of(own_line("connect", 77, why="tcp://x").rstrip()) == 77
