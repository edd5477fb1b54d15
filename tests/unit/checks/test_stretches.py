"""A slice in stretches: whole, without overlap, and each instant as the last layer that holds it says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tapedeck.checks.stretches import Layer, runs, stretches, without
from tapedeck.slices import Slice

OF = Slice(100, 200)
spans = st.lists(
    st.tuples(st.integers(80, 220), st.integers(1, 40)).map(lambda s: Slice(s[0], s[0] + s[1])), max_size=5
)
layers = st.lists(
    st.builds(Layer, state=st.sampled_from(["log", "missing", "closed"]), spans=spans.map(tuple)), max_size=4
)


@given(layers)
def test_every_instant_is_in_one_stretch_with_what_its_last_layer_says(some: list[Layer]) -> None:
    found = stretches(OF, some)
    assert (found[0].start, found[-1].end) == (OF.start, OF.end)
    assert all(a.end == b.start and a.state != b.state for a, b in pairwise(found))
    for at in range(OF.start, OF.end):
        due = [layer.state for layer in some if any(s.start <= at < s.end for s in layer.spans)]
        [one] = [stretch for stretch in found if stretch.start <= at < stretch.end]
        assert one.state == (due[-1] if due else "arctic")


@given(spans)
def test_without_is_what_is_left(some: list[Slice]) -> None:
    left = {at for span in without(OF, some) for at in range(span.start, span.end)}
    assert left == {at for at in range(OF.start, OF.end) if not any(s.start <= at < s.end for s in some)}


def test_minutes_that_follow_each_other_are_one_span() -> None:
    assert runs(np.array([5, 3, 4, 9, 3]), 60) == [Slice(180, 360), Slice(540, 600)]
    assert runs(np.zeros(0, np.int64), 60) == []
