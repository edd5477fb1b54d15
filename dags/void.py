"""### Say that what a source sent in a slice is no data

Give a vendor, a source, a slice `[start, end)` in UTC and a reason. The log keeps it all: a record says what
is void, the windows are rebuilt without it, and copies of it by other sources stand instead. A read `as_of`
an earlier time still gives what was.

- **plan** shows how many messages it is about; it writes nothing. *Only the plan* ends here.
- **approval** passes at once, unless more than 0.1 % of the days' messages would go: then it waits (*Browse →
  Required Actions*). Rejected, or unanswered for too long, the run is red and nothing was written.
- **write** voids what was planned and no more, rebuilds the windows, leaves a receipt: `tapedeck receipts`.

Run again, it voids nothing twice.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from tapedeck.airflow import links
from tapedeck.airflow.approval import ApproveAbove
from tapedeck.airflow.notifier import callbacks
from tapedeck.airflow.params import void_form
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, origin, say, slice_in_force

Json = dict[str, Any]


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params=void_form(),
    tags=["tapedeck", "repair"],
    doc_md=__doc__,
    **callbacks(),
)
def void() -> None:
    @task
    @in_one_sentence
    def plan(params: Json | None = None) -> list[Json]:
        """Show what would be voided, and look at all that could be wrong."""
        from tapedeck.airflow import connections, voiding

        asked = params or {}
        return voiding.plan(connections.load(), asked, slice_in_force(asked), say)

    @task(map_index_template="{{ task.op_kwargs['order']['vendor'] }}")
    @in_one_sentence
    def write(order: Json, approved: int) -> Json:
        """Void it, rebuild the windows, prove what was done."""
        from tapedeck.airflow import connections, voiding

        return voiding.write(connections.load(), order, approved, origin(), say)

    planned = plan()
    approval = ApproveAbove(task_id="approval", plan_task="plan", subject="Approve this void?")
    written = write.expand_kwargs(planned)
    planned >> approval >> written
    links.with_receipt(written)


void()
