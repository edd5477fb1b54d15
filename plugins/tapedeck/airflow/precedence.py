"""Who goes first where tasks wait for a slot of the pool: a run by hand, since a person waits for it; then
the clock's; then Airflow's Backfill, which may be a year of days.

A policy of Airflow's (the entry point `airflow.policy`), since of its own it knows no priority of a run.
Within one rank the tasks' own weights decide (`tasks.DEFAULTS`).
"""

from __future__ import annotations

from typing import Any

from airflow import settings
from airflow.policies import hookimpl

POOL = "tapedeck"
"""Bounds how many tasks work on the tape at once, also over Airflow's own Backfill, which overrides a
DAG's own limit. `tapedeck up` makes it in the embedded Airflow; elsewhere it is made once:
`airflow pools set tapedeck 4 "Tasks that read or write the tape"`."""
RANKS = {"manual": 2, "backfill": 0}
"""By type of run; all others are the clock's, and 1."""
STEP = 1_000
"""More than the tasks of a DAG weigh together."""
FIRST = 3 * STEP
"""The own weight of a task that must wait for nobody, as of one that warns before something is lost."""


def weight(run_type: str, own: int) -> int:
    """The weight of a task in a run of this type, whatever rank was added to its own before."""
    return max(own, RANKS.get(run_type, 1) * STEP + own % STEP)


@hookimpl
def task_instance_mutation_hook(task_instance: Any, dag_run: Any = None) -> None:
    """Called by the scheduler, more than once for the same task. Leaves other people's tasks alone."""
    from airflow.utils.types import DagRunType

    if task_instance.pool == POOL and task_instance.priority_weight is not None and task_instance.run_id:
        kind = DagRunType.from_run_id(task_instance.run_id).value
        task_instance.priority_weight = weight(kind, task_instance.priority_weight)


# Airflow passes over the hook where it makes a run's tasks, unless a file of local settings has one too.
settings.task_instance_mutation_hook.is_noop = False  # type: ignore[attr-defined]
