"""From when on anything is recorded of a vendor."""

from __future__ import annotations

from tapedeck.log.meta import Extent, Life, Meta


def test_the_earliest_of_lives_and_loaded_files_counts_and_no_other_vendors() -> None:
    lives = (
        Life(vendor="a", src=1, since=50, topic_id="t"),
        Life(vendor="b", src=1, since=10, topic_id="t"),
    )
    loaded = Extent(id="x", vendor="a", topic_id="t", src=1001, start={0: 0}, next={0: 9}, first=30, last=40)
    begun = Extent(id="y", vendor="a", topic_id="t", src=1002, start={0: 9})
    known = Meta({}, lives, (loaded, begun))
    assert [known.began(vendor) for vendor in ("a", "b", "c")] == [30, 10, None]
