"""### Hold Kafka against Arctic, and mend Arctic

Every hour, for every vendor: counts and digests of each partition and kind, from the ledger and the tallies
alone where these prove it; else the windows that differ, then their rows, each with its values. What differs
is rebuilt from the log and looked at again; what a repair would remove or alter beyond 0.1 % of a partition's
messages is left as a finding. The hour is the run's data interval; by hand it takes any slice, and the
windows that meet it; without *From the ledger* it decodes every row.

- **vendors** says which slice and which vendors it is about: all of which something is recorded.
- **plan**, one a vendor, freezes the offsets to read.
- **compare**, one a vendor and partition, finds what differs, and mends it.
- **drill** runs instead where *Drill* is asked for: how many faults put into the slice the checks find.
- **report**, one a vendor, keeps the findings (`tapedeck findings`) and leaves a receipt with the digests
  before and after. It is green where something was found: the verdict is in its log and its result. At a
  day's end it builds twenty windows of the day, chosen at random, again: the same must come of it.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, TriggerRule, dag, task

from tapedeck.airflow.assets import REBUILT, tell_rebuilt
from tapedeck.airflow.notifier import callbacks
from tapedeck.airflow.params import reconcile_form
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, origin, say, vendors

Json = dict[str, Any]
VENDOR = "{{ task.op_kwargs['of']['vendor'] }}"


@dag(
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULTS,
    params=reconcile_form(),
    tags=["tapedeck", "checks"],
    doc_md=__doc__,
    **callbacks(),
)
def reconcile() -> None:
    @task
    @in_one_sentence
    def what(chosen: list[Json], to_drill: bool, params: Json | None = None) -> list[Json]:
        """The vendors, where this is what was asked for; else none."""
        return chosen if bool((params or {})["drill"]) == to_drill else []

    @task(map_index_template="{{ task.op_kwargs['of']['vendor'] }}")
    @in_one_sentence
    def drill(of: Json, params: Json | None = None) -> Json:
        """Score the checks on one vendor's slice."""
        from tapedeck.airflow import connections, told

        return told.drilled(connections.load(), of, int((params or {})["seeds"]), say)

    @task(map_index_template=VENDOR)
    @in_one_sentence
    def plan(of: Json) -> Json:
        """Freeze one vendor's plan."""
        from tapedeck.airflow import connections, told

        return told.planned(connections.load(), of, say)

    @task(trigger_rule=TriggerRule.ALL_DONE)
    @in_one_sentence
    def parts(orders: list[Json]) -> list[Json]:
        """Every partition of every vendor that has a plan."""
        return [{"order": order, "partition": p} for order in orders or [] for p in order["partitions"]]

    @task(map_index_template="{{ task.op_kwargs['order']['vendor'] }} {{ task.op_kwargs['partition'] }}")
    @in_one_sentence
    def compare(order: Json, partition: int, params: Json | None = None) -> Json:
        """Hold one partition's log against Arctic, and mend what differs."""
        from tapedeck.airflow import connections, told

        found = told.compared(connections.load(), order, partition, params or {})
        say("%s partition %s: %s", order["vendor"], partition, found["said"])
        return found

    @task(trigger_rule=TriggerRule.ALL_DONE, map_index_template=VENDOR, outlets=[REBUILT])
    @in_one_sentence
    def report(
        of: Json, orders: list[Json], compared: list[Json], params: Json | None = None,
        outlet_events: Any = None,
    ) -> Json:  # fmt: skip
        """Keep the findings of one vendor, and prove what was done."""
        from tapedeck.airflow import connections, told

        settings, by = connections.load(), origin()
        made = told.reconciled(settings, of["vendor"], orders, compared, by, params or {})
        told.sampled(settings, of, say)
        told.tell_new(made, by.started)
        if made.counts["windows_repaired"]:
            tell_rebuilt(outlet_events, **of)
        return told.said(made, say)

    chosen = vendors()
    drill.expand(of=what.override(task_id="to_drill")(chosen, True))
    of = what.override(task_id="to_compare")(chosen, False)
    orders = plan.expand(of=of)
    compared = compare.expand_kwargs(parts(orders))
    report.partial(orders=orders, compared=compared).expand(of=of)


reconcile()
