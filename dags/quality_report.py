"""### One page per vendor and day: is the tape whole, in order, on time, the same in the log and in Arctic?

Every night at one, an hour after the nightly rebuild began, for every vendor of which something is recorded:
the page of the day before, a JSON beside it and a place in the index: **Browse → Tape reports**. A day that
the rebuild has not proved by then says so: WARN. By hand it takes any vendors, and the days that *Start* and
*End* meet.

- **days** says which days of which vendors.
- **report**, one a vendor and day, runs the gap check and the comparison of the log with Arctic, reads the
  day's ticks from Arctic, and writes the page. It is green whatever the verdict, which is in its log and its
  result: PASS, WARN or FAIL, and one sentence why.

Run again, it writes the same bytes from the same data. It repairs nothing.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import CronDataIntervalTimetable, dag, task

from tapedeck.airflow.notifier import callbacks
from tapedeck.airflow.params import exact_times, some_vendors, times
from tapedeck.airflow.tasks import DEFAULTS, in_one_sentence, origin, say, slice_in_force

Json = dict[str, Any]


@dag(
    schedule=CronDataIntervalTimetable("0 1 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=2,
    default_args=DEFAULTS,
    params={**some_vendors(), **times(), **exact_times()},
    tags=["tapedeck", "checks"],
    doc_md=__doc__,
    **callbacks(),
)
def quality_report() -> None:
    @task
    @in_one_sentence
    def days(params: Json | None = None) -> list[Json]:
        """Which days of which vendors."""
        from tapedeck.airflow import connections, told
        from tapedeck.reports.day import days_of

        asked = params or {}
        settings, of = connections.load(), slice_in_force(asked)
        chosen = asked["vendors"] or told.recorded(settings)
        for name in chosen:
            settings.vendor(name)
        by_hand = any(asked.get(name) for name in ("start", "start_exact"))
        met = days_of(of) if by_hand else days_of(of)[:1]  # the interval is from one o'clock to one o'clock
        return [{"vendor": name, "day": day.isoformat()} for day in met for name in chosen]

    @task(map_index_template="{{ task.op_kwargs['vendor'] }} {{ task.op_kwargs['day'] }}")
    @in_one_sentence
    def report(vendor: str, day: str) -> Json:
        """Judge one day and write its page."""
        from tapedeck.airflow import connections
        from tapedeck.reports import doors

        by = origin()
        made = doors.report(vendor, day, run=by.run, who=by.who, settings=connections.load())
        say("%s %s %s: %s", made.verdict, vendor, day, made.sentence)
        for reason in made.reasons[1:]:
            say("%s %s", reason.severity, reason.text)
        page = f"/plugin/reports/tapedeck/reports/{vendor}/{day}.html"
        say("page: %s", page)
        return {"vendor": vendor, "day": day, "verdict": made.verdict, "why": made.sentence, "page": page}

    report.expand_kwargs(days())


quality_report()
