"""What Airflow loads of tapedeck: the receipts' pages, under Browse → Tape receipts."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from tapedeck.airflow.pages import app


class TapedeckPlugin(AirflowPlugin):
    """Pages at /tapedeck/, shown inside Airflow at /plugin/receipts/tapedeck/."""

    name = "tapedeck"
    fastapi_apps = [{"app": app, "url_prefix": "/tapedeck", "name": "tapedeck"}]
    external_views = [
        {
            "name": "Tape receipts",
            "href": "/tapedeck/",
            "url_route": "receipts",
            "destination": "nav",
            "category": "browse",
        }
    ]
