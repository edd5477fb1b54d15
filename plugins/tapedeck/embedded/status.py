"""What runs where: the object that `tapedeck status --json` prints (DESIGN §9)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from tapedeck import endpoints, metrics
from tapedeck.checks import reconcile
from tapedeck.checks.facts import facts
from tapedeck.embedded import airflow_api, kafka, live, mongod
from tapedeck.errors import Unavailable
from tapedeck.jobs import backfill
from tapedeck.settings import Settings, shown_address
from tapedeck.store import crew


def status(settings: Settings) -> dict[str, Any]:
    """Addresses in force, empty where none is known, whether each answers now, and the live processes.

    Passwords in addresses are left out. Fields are only ever added to.
    """
    known = endpoints.resolve(settings)
    bootstrap, uri, url = known.kafka.bootstrap, known.mongo.uri, known.airflow.url
    mongo = bool(uri) and mongod.answers(known, uri)
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
        "jobs": _jobs(known) if mongo else [],
    }


def _jobs(settings: Settings) -> list[dict[str, Any]]:
    """What jobs left of each vendor that has been worked on, as Prometheus gets it: open findings by reason,
    when the newest receipts were issued (s since the epoch), hours until Kafka deletes what is unproven."""
    found = []
    for vendor in settings.vendors:
        try:
            said = facts(settings, vendor)
        except Unavailable:
            return []
        findings = {reason: int(n) for reason, n in _mapping(said, metrics.FINDINGS).items() if n}
        done = _mapping(said, metrics.RECEIPTS)
        if findings or done:
            found.append(
                {
                    "vendor": vendor, "findings": findings, "backfill": done.get(backfill.JOB),
                    "reconcile": done.get(reconcile.JOB), "retention_hours": said.get(metrics.RETENTION_LEFT),
                    "mongo_free": said.get(metrics.MONGO_FREE),
                }
            )  # fmt: skip
    return found


def _mapping(said: metrics.Values, metric: metrics.Metric) -> Mapping[str, float]:
    found = said.get(metric, {})
    return found if isinstance(found, Mapping) else {}


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
