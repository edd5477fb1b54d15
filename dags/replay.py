"""### Replay a slice of a vendor's tape

Give a vendor, a slice of time `[start, end)` in UTC and a target. What is replayed are the messages that
stand, in order of receipt: no resends, copies, voided messages or heartbeats.

- `kafka:TOPIC`: keys, values and CreateTimes byte for byte, each symbol in its partition. Run again, it
  adds nothing. Stamped anew, it must be a topic of its own.
- `zmq:ADDRESS`: published there, one message a frame, from the first subscriber on. Killed, it goes on
  where it was a second before.
- `arctic:PREFIX`: the libraries `PREFIX_<vendor>.<kind>`, built as the vendor's own.
- `parquet:DIR`: files by vendor, kind, day and symbol, in a folder of its own.

Several vendors (*Beside*) go each to a target of its own, `{vendor}` in it being the name; at a speed, by one
clock.

- **plan** freezes the offsets to read, stores the plan and prints it, with what it holds, what that takes and
  what the target holds already; it writes nothing, and refuses a target that is a vendor's own or someone
  else's. *Only the plan* ends here.
- **approval** passes at once, unless the plan is larger than the settings allow unasked: then it waits
  (*Browse → Required Actions*). Rejected, or unanswered for too long, the run is red and nothing was written.
- **copy**, one a partition (one in all in time or onto a bus), brings the target to hold its share.
- **receipt** says what was done, with counts, digests and lateness: `tapedeck receipts`.

What is wrong in the form fails the first task at once, in one sentence.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from tapedeck.airflow import links
from tapedeck.airflow.approval import ApproveAbove
from tapedeck.airflow.notifier import callbacks
from tapedeck.airflow.params import replay_form
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, origin, say, slice_in_force

Json = dict[str, Any]


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=4,
    default_args=DEFAULTS,
    params=replay_form(),
    tags=["tapedeck", "replay"],
    doc_md=__doc__,
    **callbacks(),
)
def replay() -> None:
    @task
    @in_one_sentence
    def plan(params: Json | None = None) -> list[Json]:
        """Freeze the plan, show it, and look at all that could be wrong."""
        from tapedeck.airflow import connections, replaying

        asked = params or {}
        return replaying.plan(connections.load(), asked, slice_in_force(asked), say)

    @task(map_index_template="{{ task.op_kwargs['label'] }}")
    @in_one_sentence
    def copy(orders: list[Json], part: int, label: str) -> list[Json]:
        """Bring one part of the target to hold its share of the slice."""
        from tapedeck.airflow import connections, replaying

        return replaying.copy(connections.load(), orders, part, say)

    @task
    @in_one_sentence
    def receipt(planned: list[Json], copied: list[list[Json]]) -> Json:
        """Prove what was copied."""
        from tapedeck.airflow import connections, replaying

        return replaying.receipt(connections.load(), planned, copied, origin(), say)

    planned = links.with_plan(plan())
    approval = ApproveAbove(task_id="approval", plan_task="plan", subject="Approve this replay?")
    copied = copy.expand_kwargs(planned)
    planned >> approval >> copied
    links.with_receipt(receipt(planned, copied))


replay()
