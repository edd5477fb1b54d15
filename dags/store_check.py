"""### Decode what the disk holds, and say which windows are not as they were written

Every night, for every vendor: each document of the day is decoded and held against what it says of itself and
against the tally of its window, each block of the ledger against its own sums. An altered byte, a row that is
gone or there twice, a document that is gone: each becomes a finding that names its window. Kafka is not asked
and no window is written; `reconcile` mends it, and looks again.

- **vendors** says which slice and which vendors it is about: all of which something is recorded.
- **check**, one a vendor, reads the day once. It is green where it found something and kept it.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, dag, task

from tapedeck.airflow.notifier import callbacks
from tapedeck.airflow.params import exact_times, some_vendors, times
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, origin, say, vendors

Json = dict[str, Any]


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params={**some_vendors(), **times(), **exact_times()},
    tags=["tapedeck", "checks"],
    doc_md=__doc__,
    **callbacks(),
)
def store_check() -> None:
    @task(map_index_template="{{ task.op_kwargs['of']['vendor'] }}")
    @in_one_sentence
    def check(of: Json) -> Json:
        """Check one vendor."""
        from tapedeck.airflow import connections, told
        from tapedeck.checks.stored import stored
        from tapedeck.slices import Slice

        of_day = Slice(of["start"], of["end"])
        return told.said(stored(connections.load(), of["vendor"], of_day, run=origin().run), say)

    check.expand(of=vendors())


store_check()
