"""What Airflow loads of tapedeck: its pages, under Browse → Tape receipts and Tape reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from tapedeck.airflow.deadline import RunQueued
from tapedeck.airflow.links import PlanLink, ReceiptLink, ReportLink

Event = MutableMapping[str, Any]


async def pages(
    scope: Event, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]
) -> None:
    """The pages as an ASGI app, imported when one is asked for: every task's process loads this file."""
    from tapedeck.airflow.pages import app

    await app(scope, receive, send)


class TapedeckPlugin(AirflowPlugin):
    """Pages at /tapedeck/, shown inside Airflow at /plugin/receipts/tapedeck/."""

    name = "tapedeck"
    fastapi_apps = [{"app": pages, "url_prefix": "/tapedeck", "name": "tapedeck"}]
    external_views = [
        {
            "name": "Tape receipts",
            "href": "/tapedeck/",
            "url_route": "receipts",
            "destination": "nav",
            "category": "browse",
        },
        {
            "name": "Tape reports",
            "href": "/tapedeck/reports/",
            "url_route": "reports",
            "destination": "nav",
            "category": "browse",
        },
        {
            "name": "Tape",
            "href": "/tapedeck/of/{DAG_ID}/{RUN_ID}",
            "url_route": "tape_run",
            "destination": "dag_run",
        },
    ]
    operator_extra_links = [PlanLink(), ReceiptLink(), ReportLink()]
    deadline_references = [RunQueued]
