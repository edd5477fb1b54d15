"""What runs where: the object that `tapedeck status --json` prints (DESIGN §9)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from tapedeck import endpoints
from tapedeck.embedded import airflow_api, kafka, live, mongod
from tapedeck.errors import Unavailable
from tapedeck.settings import Settings, shown_address
from tapedeck.store import crew


def status(settings: Settings) -> dict[str, Any]:
    """Addresses in force, empty where none is known, whether each answers now, and the live processes.

    Passwords in addresses are left out. Fields are only ever added to.
    """
    known = endpoints.resolve(settings)
    bootstrap, uri, url = known.kafka.bootstrap, known.mongo.uri, known.airflow.url
    mongo = bool(uri) and mongod.answers(uri)
    writers = live.describe(settings, "writer")
    return {
        "kafka": {
            "bootstrap": bootstrap,
            "running": bool(bootstrap) and kafka.is_ready(bootstrap, known.kafka.client),
        },
        "mongo": {"uri": shown_address(uri), "running": mongo},
        "airflow": {"url": url, "running": bool(url) and _answers(url)},
        "collectors": live.describe(settings, "collector"),
        "writers": [*writers, *(_elsewhere(known, writers) if mongo else ())],
    }


def _elsewhere(settings: Settings, known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Writers that say in MongoDB that they are, but for those known already: of other machines, or started
    with another state directory."""
    seen = {(one.get("host"), one.get("pid")) for one in known}
    try:
        said = crew.entries(settings)
    except Unavailable:
        return []
    return [
        {"src": None, **one, "at": round(time.time() - one["age"], 3)}
        for one in said
        if (one["host"], one["pid"]) not in seen
    ]


def _answers(url: str) -> bool:
    try:
        return bool(airflow_api.health(url))
    except Unavailable:
        return False
