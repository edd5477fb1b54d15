"""How collectors and writers stand, as a person reads it."""

from __future__ import annotations

import io
import os
import time
from typing import Any

import pytest
from rich.console import Console

from tapedeck.cli import standing

COLLECTOR: dict[str, Any] = {
    "vendor": "acme", "src": 2, "pid": 7, "running": True, "messages": 1234567, "lag": 1.44,
    "waiting": 3_120_000, "free": 88_000_000_000, "health": "http://127.0.0.1:9464", "held": "",
}  # fmt: skip
WRITER: dict[str, Any] = {
    "vendor": "acme", "src": None, "pid": 8, "running": True, "messages": 99, "lag": 12345,
    "partitions": [0, 1, 2, 3, 8], "oldest": 754.2, "memory": 2048, "written": 17, "late": 3,
    "health": "http://127.0.0.1:9465", "held": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "—"), (0.0, "0.0 s"), (119.9, "119.9 s"), (120, "2.0 min"), (7200, "2.0 h"), (2e5, "2.3 d")],
)
def test_lengths_of_time(seconds: float | None, words: str) -> None:
    assert standing.span(seconds) == words


def test_amounts_and_runs_of_numbers() -> None:
    assert [standing.amount(n) for n in (0, 999, 1000, 3_120_000, 5e12)] == [
        "0 B", "999 B", "1.0 kB", "3.1 MB", "5.0 TB",
    ]  # fmt: skip
    assert [standing.numbers(n) for n in ([], [5], [3, 1, 2], [0, 1, 8])] == ["none", "5", "1–3", "0–1, 8"]


def test_one_line_says_lag_spool_partitions_and_health() -> None:
    assert standing.details("collector", COLLECTOR) == (
        "messages 1,234,567 · lag 1.4 s · spool 3.1 MB · disk free 88.0 GB · health http://127.0.0.1:9464"
    )
    assert standing.details("writer", WRITER) == (
        "messages 99 · lag 12,345 records · partitions 0–3, 8 · oldest window 12.6 min · memory 2.0 kB · "
        "windows 17 · late 3 · health http://127.0.0.1:9465"
    )


def test_what_holds_a_process_and_a_record_that_is_old_are_told() -> None:
    assert standing.details("writer", {**WRITER, "held": "no Kafka"}).endswith("held by no Kafka")
    assert "told" not in standing.details("writer", {**WRITER, "at": time.time()})
    assert "told 60.0 s ago" in standing.details("writer", {**WRITER, "at": time.time() - 60})


def test_a_record_of_an_older_version_is_shown_as_far_as_it_goes() -> None:
    old = {"vendor": "acme", "src": None, "pid": 8, "running": True}
    assert standing.details("writer", old).startswith("messages 0 · lag 0 records · partitions none")


def shown(now: dict[str, Any]) -> str:
    out = io.StringIO()
    servers = [("Kafka", "running", "127.0.0.1:9092", "embedded")]
    Console(file=out, width=200).print(standing.tables(now, servers))
    return out.getvalue()


def test_the_tables_hold_everything_and_take_no_text_for_markup() -> None:
    held = {**COLLECTOR, "src": 1, "held": "taper: [red]no bus[/red]"}
    text = shown({"collectors": [COLLECTOR, held], "writers": [{**WRITER, "running": False}]})
    wanted = ("Kafka", "acme 2", "1.4 s", "3.1 MB", COLLECTOR["health"], "taper: [red]no bus[/red]",
              "0–3, 8", "12.6 min", "12,345 records", WRITER["health"], "not running")  # fmt: skip
    for words in wanted:
        assert words in text
    assert "no collector is on record" in shown({"collectors": [], "writers": []})


def test_what_jobs_left_is_told() -> None:
    one = {
        "vendor": "acme", "findings": {"writer": 2, "upstream": 1}, "backfill": time.time() - 7200,
        "reconcile": None, "retention_hours": 30.0, "mongo_free": 5e9,
    }  # fmt: skip
    text = shown({"collectors": [], "writers": [], "jobs": [one]})
    for words in ("acme", "1 upstream, 2 writer", "2.0 h ago", "never", "in 30.0 h", "5.0 GB"):
        assert words in text
    quiet = {**one, "findings": {}, "retention_hours": None, "mongo_free": None}
    assert [standing.job(quiet)[name] for name in standing.job(one)] == [
        "none",
        "2.0 h ago",
        "never",
        "—",
        "—",
    ]


def test_a_writer_of_another_machine_is_named_with_it_and_the_partition_that_is_most_behind_too() -> None:
    away = {**WRITER, "host": "blade7", "lag": 1203, "behind": {"0": 3, "1": 1200, "2": 0}}
    assert standing.title(away) == "acme on blade7"
    assert standing.title({**WRITER, "host": os.uname().nodename}) == "acme"
    assert "lag 1,203 records (1,200 in 1) · partitions" in standing.details("writer", away)
