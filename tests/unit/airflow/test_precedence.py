"""A person's run goes first, a year of days last, and nobody else's task is touched."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tapedeck.airflow.precedence import FIRST, RANKS, STEP, task_instance_mutation_hook, weight
from tapedeck.airflow.tasks import POOL


def test_ranks_stand_above_whatever_tasks_weigh_in_their_dag() -> None:
    by_hand, clock, days = weight("manual", 1), weight("scheduled", 999), weight("backfill", 999)
    assert by_hand > clock > days
    assert weight("scheduled", FIRST) > by_hand  # an alarm waits for nobody
    assert weight("asset_triggered", 5) == weight("scheduled", 5) > weight("scheduled", 4)


@pytest.mark.parametrize("kind", [*RANKS, "scheduled", "asset_triggered"])
def test_told_again_the_rank_is_the_same(kind: str) -> None:
    task = SimpleNamespace(pool=POOL, priority_weight=3, run_id=f"{kind}__2026-01-01T00:00:00+00:00")
    for _ in range(3):
        task_instance_mutation_hook(task)
        assert task.priority_weight == RANKS.get(kind, 1) * STEP + 3


def test_a_run_that_somebody_named_is_by_hand_and_other_pools_are_left_alone() -> None:
    named = SimpleNamespace(pool=POOL, priority_weight=7, run_id="monday")
    other = SimpleNamespace(pool="default_pool", priority_weight=7, run_id="monday")
    early = SimpleNamespace(pool=POOL, priority_weight=7, run_id=None)
    for task in (named, other, early):
        task_instance_mutation_hook(task)
    assert [task.priority_weight for task in (named, other, early)] == [2007, 7, 7]
