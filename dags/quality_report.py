"""### One page per vendor and day: is the tape whole, in order, on time, the same in the log and in Arctic?

For each vendor and day when `nightly_backfill` has rebuilt it, complete or not, and again when `reconcile`
has mended something of it: a page, a JSON beside it and a place in the index: **Browse → Tape reports**. What
a repair changed is a new revision; the earlier one stays, marked as superseded. By hand it takes any vendors,
and the days that *Start* and *End* meet.

- **days** says which days of which vendors.
- **parts** says which partitions they have.
- **read**, one a vendor, day and partition, compares the log with Arctic and reads every tick; one more a day
  runs the gap check. What has not changed since is not read again, unless *Read all again* is on.
- **report**, one a vendor and day, judges and writes the page: PASS, WARN or FAIL, and one sentence why. It
  is green whatever the verdict; of one that is not PASS the notifier tells. Its **Report** button leads to
  the page.

Run again, it writes the same bytes from the same data. It repairs nothing.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import PartitionedAssetTimetable, TriggerRule, dag, get_current_context, task

from tapedeck.airflow import links
from tapedeck.airflow.assets import REBUILT
from tapedeck.airflow.notifier import callbacks
from tapedeck.airflow.params import anew, exact_times, some_vendors, times
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, origin, say

Json = dict[str, Any]


@dag(
    schedule=PartitionedAssetTimetable(assets=REBUILT),
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULTS,
    params={**some_vendors(), **times(), **anew(), **exact_times()},
    tags=["tapedeck", "checks"],
    doc_md=__doc__,
    **callbacks(),
)
def quality_report() -> None:
    @task
    @in_one_sentence
    def days(params: Json | None = None) -> list[Json]:
        """Which days of which vendors."""
        from tapedeck.airflow import connections, reporting

        context: Any = get_current_context()
        found = reporting.days(connections.load(), params or {}, context["dag_run"].partition_key)
        for one in found:
            say("%s %s", one["vendor"], one["day"])
        return found

    @task
    @in_one_sentence
    def parts(days: list[Json]) -> list[Json]:
        """Every partition of every day, and its gap check."""
        from tapedeck.airflow import connections, reporting

        return reporting.parts(connections.load(), days)

    @task(map_index_template="{{ task.op_kwargs['label'] }}")
    @in_one_sentence
    def read(vendor: str, day: str, partition: int | None, label: str, params: Json | None = None) -> int:
        """Read one partition of a day, or check its gaps."""
        from tapedeck.airflow import connections
        from tapedeck.reports import doors

        quick = not (params or {}).get("anew")
        rows = doors.read_day(vendor, day, partition, quick=quick, settings=connections.load(), told=say)
        say("%s: %s messages read", label, f"{rows:,}")
        return rows

    @task(map_index_template="{{ task.op_kwargs['vendor'] }} {{ task.op_kwargs['day'] }}",
          trigger_rule=TriggerRule.ALL_DONE)  # fmt: skip
    @in_one_sentence
    def report(vendor: str, day: str) -> Json:
        """Judge one day and write its page."""
        from tapedeck.airflow import connections, reporting
        from tapedeck.reports import doors

        by, settings = origin(), connections.load()
        made = doors.report(vendor, day, run=by.run, who=by.who, quick=True, settings=settings)
        page = links.leads_to_report(vendor, day)
        for line in reporting.lines(made):
            say("%s", line)
        say("page: %s", page)
        reporting.tell(settings, made, page)
        return {"vendor": vendor, "day": day, "verdict": made.verdict, "why": made.sentence, "page": page}

    of = days()
    done = read.expand_kwargs(parts(of))
    written = report.expand_kwargs(of)
    links.with_report(written)
    done >> written


quality_report()
