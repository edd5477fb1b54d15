"""Three brokers and three mongods struck under a live feed: nothing lost, nothing doubled, no lag left."""

from __future__ import annotations

import os

import pytest

from tests.cluster import blows
from tests.cluster.road import Road, cluster

LONG = "FAULT_SEEDS" in os.environ


@pytest.mark.timeout(0 if LONG else 900)
def test_a_cluster_that_is_struck_loses_and_doubles_nothing() -> None:
    """`make test` strikes once, where it hurts most; `make faults` and `make cluster` every way there is."""
    with cluster(print) as deck, Road(deck, rate=500) as road:
        found = blows.campaign(road, blows.ALL if LONG else blows.SHORT, print)
        counted = road.finish()
    assert len(found) == len(blows.ALL if LONG else blows.SHORT)
    assert counted["in_arctic"] == counted["sent"] + counted["statuses"]
    assert counted["duplicates"] >= counted["sent"], "each message came by two collectors"
