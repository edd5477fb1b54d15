"""### Rebuild a day's windows from the log

Every night, for every vendor: the day's windows are built anew from the log, those that differ are
written, and a receipt says so. The day is the run's data interval, so Airflow's own Backfill rebuilds any
range of days. By hand it takes any slice: *Start* and *End*.

- **vendors** says which slice and which vendors it is about.
- **plan**, one a vendor, freezes the offsets to read. A vendor of which nothing is recorded has no plan.
- **rebuild**, one a vendor and partition, writes the windows that differ. It never shrinks what Kafka has
  since deleted.
- **receipt**, one a vendor, proves it: `tapedeck receipts`. It fails where a part of its vendor failed; the
  other vendors stay green. Each whole day of which nothing more can come is an asset event with the partition
  key `vendor|day`, for DAGs that wait for it (`example_complete_day`); `quality_report` follows every day.

Run again, it writes nothing. Two at once end as one.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, TriggerRule, dag, task

from tapedeck.airflow import links
from tapedeck.airflow.assets import COMPLETE, REBUILT, tell_complete, tell_rebuilt
from tapedeck.airflow.notifier import callbacks
from tapedeck.airflow.params import backfill_form
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, origin, say, slice_in_force

Json = dict[str, Any]
VENDOR = "{{ task.op_kwargs['of']['vendor'] }}"


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
        from tapedeck.airflow import connections

        asked = params or {}
        settings, of = connections.load(), slice_in_force(asked)
        chosen = asked["vendors"] or sorted(settings.vendors)
        for name in chosen:
            settings.vendor(name)
        return [{"vendor": name, "start": of.start, "end": of.end} for name in chosen]

    @task(map_index_template=VENDOR)
    @in_one_sentence
    def plan(of: Json) -> Json:
        """Freeze one vendor's plan."""
        from msgspec import to_builtins

        from tapedeck.airflow import connections
        from tapedeck.jobs import backfill, plans
        from tapedeck.slices import Slice

        settings = connections.load()
        order, frozen = backfill.prepare(settings, of["vendor"], Slice(of["start"], of["end"]))
        if frozen is None:
            say("nothing is recorded of %s yet", order.vendor)
        else:
            for line in frozen.table().splitlines():
                say("%s", line)
            plans.keep(settings, frozen)
            links.leads_to_plan(frozen.digest)
        return to_builtins(order)  # type: ignore[no-any-return]

    @task(trigger_rule=TriggerRule.ALL_DONE)
    @in_one_sentence
    def parts(orders: list[Json]) -> list[Json]:
        """Every partition of every vendor that has a plan."""
        return [{"order": order, "partition": p} for order in orders or [] for p in order["partitions"]]

    @task(map_index_template="{{ task.op_kwargs['order']['vendor'] }} {{ task.op_kwargs['partition'] }}")
    @in_one_sentence
    def rebuild(order: Json, partition: int) -> Json:
        """Rebuild one vendor's windows of one partition."""
        from msgspec import convert, to_builtins

        from tapedeck.airflow import connections
        from tapedeck.jobs import backfill, plans

        settings, asked = connections.load(), convert(order, backfill.Order)
        part = backfill.rebuild_part(settings, asked, plans.load(settings, asked.plan), partition)
        say("%s partition %s: %s", asked.vendor, partition, part.done)
        return {"vendor": asked.vendor, "part": to_builtins(part)}

    @task(trigger_rule=TriggerRule.ALL_DONE, map_index_template=VENDOR, outlets=[COMPLETE, REBUILT])
    @in_one_sentence
    def receipt(of: Json, orders: list[Json], rebuilt: list[Json], outlet_events: Any = None) -> Json:
        """Prove what was done for one vendor."""
        from tapedeck.airflow import connections, nightly

        made = nightly.receipt(connections.load(), of["vendor"], orders, rebuilt, origin())
        links.leads_to_receipt(made.id)
        say("receipt %s: %s", made.id, made.line)
        tell_rebuilt(outlet_events, **of)
        if made.complete and (days := tell_complete(outlet_events, made)):
            say("complete: %s", ", ".join(days))
        return {"id": made.id, "outcome": made.outcome, "counts": made.counts}

    of = vendors()
    orders = plan.expand(of=of)
    rebuilt = rebuild.expand_kwargs(parts(orders))
    links.with_plan(orders)
    links.with_receipt(receipt.partial(orders=orders, rebuilt=rebuilt).expand(of=of))


nightly_backfill()
