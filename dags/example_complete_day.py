"""### An example: work that begins when a vendor's day is complete

Copy it. It starts by itself, for each vendor and day, when `nightly_backfill` has proved the day: no more
can come, and Arctic holds what the log holds. A day that is not complete starts nothing.

- **summary** reads the day's trades from Arctic and says each symbol's count and volume-weighted price.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import PartitionedAssetTimetable, dag, get_current_context, task

from tapedeck.airflow.assets import COMPLETE, parse_key
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, say

Json = dict[str, Any]


@dag(
    schedule=PartitionedAssetTimetable(assets=COMPLETE),
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULTS,
    tags=["tapedeck", "example"],
    doc_md=__doc__,
)
def example_complete_day() -> None:
    @task
    @in_one_sentence
    def summary() -> Json:
        """Each symbol's trades of the day, from Arctic."""
        import tapedeck
        from tapedeck.airflow import connections
        from tapedeck.store.library import symbols_of

        context: Any = get_current_context()
        vendor, day = parse_key(context["dag_run"].partition_key)
        settings, found = connections.load(), {}
        say("%s %s", vendor, day)
        for symbol in symbols_of(settings, f"{vendor}.trade"):
            trades = tapedeck.read(f"{vendor}.trade", symbol, day.start, day.end, settings=settings)
            if len(trades):
                price = float((trades["price"] * trades["size"]).sum() / trades["size"].sum())
                found[symbol] = {"trades": len(trades), "vwap": price}
                say("%s: %s trades at %s", symbol, len(trades), price)
        return found

    summary()


example_complete_day()
