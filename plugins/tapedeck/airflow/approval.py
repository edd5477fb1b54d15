"""Waiting for a person: what is larger than the settings allow unasked is done once somebody approves it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import get_current_context

from tapedeck.airflow.notifier import Notifier
from tapedeck.airflow.tasks import Refused
from tapedeck.settings import load
from tapedeck.slices import NS, parse_duration

KEY = "approval"
"""Under this key of its XCom a plan says what it wants approved."""
log = logging.getLogger("tapedeck")


def wanted(why: list[str], lines: list[str]) -> None:
    """Say, in the running task, that what follows waits for an approval, and what a person decides on."""
    reasons = "\n".join(f"- {reason}" for reason in why)
    said = [line.replace("`", "'") for line in lines if line]
    plan = "\n".join(f"- `{line}`" for line in said)  # Airflow shows what is fenced as one line
    context: Any = get_current_context()
    who = context["dag_run"].triggering_user_name or "Airflow"
    body = f"Asked for by **{who}**, since\n\n{reasons}\n\nThe plan:\n\n{plan}"
    context["ti"].xcom_push(key=KEY, value={"why": why, "body": body})


class ApproveAbove(ApprovalOperator):
    """Passes at once, unless the plan says that it wants an approval.

    Rejected, or unanswered for so long as the settings say, it fails: what follows never begins.
    """

    def __init__(self, *, plan_task: str, subject: str, **more: Any) -> None:
        """`plan_task`: whose XCom says whether. Who may answer, and for how long, is in the settings."""
        settings = load()
        users = settings.approval.by or [settings.airflow.user]
        self.plan_task = plan_task
        asked = f"ti.xcom_pull(task_ids='{plan_task}', key='{KEY}')"
        more.setdefault("body", f"{{{{ ({asked} or {{}}).get('body', '') }}}}")
        super().__init__(
            subject=subject,
            defaults=self.REJECT,
            response_timeout=timedelta(seconds=parse_duration(settings.approval.wait) / NS),
            assigned_users=[{"id": user, "name": user} for user in users],
            notifiers=[Notifier("waits for an approval", "info")],
            **more,
        )

    def execute(self, context: Any) -> Any:
        """Wait for an answer, or pass."""
        asked = context["ti"].xcom_pull(task_ids=self.plan_task, key=KEY)
        if not asked:
            log.info("no approval is needed: the plan is within the limits of the settings")
            return {"chosen_options": [self.APPROVE], "responded_by_user": None}
        for reason in asked["why"]:
            log.info("%s", reason)
        log.info(
            "waiting for %s to approve it", ", ".join(user["name"] for user in self.assigned_users or ())
        )
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Go on where it was approved. Fails, in one sentence, where it was not."""
        who = (event.get("responded_by_user") or {}).get("name")
        if event.get("chosen_options") == [self.APPROVE]:
            log.info("approved by %s", who)
            return super().execute_complete(context, event)
        if "error" in event or who is None:
            log.error("nobody has approved it within %s: nothing was written", self.response_timeout)
        else:
            log.error("rejected by %s: nothing was written", who)
        raise Refused(2)
