"""The tape's retention: by age and bytes, never a hole, never what Kafka has not acknowledged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapedeck.settings import Tape
from tapedeck.tape import position
from tapedeck.tape.position import Lane, Position
from tapedeck.tape.retention import prune
from tapedeck.tape.segment import Segment, segments

HOUR = 3600.0
NOW = 1_800_000_000.0
LIFE = 1_700_000_000_000_000_000


def tape(folder: Path, count: int, size: int = 100) -> list[Segment]:
    """So many segments, the oldest so many hours old, the last one plain."""
    made = [Segment(LIFE, n) for n in range(count)]
    for segment in made:
        path = segment.plain(folder) if segment.n == count - 1 else segment.packed(folder)
        path.write_bytes(b"x" * size)
        os.utime(path, (NOW, NOW - (count - segment.n) * HOUR))
    return made


def acknowledged(folder: Path, *segment_numbers: int) -> None:
    lanes = [Lane(Segment(LIFE, n).name, 0, 0) for n in segment_numbers]
    position.save(folder, Position(topic_id="x", lanes=lanes))


@pytest.mark.parametrize(
    ("kept", "through", "left"),
    [
        (Tape(keep_age="3h"), (9, 9), 3),  # ages are 10 h … 1 h
        (Tape(keep_age="3h"), (9, 2), 8),
        (Tape(keep_age="3h"), (0, 9), 10),
        (Tape(keep_bytes=450), (9, 9), 4),
        (Tape(keep_bytes=450), (9, 5), 5),
        (Tape(keep_bytes=1), (9, 9), 1),
        (Tape(), (9, 9), 10),
    ],
)
def test_the_oldest_go_first_and_only_what_every_lane_is_past(
    tmp_path: Path, kept: Tape, through: tuple[int, ...], left: int
) -> None:
    made = tape(tmp_path, 10)
    acknowledged(tmp_path, *through)
    assert prune(tmp_path, kept, NOW) == made[: 10 - left]
    assert segments(tmp_path) == made[10 - left :]


def test_nothing_goes_while_no_position_is_known(tmp_path: Path) -> None:
    made = tape(tmp_path, 5)
    assert prune(tmp_path, Tape(keep_bytes=1), NOW) == []
    assert segments(tmp_path) == made


def test_a_younger_segment_before_an_old_one_keeps_both(tmp_path: Path) -> None:
    made = tape(tmp_path, 5)
    acknowledged(tmp_path, 4)
    os.utime(made[0].packed(tmp_path), (NOW, NOW))
    assert prune(tmp_path, Tape(keep_age="1h"), NOW) == []
