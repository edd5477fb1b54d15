"""Positions of several publishers to a tape: what any says is true, and the furthest counts."""

from __future__ import annotations

import json
from pathlib import Path

from tapedeck.tape import position
from tapedeck.tape.position import Lane, Ledger, Position
from tapedeck.tape.segment import Place, Segment

LIFE = 1_700_000_000_000_000_000
NAME = Segment(LIFE, 0).name


def lane(offset: int, stamp: int = 0) -> Lane:
    return Lane(NAME, offset, offset // 10, stamp or LIFE + offset)


def at(folder: Path, part: int, *lanes: Lane, topic: str = "t", counts: dict[str, int] | None = None) -> None:
    word = Position(
        topic_id=topic, lanes=list(lanes), stamp=min(one.stamp for one in lanes), counts=counts or {}
    )
    position.save(folder, word, part)


def test_each_lane_is_where_the_furthest_says_and_the_stamp_is_that_of_the_one_behind(tmp_path: Path) -> None:
    assert position.load(tmp_path) is None
    at(tmp_path, 0, lane(50), lane(10), lane(60), counts={"refused": 2, "a": 1})
    at(tmp_path, 1, lane(20), lane(40), lane(20), counts={"refused": 3})
    at(tmp_path, 10, lane(5), lane(5), lane(70))
    found = position.load(tmp_path)
    assert found is not None
    assert found.lanes == [lane(50), lane(40), lane(70)]
    assert found.stamp == LIFE + 40
    assert found.counts == {"refused": 5, "a": 1}


def test_who_speaks_of_another_topic_is_not_heard(tmp_path: Path) -> None:
    at(tmp_path, 0, lane(50), lane(10))
    at(tmp_path, 1, lane(90), lane(90), topic="another")
    at(tmp_path, 2, lane(90), lane(90), lane(90))
    found = position.load(tmp_path)
    assert found is not None
    assert (found.topic_id, found.lanes) == ("t", [lane(50), lane(10)])


def test_only_those_that_there_are_no_more_are_forgotten(tmp_path: Path) -> None:
    for part in range(4):
        at(tmp_path, part, lane(part))
    position.forget(tmp_path, 2)
    assert {path.name for path in tmp_path.iterdir()} == {"position.json", "position-1.json"}


def test_a_file_from_before_lanes_had_stamps_means_its_own(tmp_path: Path) -> None:
    old = {"topic_id": "t", "lanes": [{"segment": NAME, "offset": 9, "sent": 3}], "stamp": 77, "counts": {}}
    (tmp_path / position.FILE).write_text(json.dumps(old))
    found = position.load(tmp_path)
    assert found is not None
    assert (found.lanes, found.stamp) == ([Lane(NAME, 9, 3, 77)], 77)


def test_a_lane_of_another_publisher_stays_where_it_was_and_holds_nothing_up() -> None:
    segment = Segment(LIFE, 0)
    ledger = Ledger([lane(10), lane(20), lane(30)], 5, [True, False, True])
    ledger.mark([2, 0, 1], Place(segment, 100), [7, 0, 8], LIFE + 100)
    ledger.mark([4, 0, 1], Place(segment, 200), [9, 0, 8], LIFE + 200)
    assert ledger.lanes([3, 0, 1]) == [
        Lane(NAME, 100, 7, LIFE + 100),
        lane(20),
        Lane(NAME, 200, 8, LIFE + 200),
    ]
    assert ledger.stamp == LIFE + 100
    assert ledger.lanes([4, 0, 1])[0] == Lane(NAME, 200, 9, LIFE + 200)
    assert ledger.stamp == LIFE + 200
