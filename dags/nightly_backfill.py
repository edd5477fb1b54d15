"""### Rebuild a day's windows from the log, then fetch what the log never had

Every night, for every vendor: the day's windows are built anew from the log, those that differ are written,
gaps are filled from the vendor's history, receipts say so. The day is the run's data interval, so Airflow's
own Backfill does any range of days. By hand it takes any slice: *Start* and *End*.

- **plan**, one a vendor, freezes the offsets to read. By the clock it waits for collectors that are behind
  (*up for reschedule*) until `jobs.complete_within`; then what there is is built, and a finding says who held
  it back. By hand it shows what would change. *Only the plan* ends here.
- **approval** passes at once, unless a run by hand is larger than the settings allow unasked, or would remove
  or change more than 0.1 % of the messages: then it waits (*Browse → Required Actions*).
- **rebuild**, one a vendor and partition, writes the windows that differ; killed, it goes on where it was. By
  the clock it leaves what would remove or change more than 0.1 % as a finding, with a link to what mends it.
- **fetch**, one a vendor, asks its sources of history for what the log never had, each gap once.
- **receipt**, one a vendor, proves it: `tapedeck receipts`. It fails where a part of its vendor failed, for
  it alone. Each whole day of which nothing more can come is an asset event with the partition key
  `vendor|day`, for DAGs that wait for it (`example_complete_day`); `quality_report` follows every day.

Run again, it writes nothing. Two at once end as one. What Kafka has since deleted stays in Arctic.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, TriggerRule, dag, task

from tapedeck.airflow import links
from tapedeck.airflow.approval import ApproveAbove
from tapedeck.airflow.assets import COMPLETE, REBUILT, tell_complete, tell_rebuilt
from tapedeck.airflow.notifier import callbacks
from tapedeck.airflow.params import backfill_form
from tapedeck.airflow.tasks import DEFAULTS, by_hand, in_one_sentence, origin, say, slice_in_force

Json = dict[str, Any]
VENDOR = "{{ task.op_kwargs['of']['vendor'] }}"
PART = "{{ task.op_kwargs['order']['vendor'] }} {{ task.op_kwargs['partition'] }}"


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULTS,
    params=backfill_form(),
    tags=["tapedeck", "backfill"],
    doc_md=__doc__,
    **callbacks(),
)
def nightly_backfill() -> None:
    @task
    @in_one_sentence
    def vendors(params: Json | None = None) -> list[Json]:
        """Which vendors and which slice."""
        from tapedeck.airflow import connections, nightly

        asked = params or {}
        return nightly.chosen(connections.load(), asked, slice_in_force(asked))

    @task(map_index_template=VENDOR)
    @in_one_sentence
    def plan(of: Json) -> Json:
        """Freeze one vendor's plan."""
        from tapedeck.airflow import connections, nightly

        return nightly.plan(connections.load(), of, by_hand(), say)

    @task(trigger_rule=TriggerRule.ALL_DONE)
    @in_one_sentence
    def parts(of: list[Json], planned: list[Json]) -> list[Json]:
        """Every partition of every vendor that has a plan."""
        from tapedeck.airflow import nightly

        return nightly.parts(planned, any(one["dry"] for one in of or ()), say)

    @task(map_index_template=PART)
    @in_one_sentence
    def rebuild(order: Json, partition: int) -> Json:
        """Rebuild one vendor's windows of one partition."""
        from tapedeck.airflow import connections, nightly

        return nightly.rebuild(connections.load(), order, partition, say)

    @task(trigger_rule=TriggerRule.ALL_DONE, map_index_template=VENDOR)
    @in_one_sentence
    def fetch(of: Json, planned: list[Json], rebuilt: list[Json]) -> Json:
        """Fetch what one vendor's log never had."""
        from tapedeck.airflow import connections, nightly

        done = planned, rebuilt
        return nightly.fetch(connections.load(), of["vendor"], *done, of["dry"], origin(), say)

    @task(trigger_rule=TriggerRule.ALL_DONE, map_index_template=VENDOR, outlets=[COMPLETE, REBUILT])
    @in_one_sentence
    def receipt(
        of: Json, planned: list[Json], rebuilt: list[Json], fetched: list[Json], outlet_events: Any = None
    ) -> Json:
        """Prove what was done for one vendor."""
        from tapedeck.airflow import connections, nightly

        done = planned, rebuilt, fetched
        made = nightly.receipt(connections.load(), of["vendor"], *done, of["dry"], origin(), say)
        tell_rebuilt(outlet_events, of["vendor"], of["start"], of["end"])
        if made.complete and (days := tell_complete(outlet_events, made)):
            say("complete: %s", ", ".join(days))
        return {"id": made.id, "outcome": made.outcome, "counts": made.counts}

    of = vendors()
    planned = links.with_plan(plan.expand(of=of))
    todo = parts(of, planned)
    approval = ApproveAbove(task_id="approval", plan_task="parts", subject="Approve this rebuild?")
    rebuilt = rebuild.expand_kwargs(todo)
    todo >> approval >> rebuilt
    fetched = links.with_receipt(fetch.partial(planned=planned, rebuilt=rebuilt).expand(of=of))
    links.with_receipt(receipt.partial(planned=planned, rebuilt=rebuilt, fetched=fetched).expand(of=of))


nightly_backfill()
