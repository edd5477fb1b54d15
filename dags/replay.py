"""### Replay a slice of a vendor's tape

Give a vendor, a slice of time `[start, end)` in UTC and a target. What is replayed are the messages that
stand, in order of receipt: no resends, copies, voided messages or heartbeats.

- `kafka:TOPIC`: keys, values and CreateTimes byte for byte, each symbol in its partition. Run again, it
  adds nothing. Stamped anew, it must be a new topic.
- `zmq:ADDRESS`: published there, one message a frame, from the first subscriber on.
- `arctic:PREFIX`: the libraries `PREFIX_<vendor>.<kind>`, built as the vendor's own.
- `parquet:DIR`: files by vendor, kind, day and symbol, in a folder of its own.

- **plan** freezes the offsets to read and prints them, with what they hold, what that takes and what the
  target holds already; it writes nothing, and refuses a target that is a vendor's own or someone else's.
- **copy**, one a partition (one in all in time or onto a bus), brings the target to hold its share.
- **receipt** says what was done, with counts, digests and lateness: `tapedeck receipts`.

What is wrong in the form fails the first task at once, in one sentence.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from tapedeck.airflow.params import exact_times, one_vendor, replay_target, selection, times
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, origin, say, slice_in_force

Json = dict[str, Any]


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=4,
    default_args=DEFAULTS,
    params={**one_vendor(), **times(), **replay_target(), **selection(), **exact_times()},
    tags=["tapedeck", "replay"],
    doc_md=__doc__,
)
def replay() -> None:
    @task
    @in_one_sentence
    def plan(params: Json | None = None) -> list[Json]:
        """Freeze the plan, show it, and look at all that could be wrong."""
        from msgspec import to_builtins

        from tapedeck.airflow import connections
        from tapedeck.jobs import plans, replay
        from tapedeck.jobs.target import label

        asked = params or {}
        settings = connections.load()
        order, frozen = replay.prepare(
            settings, asked["vendor"], slice_in_force(asked), asked["to"],
            asked["symbols"] or (), asked["kinds"] or (), speed=str(asked["speed"] or "max"),
            restamp=bool(asked["restamp"]),
        )  # fmt: skip
        for line in replay.shown(settings, order, frozen):
            say("%s", line)
        plans.keep(settings, frozen)
        return [
            {"order": to_builtins(order), "part": part, "label": label(part)}
            for part in replay.parts(settings, order)
        ]

    @task(map_index_template="{{ task.op_kwargs['label'] }}")
    @in_one_sentence
    def copy(order: Json, part: int, label: str) -> Json:
        """Bring one part of the target to hold its share of the slice."""
        from msgspec import convert, to_builtins

        from tapedeck.airflow import connections
        from tapedeck.jobs import plans, replay
        from tapedeck.jobs.order import Order

        settings, asked = connections.load(), convert(order, Order)
        frozen = plans.load(settings, asked.plan)
        copied: Json = to_builtins(replay.copy_part(settings, asked, frozen, part, say))
        return copied

    @task
    @in_one_sentence
    def receipt(planned: list[Json], copied: list[Json]) -> Json:
        """Prove what was copied."""
        from msgspec import convert

        from tapedeck.airflow import connections
        from tapedeck.jobs import plans, replay
        from tapedeck.jobs.order import Copied, Order

        settings, asked = connections.load(), convert(planned[0]["order"], Order)
        frozen = plans.load(settings, asked.plan)
        parts = [convert(part, Copied) for part in copied]
        made = replay.finish(settings, asked, frozen, parts, origin())
        say("receipt %s: %s", made.id, made.line)
        return {"id": made.id, "outcome": made.outcome, "counts": made.counts}

    planned = plan()
    receipt(planned, copy.expand_kwargs(planned))


replay()
