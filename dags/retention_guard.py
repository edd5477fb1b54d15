"""### How long until Kafka deletes what is not yet proven in Arctic

Every hour, for every vendor, per partition: the oldest record that no writer's position and no reconciliation
has proven, and when Kafka may delete it, by age or, at the last hour's rate, by size. Alarm before, never
after: below `retention.warn` hours a warning, below `retention.page` a failure (`tapedeck.toml`).

- **vendors** says which: all of which something is recorded, those in most danger first.
- **guard**, one a vendor, looks, reconciles and rebuilds what is in danger within the limits of a scheduled
  repair, and looks again. It keeps a finding for each partition that is still in danger, with the time after
  which nothing can be mended and the command that raises the topic's retention. **It fails where it pages**,
  so that whoever watches Airflow sees it.

It takes no slice: it is about what the log holds now.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, dag, task

from tapedeck.airflow.notifier import callbacks
from tapedeck.airflow.params import repair, some_vendors
from tapedeck.airflow.precedence import FIRST
from tapedeck.airflow.tasks import DEFAULTS, Refused, in_one_sentence, origin, say

Json = dict[str, Any]


@dag(
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={**DEFAULTS, "priority_weight": FIRST},
    params={**some_vendors(), **repair()},
    tags=["tapedeck", "checks"],
    doc_md=__doc__,
    **callbacks(),
)
def retention_guard() -> None:
    @task
    @in_one_sentence
    def vendors(params: Json | None = None) -> list[str]:
        """Which vendors, the nearest deadline first."""
        from tapedeck.airflow import connections, told
        from tapedeck.checks.retention import left

        settings = connections.load()
        chosen = (params or {})["vendors"] or told.recorded(settings)
        for name in chosen:
            settings.vendor(name)
        recorded = [name for name in chosen if name in told.recorded(settings)]
        return sorted(recorded, key=lambda name: min((one.hours for one in left(settings, name)), default=0))

    @task(map_index_template="{{ task.op_kwargs['vendor'] }}")
    @in_one_sentence
    def guard(vendor: str, params: Json | None = None) -> Json:
        """Look at one vendor, mend what is in danger, look again."""
        from tapedeck.airflow import connections, told
        from tapedeck.checks.retention import guard as look

        report = look(connections.load(), vendor, origin=origin(), repair=bool((params or {})["repair"]))
        found = told.said(report, say)
        told.tell_standing(report)
        if report.verdict == "fail":
            raise Refused(1)
        return found

    guard.expand(vendor=vendors())


retention_guard()
