"""What of a tape waits for Kafka, from the files as they lie there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tapedeck.slices import NS
from tapedeck.tape import position
from tapedeck.tape.compress import compress
from tapedeck.tape.position import Lane, Position
from tapedeck.tape.segment import Segment
from tapedeck.tape.waiting import waiting

FIRST, SECOND, THIRD = Segment(7, 0), Segment(7, 1), Segment(9, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for segment, size in ((FIRST, 1000), (SECOND, 500), (THIRD, 70)):
        segment.plain(tmp_path).write_bytes(b"x" * size)
    return tmp_path


def acknowledge(folder: Path, *places: tuple[Segment, int], stamp: int = 0) -> None:
    lanes = [Lane(segment.name, offset, 0) for segment, offset in places]
    position.save(folder, Position(topic_id="t", lanes=lanes, stamp=stamp))


def test_all_waits_before_the_first_acknowledgement(folder: Path) -> None:
    found = waiting(folder)
    assert (found.bytes, found.lag) == (1570, None)
    assert found.free > 0


def test_what_lies_behind_the_least_position_waits(folder: Path) -> None:
    stamp = time.time_ns() - 5 * NS
    acknowledge(folder, (THIRD, 70), (SECOND, 400), stamp=stamp)
    found = waiting(folder)
    assert found.bytes == 100 + 70
    assert found.lag == pytest.approx(5, abs=2)
    acknowledge(folder, (THIRD, 70), (THIRD, 70), stamp=stamp)
    assert waiting(folder).bytes == 0


def test_a_compressed_segment_counts_as_it_lies_there(folder: Path) -> None:
    compress(folder, FIRST)
    acknowledge(folder, (FIRST, 999))
    assert waiting(folder).bytes == FIRST.packed(folder).stat().st_size + 570


def test_a_broken_position_and_a_folder_that_is_gone_are_no_stop(folder: Path) -> None:
    (folder / position.FILE).write_bytes(b"{")
    assert waiting(folder).bytes == 1570
    assert waiting(folder / "nowhere") == (0, None, 0)
