"""Three brokers and three mongods struck under a live feed: nothing lost, nothing doubled, no lag left."""

from __future__ import annotations

import os

import pytest

from tests.cluster import blows
from tests.cluster.road import Road, cluster


@pytest.mark.skipif("FAULT_SEEDS" not in os.environ, reason="make faults, make cluster: it takes minutes")
@pytest.mark.timeout(0)
def test_a_cluster_that_is_struck_loses_and_doubles_nothing() -> None:
    with cluster(print) as deck, Road(deck, rate=500) as road:
        found = blows.campaign(road, blows.ALL, print)
        counted = road.finish()
    assert len(found) == len(blows.ALL)
    assert counted["in_arctic"] == counted["sent"] + counted["statuses"]
    assert counted["duplicates"] >= counted["sent"], "each message came by two collectors"
