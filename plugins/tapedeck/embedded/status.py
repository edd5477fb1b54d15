"""What runs where: the object that `tapedeck status --json` prints (DESIGN §9)."""

from __future__ import annotations

from typing import Any

from tapedeck import endpoints
from tapedeck.embedded import airflow_api, kafka, live, mongod
from tapedeck.embedded.stack import hide_password
from tapedeck.errors import Unavailable
from tapedeck.settings import Settings


def status(settings: Settings) -> dict[str, Any]:
    """Addresses in force, empty where none is known, whether each answers now, and the live processes.

    Passwords in addresses are left out. Fields are only ever added to.
    """
    known = endpoints.resolve(settings)
    bootstrap, uri, url = known.kafka.bootstrap, known.mongo.uri, known.airflow.url
    return {
        "kafka": {
            "bootstrap": bootstrap,
            "running": bool(bootstrap) and kafka.is_ready(bootstrap, known.kafka.client),
        },
        "mongo": {"uri": hide_password(uri), "running": bool(uri) and mongod.answers(uri)},
        "airflow": {"url": url, "running": bool(url) and _answers(url)},
        "collectors": live.describe(settings, "collector"),
        "writers": live.describe(settings, "writer"),
    }


def _answers(url: str) -> bool:
    try:
        return bool(airflow_api.health(url))
    except Unavailable:
        return False
