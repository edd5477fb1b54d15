"""### Replay a slice of a vendor's tape into a Kafka topic

Give a vendor, a slice of time `[start, end)` in UTC and a target, `kafka:TOPIC`. The messages of the
slice are copied byte for byte: same keys, same values, same CreateTime, each in the partition of its
symbol, in order of receipt. No resends, copies, voided messages or heartbeats.

- **plan** freezes the offsets to read and prints them; it writes nothing to Kafka, and refuses a target
  that is a vendor's own topic, would not keep the records or holds something else in the slice.
- **copy**, one a partition, publishes what the target does not hold yet and reads it back.
- **receipt** says what was copied, with counts and digests: `tapedeck receipts`.

Run again, it adds nothing. What is wrong in the form fails the first task at once, in one sentence.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from tapedeck.airflow.params import exact_times, kafka_target, one_vendor, selection, times
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, origin, say, slice_in_force

Json = dict[str, Any]


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=4,
    default_args=DEFAULTS,
    params={**one_vendor(), **times(), **kafka_target(), **selection(), **exact_times()},
    tags=["tapedeck", "replay"],
    doc_md=__doc__,
    render_template_as_native_obj=True,
)
def replay() -> None:
    @task
    @in_one_sentence
    def plan(params: Json | None = None) -> list[Json]:
        """Freeze the plan, show it, and look at all that could be wrong."""
        from msgspec import to_builtins

        from tapedeck.airflow import connections
        from tapedeck.jobs import plans, replay

        asked = params or {}
        settings = connections.load()
        order, frozen = replay.prepare(
            settings, asked["vendor"], slice_in_force(asked), asked["to"],
            asked["symbols"] or (), asked["kinds"] or (),
        )  # fmt: skip
        for line in frozen.table().splitlines():
            say("%s", line)
        already = replay.check(settings, order, frozen)
        say("to %s, which holds %s messages of it already", order.target, f"{already:,}")
        plans.keep(settings, frozen)
        return [{"order": to_builtins(order), "partition": p} for p in replay.shares(order)]

    @task(map_index_template="partition {{ task.op_kwargs['partition'] }}")
    @in_one_sentence
    def copy(order: Json, partition: int) -> Json:
        """Bring one partition of the target to hold its share of the slice."""
        from msgspec import convert, to_builtins

        from tapedeck.airflow import connections
        from tapedeck.jobs import plans, replay

        settings, asked = connections.load(), convert(order, replay.Order)
        frozen = plans.load(settings, asked.plan)
        copied: Json = to_builtins(replay.copy_partition(settings, asked, frozen, partition, say))
        return copied

    @task
    @in_one_sentence
    def receipt(planned: list[Json], copied: list[Json]) -> Json:
        """Prove what was copied."""
        from msgspec import convert

        from tapedeck.airflow import connections
        from tapedeck.jobs import plans, replay

        settings, asked = connections.load(), convert(planned[0]["order"], replay.Order)
        frozen = plans.load(settings, asked.plan)
        parts = [convert(part, replay.Copied) for part in copied]
        made = replay.finish(settings, asked, frozen, parts, origin())
        say("receipt %s: %s", made.id, made.line)
        return {"id": made.id, "outcome": made.outcome, "counts": made.counts}

    planned = plan()
    receipt(planned, copy.expand_kwargs(planned))


replay()
