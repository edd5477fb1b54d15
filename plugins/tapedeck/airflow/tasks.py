"""Tasks on the tape: bounded by the pool, retried for infrastructure only, failing in one sentence."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, get_current_context, task

from tapedeck.airflow.precedence import POOL
from tapedeck.airflow.slice import slice_of
from tapedeck.errors import TapedeckError, Unavailable, failed, infrastructure
from tapedeck.jobs.origin import Origin
from tapedeck.settings import load
from tapedeck.slices import NS, Slice, parse_duration

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger("tapedeck")
say = log.info


class Refused(SystemExit):
    """Ends a task that no retry can help. Airflow shows a SystemExit without frames of traceback."""


DEFAULTS: dict[str, Any] = {
    "owner": "tapedeck",
    "pool": POOL,
    "weight_rule": "upstream",  # a run that is nearer its end goes first; Airflow's own rule is the reverse
    "retries": 3,
    "retry_delay": timedelta(seconds=parse_duration(load().jobs.retry_after) / NS),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": ExceptionRetryPolicy(
        rules=[RetryRule(exception=Refused, action=RetryAction.FAIL, reason="running it again can't help")]
    ),
}
"""`default_args` of all DAGs."""


def in_one_sentence(function: Callable[P, R]) -> Callable[P, R]:
    """Log what tapedeck fails with as its one sentence. Only what is Unavailable is tried again."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Unavailable as e:
            log.error("%s", e)
            raise SystemExit(e.exit_code) from None
        except infrastructure() as e:
            log.error("%s", failed(e))
            raise SystemExit(Unavailable.exit_code) from None
        except TapedeckError as e:
            log.error("%s", e)
            raise Refused(e.exit_code) from None

    return run


def slice_in_force(params: Mapping[str, Any]) -> Slice:
    """The slice of the run that this task is in; it is the first line that the task logs."""
    context: Mapping[str, Any] = get_current_context()
    of = slice_of(params, context.get("data_interval_start"), context.get("data_interval_end"))
    say("slice %s", of)
    return of


@task
@in_one_sentence
def vendors(params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Which vendors and which slice: the first task of a check."""
    from tapedeck.airflow import connections, told

    asked = params or {}
    return told.slices(connections.load(), asked, slice_in_force(asked))


def by_hand() -> bool:
    """Whether a person has started the run that this task is in: not the clock, nor Airflow's Backfill."""
    return str(get_current_context()["dag_run"].run_type.value) == "manual"


def origin() -> Origin:
    """Who started the run that this task is in, and when."""
    run = get_current_context()["dag_run"]
    who = getattr(run, "triggering_user_name", None) or f"airflow ({run.run_type.value})"
    started = int(run.start_date.timestamp() * 1_000_000) * 1000 if run.start_date else time.time_ns()
    return Origin(who=who, started=started, run=run.run_id)
