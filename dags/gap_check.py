"""### Look for what is missing, and say at which hop it went missing

Every hour, for every vendor: sequence chains, heartbeats, quarantine and what Kafka has deleted. Each missing
span becomes a finding with one reason (`upstream`, `collector`, `publish`, `expired`, `quarantine`), its
evidence and its life: `tapedeck findings`. The hour is the run's data interval; by hand it takes any slice.

- **vendors** says which slice and which vendors it is about: all of which something is recorded.
- **check**, one a vendor, reads the slice once. It is green where it found something and kept it: the verdict
  (`pass`, `warn`, `fail`) is in its log and its result. It fails where Kafka or MongoDB did.
- **cross**, one an instrument of the settings (`[instruments.NAME]`), holds what Arctic has of its vendors
  against each other: clocks, zones, prices, minutes in which only one has ticks.

Run again, it multiplies nothing; what it no longer finds is closed.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, dag, task

from tapedeck.airflow.notifier import callbacks
from tapedeck.airflow.params import exact_times, some_vendors, times
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, origin, say, slice_in_force, vendors

Json = dict[str, Any]


@dag(
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULTS,
    params={**some_vendors(), **times(), **exact_times()},
    tags=["tapedeck", "checks"],
    doc_md=__doc__,
    **callbacks(),
)
def gap_check() -> None:
    @task(map_index_template="{{ task.op_kwargs['of']['vendor'] }}")
    @in_one_sentence
    def check(of: Json) -> Json:
        """Check one vendor."""
        from tapedeck.airflow import connections, told
        from tapedeck.checks.gap_check import gap_check
        from tapedeck.jobs.backfill import SETTLE
        from tapedeck.slices import Slice

        by = origin()
        report = gap_check(
            connections.load(), of["vendor"], Slice(of["start"], of["end"]), run=by.run, settle=SETTLE
        )
        told.tell_new(report, by.started)
        return told.said(report, say)

    @task
    @in_one_sentence
    def instruments(params: Json | None = None) -> list[Json]:
        """Which instruments of several vendors."""
        from tapedeck.airflow import connections

        settings, of = connections.load(), slice_in_force(params or {})
        return [{"instrument": n, "start": of.start, "end": of.end} for n in sorted(settings.instruments)]

    @task(map_index_template="{{ task.op_kwargs['of']['instrument'] }}")
    @in_one_sentence
    def cross(of: Json) -> Json:
        """Hold the vendors of one instrument against each other."""
        from tapedeck.airflow import connections, told

        return told.crossed(connections.load(), of, say)

    check.expand(of=vendors())
    cross.expand(of=instruments())


gap_check()
