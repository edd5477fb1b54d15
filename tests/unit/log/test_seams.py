"""What of the topic that a source left lies before its records in the one that it moved to."""

from __future__ import annotations

import pytest

from tapedeck.log.meta import Life, TopicPin
from tapedeck.log.seams import before

NAMES = {"old": "md.v", "new": "md.v.8", "newest": "md.v.16"}
ENDS = {0: 10, 1: 20}
BEHIND = {("md.v", 0): 10, ("md.v", 1): 20}


def pin(topic_id: str) -> TopicPin:
    return TopicPin(
        id=topic_id, name=NAMES[topic_id], vendor="v", role="live", partitions=8, partitioner="murmur2"
    )


def life(
    since: int, topic_id: str, closed: int | None = None, moved: int = 0, src: int = 1, **more: dict[int, int]
) -> Life:
    return Life(vendor="v", src=src, since=since, topic_id=topic_id, closed=closed, moved=moved, **more)


LEFT = life(5, "old", 50, closing=ENDS)
CAME = life(50, "new", moved=5)


@pytest.mark.parametrize(
    ("lives", "expected"),
    [
        ([LEFT, CAME], BEHIND),
        ([life(1, "old"), LEFT, CAME, life(90, "new")], BEHIND),
        ([LEFT, life(50, "new", 70, 5, closing={0: 3}), life(70, "newest", moved=5)], BEHIND),
        ([life(7, "new")], {}),
        ([life(2, "old", 9, closing=ENDS), life(10, "new")], {}),
        ([LEFT, life(51, "new", moved=6, src=2)], None),
        ([life(5, "old"), CAME], None),
        ([], None),
    ],
)
def test_it_is_what_the_life_that_ended_where_the_other_began_closed_with(
    lives: list[Life], expected: dict[tuple[str, int], int] | None
) -> None:
    assert before(lives, NAMES, pin("new"), 1) == expected


def test_of_a_topic_that_was_given_up_nothing_is_waited_for() -> None:
    assert before([LEFT, CAME], {"new": "md.v.8"}, pin("new"), 1) == {}
