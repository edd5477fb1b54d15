"""`tapedeck up`, `down`, `status`, `doctor`: the embedded servers, and what runs where."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import click
import msgspec

from tapedeck import settings as settings_module
from tapedeck.errors import TapedeckError
from tapedeck.settings import Settings

_WATCH_EVERY = 2.0


@click.command()
@click.option("--only", metavar="PARTS", help="Only these of kafka,mongo,airflow.")
@click.option("--no-airflow", is_flag=True, help="All but Airflow.")
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=300.0, show_default=True, help="Seconds to wait."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines, when all is ready.")
def up(only: str | None, no_airflow: bool, timeout: float, as_json: bool) -> None:
    """Start the embedded servers and wait until they are ready.

    What settings point elsewhere is not started; what already runs is left alone; whatever dies
    later is started again until `tapedeck down`.

    \b
    Example:
      tapedeck up
      tapedeck up --only kafka,mongo
    """
    from tapedeck.embedded import stack, status

    settings = settings_module.load()
    parts = stack.check_parts([part.strip() for part in only.split(",")] if only else stack.PARTS)
    if no_airflow:
        parts = [part for part in parts if part != "airflow"]
    stack.up(settings, parts, _progress(as_json), timeout)
    if as_json:
        click.echo(json.dumps(status.status(settings)))


@click.command()
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=20.0, show_default=True,
    help="Seconds that each group of processes gets to end by itself before it is killed.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def down(timeout: float, as_json: bool) -> None:
    """End the embedded servers, collectors and writers that this state directory has started.

    Nothing else is touched, and state stays: `tapedeck up` goes on from it.

    \b
    Example:
      tapedeck down
    """
    from tapedeck.embedded import stack

    ended = stack.down(settings_module.load(), _progress(as_json), timeout)
    if as_json:
        click.echo(json.dumps({"ended": ended}))
    elif ended:
        click.echo(f"ended {len(ended)}: {', '.join(ended)}")
    else:
        click.echo("nothing was running")


@click.command()
@click.option("--watch", is_flag=True, help="Again every two seconds, until Ctrl-C.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object (with --watch one a line) for machines."
)
def status(watch: bool, as_json: bool) -> None:
    """Print what runs where: Kafka, MongoDB, Airflow, collectors and writers, and how far behind they are.

    \b
    Example:
      tapedeck status
      tapedeck status --watch
    """
    from tapedeck.embedded import status as embedded_status

    settings = settings_module.load()

    def look() -> dict[str, Any]:
        return embedded_status.status(settings)

    def show() -> str:
        return json.dumps(look()) if as_json else "\n".join(_lines(look(), settings))

    if not watch:
        click.echo(show())
        return
    with contextlib.suppress(KeyboardInterrupt):
        if sys.stdout.isatty() and not as_json:
            _watch(look, settings)
        while True:
            click.echo(show())
            sys.stdout.flush()
            time.sleep(_WATCH_EVERY)


def _watch(look: Callable[[], dict[str, Any]], settings: Settings) -> None:
    """Tables in place of one another, until Ctrl-C."""
    from rich.live import Live

    from tapedeck.cli import standing

    now = look()
    with Live(standing.tables(now, _servers(now, settings)), auto_refresh=False, screen=True) as shown:
        while True:
            time.sleep(_WATCH_EVERY)
            now = look()
            shown.update(standing.tables(now, _servers(now, settings)), refresh=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def doctor(as_json: bool) -> int:
    """Look at what the embedded servers need of this machine; exit status 3 where something is missing.

    \b
    Example:
      tapedeck doctor
    """
    from tapedeck.embedded.doctor import examine

    findings = []
    for finding in examine(settings_module.load()):
        findings.append(finding)
        if not as_json:
            mark = click.style("ok     ", fg="green") if finding.ok else click.style("missing", fg="red")
            click.echo(f"{mark}  {finding.name:<16}  {finding.found}")
            if not finding.ok:
                click.echo(f"         {'':<16}  → {finding.remedy}")
    ok = all(finding.ok for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": ok, "findings": msgspec.to_builtins(findings)}))
    return 0 if ok else TapedeckError.exit_code


def _progress(as_json: bool) -> Callable[[str], None]:
    """Lines of progress: on stdout for a person, on stderr where stdout is one JSON object."""
    return lambda line: click.echo(line, err=as_json)


def _servers(now: dict[str, Any], settings: Settings) -> list[tuple[str, str, str, str]]:
    """Name, state, address and origin of each server."""
    rows = [
        ("Kafka", now["kafka"]["running"], now["kafka"]["bootstrap"], settings.kafka.bootstrap),
        ("MongoDB", now["mongo"]["running"], now["mongo"]["uri"], settings.mongo.uri),
        ("Airflow", now["airflow"]["running"], now["airflow"]["url"], settings.airflow.url),
    ]
    return [
        (
            name,
            _state(running, address),
            address,
            "from settings" if is_set else "embedded" if address else "",
        )
        for name, running, address, is_set in rows
    ]


def _lines(now: dict[str, Any], settings: Settings) -> list[str]:
    from tapedeck.cli import standing

    table = _servers(now, settings)
    table += [
        (
            f"{role} {standing.title(process)}",
            _state(process["running"], "x"),
            f"process {process['pid']}",
            standing.details(role, process),
        )
        for role in ("collector", "writer")
        for process in now[f"{role}s"]
    ]
    table += [
        (
            f"jobs of {one['vendor']}",
            "",
            "",
            " · ".join(f"{name} {said}" for name, said in standing.job(one).items()),
        )
        for one in now["jobs"]
    ]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    lines = ["  ".join((*map(str.ljust, row[:3], widths), row[3])).rstrip() for row in table]
    return (
        lines if now["collectors"] or now["writers"] else [*lines, "no collector and no writer is on record"]
    )


def _state(running: bool, address: str) -> str:
    return "running" if running else "no answer" if address else "not started"
