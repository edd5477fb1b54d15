"""Buttons on a task's page that lead to what it left, its plan or its receipt."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink, XComArg, get_current_context

PAGES = "/plugin/receipts/tapedeck"
"""Where Airflow shows tapedeck's pages inside its own (see `tapedeck_plugin`)."""
REPORTS = "/plugin/reports/tapedeck/reports"
"""Where Airflow shows the quality reports."""
_led: dict[str, str] = {}
"""By a link's key, where it leads, in this task's process."""


class PlanLink(BaseOperatorLink):
    """The plan that a task has frozen."""

    name = "Plan"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """What `leads_to_plan` was told; Airflow keeps it once more when the task has ended."""
        return _led.get(self.xcom_key, "")


class ReceiptLink(BaseOperatorLink):
    """The receipt that a task has left."""

    name = "Receipt"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """What `leads_to_receipt` was told; Airflow keeps it once more when the task has ended."""
        return _led.get(self.xcom_key, "")


class ReportLink(BaseOperatorLink):
    """The page that a task has written."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """What `leads_to_report` was told; Airflow keeps it once more when the task has ended."""
        return _led.get(self.xcom_key, "")


def with_report(task: XComArg) -> XComArg:
    """The task, mapped or not, with a button to its report."""
    return _with(task, ReportLink())


def with_plan(task: XComArg) -> XComArg:
    """The task, mapped or not, with a button to its plan."""
    return _with(task, PlanLink())


def with_receipt(task: XComArg) -> XComArg:
    """The task, mapped or not, with a button to its receipt."""
    return _with(task, ReceiptLink())


def leads_to_receipt(identity: str) -> None:
    """The running task has left this receipt."""
    _lead(ReceiptLink(), f"{PAGES}/receipt/{identity}")


def leads_to_plan(digest: str) -> None:
    """The running task has frozen this plan."""
    _lead(PlanLink(), f"{PAGES}/plan/{digest}")


def leads_to_report(vendor: str, day: str) -> str:
    """The running task has written the report of this day; gives where it is shown."""
    page = f"{REPORTS}/{vendor}/{day}.html"
    _lead(ReportLink(), page)
    return page


def _with(task: XComArg, link: BaseOperatorLink) -> XComArg:
    task.operator.operator_extra_links = (link,)  # type: ignore[attr-defined]
    return task


def _lead(link: BaseOperatorLink, url: str) -> None:
    """Kept at once, since Airflow asks a mapped task's class, which has no links of ours."""
    _led[link.xcom_key] = url
    context: Any = get_current_context()
    context["ti"].xcom_push(key=link.xcom_key, value=url)
