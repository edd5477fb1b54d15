"""Compressing beside the work: never two on one segment, never beside what retention removes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapedeck.buses import Change
from tapedeck.buses.stamping import Lines
from tapedeck.clock import Stamps
from tapedeck.errors import BadInput
from tapedeck.settings import Settings, Tape, Vendor
from tapedeck.tape import lock, position, retention, taper
from tapedeck.tape.compress import Compressor, compress
from tapedeck.tape.position import Lane, Position
from tapedeck.tape.segment import Segment, opened, segments

VENDOR = "binance_usdm"
SEGMENTS = [Segment(1_700_000_000_000_000_000, n) for n in range(3)]
FIRST = SEGMENTS[0]
NOW = 1_800_000_000.0
PATIENCE = 60.0


class Quiet:
    """A bus without a word; or one that fails, once `begun`."""

    address, trouble = "zmq:tcp://127.0.0.1:1", ""

    def __init__(self, begun: threading.Event, fails: BaseException | None) -> None:
        self._begun, self._fails = begun, fails

    def changes(self) -> list[Change]:
        if self._fails and self._begun.wait(PATIENCE):
            raise self._fails
        return []

    def drain(self) -> Iterator[bytes]:
        return iter(())

    def take(self, stamps: Stamps, most: int) -> Lines:
        return Lines(0, b"")

    def wait(self, milliseconds: int) -> bool:
        return self._begun.wait(milliseconds / 1000)

    def close(self) -> None:
        """Nothing to close."""


def plain(folder: Path, segment: Segment, lines: int = 1000) -> bytes:
    folder.mkdir(parents=True, exist_ok=True)
    content = b"".join(b"%d {}\n" % (segment.life + i) for i in range(lines))
    segment.plain(folder).write_bytes(content)
    return content


def content_of(folder: Path, segment: Segment) -> bytes:
    with opened(folder, segment) as file:
        return file.read()


@pytest.mark.parametrize("fails", [None, BadInput("no such symbol"), KeyboardInterrupt()])
def test_a_taper_keeps_its_lock_while_anything_is_still_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: BaseException | None
) -> None:
    """Else the next taper removes what this one writes, and either can take the other's half for whole."""
    deck = Settings(state_dir=str(tmp_path), vendors={VENDOR: Vendor()})
    folder = deck.tape_dir(VENDOR, 1)
    content = plain(folder, FIRST)
    begun, ended, held = threading.Event(), threading.Event(), list[bool]()
    fsync = os.fsync

    def slow(fd: int) -> None:
        if threading.current_thread().name == "compressor" and not held:
            begun.set()
            ended.wait(0.3)
            held.append(lock.is_held(folder, "taper"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", slow)
    monkeypatch.setattr(taper, "PARTING_SECONDS", 0.01)
    try:
        taper.tape(deck, VENDOR, 1, Quiet(begun, fails), begun.is_set, lambda said: None)
    except (BadInput, KeyboardInterrupt) as e:
        assert e is fails  # noqa: PT017 - where nothing fails nothing is raised
    ended.set()
    assert held == [True]
    assert content_of(folder, FIRST) == content
    assert not list(folder.glob("*.part"))


def test_what_is_given_up_stays_plain_for_the_next_taper(tmp_path: Path) -> None:
    content = plain(tmp_path, FIRST)
    compress(tmp_path, FIRST, lambda: True)
    assert [path.name for path in tmp_path.iterdir()] == [FIRST.name]
    assert FIRST.plain(tmp_path).read_bytes() == content


def test_a_segment_is_compressed_whole_and_is_as_old_as_it_was(tmp_path: Path) -> None:
    content = plain(tmp_path, FIRST, 300_000)
    os.utime(FIRST.plain(tmp_path), (NOW - 900, NOW - 900))
    compress(tmp_path, FIRST)
    assert [path.name for path in tmp_path.iterdir()] == [f"{FIRST.name}.zst"]
    assert content_of(tmp_path, FIRST) == content
    assert FIRST.packed(tmp_path).stat().st_mtime == NOW - 900


def test_what_retention_removes_while_it_is_compressed_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, pruned, fsync = list[str](), list[Segment](), os.fsync
    for segment in SEGMENTS:
        plain(tmp_path, segment)
    last = Lane(SEGMENTS[-1].name, 0, 0)
    position.save(tmp_path, Position(topic_id="x", lanes=[last]))

    def slow(fd: int) -> None:
        if threading.current_thread().name == "compressor":
            pruned.extend(retention.prune(tmp_path, Tape(keep_bytes=1)))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", slow)
    with Compressor(tmp_path, said.append, PATIENCE) as compressor:
        for segment in SEGMENTS[:-1]:
            compressor.add(segment)
    assert pruned == SEGMENTS[:-1]
    assert segments(tmp_path) == SEGMENTS[-1:]
    assert said == []
    assert not list(tmp_path.glob("*.part"))


def test_what_is_compressed_while_retention_looks_is_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for segment in SEGMENTS:
        plain(tmp_path, segment)
    position.save(tmp_path, Position(topic_id="x", lanes=[Lane(SEGMENTS[-1].name, 0, 0)]))
    stat = Path.stat

    def late(path: Path, **how: bool) -> os.stat_result:
        found = stat(path, **how)
        if path == FIRST.plain(tmp_path):
            monkeypatch.undo()
            compress(tmp_path, FIRST)
        return found

    monkeypatch.setattr(Path, "stat", late)
    assert retention.prune(tmp_path, Tape(keep_bytes=1)) == SEGMENTS[:-1]
