"""Syncing beside the work: what was written reaches the disk soon, and a disk that refuses stops the tape."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tapedeck.clock import Stamps
from tapedeck.errors import Unavailable
from tapedeck.tape.segment import Segment
from tapedeck.tape.sync import Sync
from tapedeck.tape.write import TapeWriter
from tests.tapes import until

OFTEN = 0.005


def writer(folder: Path, sync: Sync) -> TapeWriter:
    return TapeWriter(
        folder, "binance_usdm", 1, Stamps(),
        segment_bytes=200, segment_seconds=10**9, closed=lambda _: None, sync=sync,
    )  # fmt: skip


def test_each_segment_and_its_name_are_synced_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def note(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))

    monkeypatch.setattr(os, "fdatasync", note)
    monkeypatch.setattr(os, "fsync", note)
    with Sync(tmp_path, OFTEN) as sync:
        tape = writer(tmp_path, sync)
        for n in range(3):
            seen = len(synced)
            name = str(Segment(tape.life, n).plain(tmp_path))
            until(lambda seen=seen, name=name: name in synced[seen:] and str(tmp_path) in synced[seen:])  # type: ignore[misc]
            again = len(synced)
            until(lambda again=again, name=name: name in synced[again:])  # type: ignore[misc]
            assert str(tmp_path) not in synced[again:]
            tape.rotate()
        tape.close()
        done = sync.times
        assert done >= 6
    assert synced.count(str(tmp_path)) <= 4


def test_a_disk_that_refuses_once_stops_the_tape_loudly_and_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(fd: int) -> None:
        asked.append(fd)
        raise OSError(errno.EIO, "Input/output error")

    with Sync(tmp_path, OFTEN) as sync:
        tape = writer(tmp_path, sync)
        monkeypatch.setattr(os, "fdatasync", refuse)
        until(lambda: sync.failed is not None)
        with pytest.raises(
            Unavailable, match=r"can't be written \(Input/output error\): nothing is recorded"
        ):
            tape.write(b"1 {}\n")
        tape.close()
    assert len(asked) == 1


def test_without_an_interval_nothing_is_synced_before_a_segment_is_closed(tmp_path: Path) -> None:
    with Sync(tmp_path, 0.0) as sync:
        tape = writer(tmp_path, sync)
        tape.write(b"1 {}\n")
        tape.close()
    assert sync.times == 0
