"""Telling people of runs that failed, are late or wait for an approval: one notifier for all DAGs.

It posts to the settings' webhook (`tapedeck.notify`), says the same in a log, and is an Airflow notifier
like any other, so that further ones (mail, Slack, PagerDuty) stand beside it in a DAG's callbacks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from airflow.sdk import BaseNotifier
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert

from tapedeck.airflow.deadline import RunQueued
from tapedeck.errors import TapedeckError
from tapedeck.notify import Notice, send
from tapedeck.settings import Settings, load
from tapedeck.slices import NS, parse_duration

Severity = Literal["info", "warning", "error"]
log = logging.getLogger("tapedeck")


class Notifier(BaseNotifier):
    """Says `what` of the run in its context."""

    def __init__(self, what: str, severity: Severity = "error") -> None:
        super().__init__()
        self.what, self.severity = what, severity

    def notify(self, context: Mapping[str, Any]) -> None:
        """In a task or in the DAG processor."""
        tell(context, self.what, self.severity)

    async def async_notify(self, context: Mapping[str, Any]) -> None:
        """In the triggerer."""
        await asyncio.to_thread(tell, context, self.what, self.severity)


def tell(context: Mapping[str, Any], what: str, severity: Severity) -> None:
    """Tell of the run in this context. Never raises: who is told must not decide how a job ends."""
    settings = load()
    notice = noticed(settings, context, what, severity)
    log.warning("%s", notice.text)
    try:
        send(settings, notice)
    except TapedeckError as e:
        log.error("%s", e)


def noticed(settings: Settings, context: Mapping[str, Any], what: str, severity: Severity) -> Notice:
    """The notice for a context, which in a callback of Airflow's may be objects or plain data."""
    run = context.get("dag_run") or {}
    dag = _of(run, "dag_id") or _of(context.get("dag"), "dag_id")
    run_id = _of(run, "run_id") or _of(run, "dag_run_id") or context.get("run_id", "")
    reason = context.get("exception") or context.get("reason") or ""
    link = f"{base(settings)}/dags/{dag}/runs/{run_id}" if run_id else ""
    return Notice(
        title=f"{dag} {what}", text=f"{dag}: the run {run_id} {what}{f' ({reason})' if reason else ''}",
        severity=severity, link=link,
    )  # fmt: skip


async def late(context: Mapping[str, Any]) -> None:
    """A run's deadline has passed: tell of it. One that has ended by now was told of if it failed."""
    if str(_of(context.get("dag_run") or {}, "state")) not in ("failed", "success"):
        what = f"has not ended {load().jobs.alert_after} after it was queued"
        await asyncio.to_thread(tell, context, what, "warning")


def callbacks() -> dict[str, Any]:
    """What every DAG of tapedeck is made with: who is told, and by when it must have ended."""
    within = timedelta(seconds=parse_duration(load().jobs.alert_after) / NS)
    return {
        "on_failure_callback": Notifier("has failed"),
        "deadline": DeadlineAlert(reference=RunQueued(), interval=within, callback=AsyncCallback(late)),
    }


def base(settings: Settings) -> str:
    """Airflow's address as a person's browser knows it, without a slash at its end."""
    from airflow.sdk.configuration import conf

    return str(settings.airflow.url or conf.get("api", "base_url", fallback="")).rstrip("/")


def _of(thing: Any, name: str) -> Any:
    return thing.get(name, "") if isinstance(thing, Mapping) else getattr(thing, name, "")
