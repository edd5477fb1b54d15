"""When a run was queued, as what its deadline counts from.

Airflow 3.3.2 has such a reference of its own, but a run that has one can't be cleared, nor done again by its
Backfill, once it has ended: it then adds up a time and a table of its database (TypeError). It leaves
references of others alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk.definitions.deadline import BaseDeadlineReference


class RunQueued(BaseDeadlineReference):
    """When the run was queued for the first time. Known to Airflow by the plugin."""

    required_kwargs = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str) -> datetime | None:
        """In the scheduler, when it makes the run."""
        from airflow.models import DagRun
        from sqlalchemy import select

        of = DagRun.dag_id == dag_id, DagRun.run_id == run_id
        found: datetime | None = session.scalar(select(DagRun.queued_at).where(*of))
        return found
