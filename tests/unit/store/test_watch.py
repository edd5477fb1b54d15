"""A look that fails is heard of; a topic counts as gone only where two looks say so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat

import pytest

from tapedeck.errors import Mismatch, Unavailable
from tapedeck.log.meta import Meta, TopicPin, VendorTopics
from tapedeck.settings import Settings
from tapedeck.store import watch
from tapedeck.store.watch import Seen, Watch, sure

GONE = Mismatch("the topic md.x is gone")


def seen(at: float) -> Seen:
    pin = TopicPin(id="i", name="n", vendor="x", role="live", partitions=1, partitioner="murmur2", number=1)
    return Seen(Meta({}, (), ()), VendorTopics((pin,), pin, pin), at)


def answers(*given: Seen | Exception) -> Callable[[], Seen]:
    """These, one after another; the last for ever."""
    left: Iterator[Seen | Exception] = chain(given, repeat(given[-1]))

    def again() -> Seen:
        one = next(left)
        if isinstance(one, Exception):
            raise one
        return one

    return again


def until_it_raises(watching: Watch) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert watching.seen
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0.01)


def test_what_nobody_foresaw_is_raised_as_unavailable_and_names_its_cause() -> None:
    watching = Watch(Settings(), "x", seen(0), answers(seen(1), RuntimeError("no thread to be had")))
    with pytest.raises(Unavailable, match="no thread to be had"):
        until_it_raises(watching)
    watching.end()


def test_a_topic_that_is_gone_in_one_look_and_there_in_the_next_is_there() -> None:
    watching = Watch(Settings(), "x", seen(0), answers(GONE, seen(1), GONE, seen(2)))
    end = time.monotonic() + 20
    while watching.seen.at < 2:
        assert time.monotonic() < end
    watching.end()
    assert watching.seen.at == 2


def test_a_topic_that_is_gone_in_two_looks_is_gone() -> None:
    watching = Watch(Settings(), "x", seen(0), answers(GONE))
    with pytest.raises(Mismatch, match="is gone"):
        until_it_raises(watching)
    watching.end()


def test_a_beginning_too_is_refused_only_where_it_is_refused_twice() -> None:
    assert sure(answers(GONE, seen(1))).at == 1
    with pytest.raises(Mismatch, match="is gone"):
        sure(answers(GONE, GONE))
