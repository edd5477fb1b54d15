"""How far a task has come, in Airflow's task state store: it outlives SIGKILL, retries and a clear."""

from __future__ import annotations

import logging
import time
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowRuntimeError

from tapedeck.jobs.checkpoint import Checkpoint

EVERY = 1.0
"""Seconds between two savings at least: each costs 30 ms (facts of Airflow 3.3)."""
log = logging.getLogger("tapedeck")


class TaskCheckpoint(Checkpoint):
    """The running task's. `key` holds the digest of its plan, so that another plan begins anew."""

    def __init__(self, key: str) -> None:
        context: Any = get_current_context()
        self._store, self._key, self._saved = context["task_state_store"], key, 0.0

    def load(self) -> bytes:
        """See `Checkpoint.load`."""
        try:
            found = self._store.get(self._key)
        except AirflowRuntimeError as e:
            log.warning("no checkpoint could be read (%s): it is begun anew", e)
            return b""
        return found.encode() if isinstance(found, str) else b""

    def save(self, state: bytes) -> None:
        """See `Checkpoint.save`; not more often than once a second."""
        if time.monotonic() - self._saved < EVERY:
            return
        try:
            self._store.set(self._key, state.decode())
        except AirflowRuntimeError as e:
            log.warning("no checkpoint could be kept (%s): killed now, the task begins anew", e)
        self._saved = time.monotonic()

    def clear(self) -> None:
        """See `Checkpoint.clear`."""
        try:
            self._store.delete(self._key)
        except AirflowRuntimeError as e:
            log.warning("the checkpoint could not be removed (%s): cleared, the task does nothing", e)
