"""`tapedeck write`, `read` and `store`: into Arctic, out of it, and whether it holds what was written."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any

import click
import msgspec

from tapedeck import endpoints, logs, settings
from tapedeck.cli.show import check_out, local_time, output
from tapedeck.errors import Unavailable
from tapedeck.message import check_kinds
from tapedeck.settings import Settings
from tapedeck.slices import format_time, parse_slice
from tapedeck.store import library
from tapedeck.tape.ending import PATIENCE, Ending
from tapedeck.tape.half import Half

LONGEST_PAUSE = 30.0
"""Before a writer that dies again and again is started again (s)."""
FORMATS = ("table", "jsonl", "csv", "parquet")


@click.command()
@click.argument("vendor")
@click.option(
    "--processes", type=click.IntRange(min=1), help="So many, one a core at most; else writer.processes."
)
def write(vendor: str, processes: int | None) -> int:
    """Write a vendor's log to Arctic, live, until it is told to end (SIGTERM or Ctrl-C).

    A window is written when it is complete; what comes late is mended. All writers of a vendor, on this
    machine and on others, share its partitions; when one dies the others take its part.

    \b
    Example:
      tapedeck write binance_usdm
      tapedeck write binance_usdm --processes 2
    """
    deck = settings.load()
    library.ensure(deck, vendor)
    command = [sys.executable, "-m", "live.writer", vendor]
    if (count := processes or deck.writer.processes) > 1:
        return _write_together(deck, vendor, command, count)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, command)  # noqa: S606


def _write_together(deck: Settings, vendor: str, command: list[str], count: int) -> int:
    """So many writers, each started again when it dies, until this process is told to end."""
    say, ending = logs.teller(deck, "write", vendor=vendor), Ending().listen()
    command = [*command, "--parent", str(os.getpid())]
    with ExitStack() as stack:
        crew = [
            stack.enter_context(Half(f"writer {n}", command, LONGEST_PAUSE, say, heeded=True))
            for n in range(1, count + 1)
        ]
        while not ending.asked() and not any(one.verdict for one in crew):
            for one in crew:
                one.keep_up()
            ending.sleep(0.2)
        ended = [one.finish(PATIENCE) for one in crew]
    return next((one.verdict for one in crew if one.verdict), 0 if all(ended) else Unavailable.exit_code)


@click.command()
@click.argument("library_name", metavar="LIBRARY")
@click.argument("symbol")
@click.argument("start")
@click.argument("end")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file, whole or not at all."
)
@click.option("--local", is_flag=True, help="The table's times in this machine's zone.")
@click.option("--columns", help="Only these, comma-separated.")
@click.option("--no-tail", is_flag=True, help="Only what Arctic holds; Kafka is not asked.")
@click.option("--as-of", "as_of", metavar="T", help="What Arctic held at that time, before later repairs.")
@click.option("--count", "only_count", is_flag=True, help="Only count messages and rows.")
@click.option("--json", "as_json", is_flag=True, help="The counts as one JSON object for machines.")
def read(
    library_name: str, symbol: str, start: str, end: str, form: str, out: Path | None, local: bool,
    columns: str | None, no_tail: bool, as_of: str | None, only_count: bool, as_json: bool,
) -> None:  # fmt: skip
    """Print a symbol's stored messages with START <= receipt time < END, up to now.

    LIBRARY is VENDOR.KIND; what is not in Arctic yet is read from the log.

    \b
    Examples:
      tapedeck read binance_usdm.trade BTCUSDT 2024-08-08T23:54:16Z 2024-08-08T23:55:00Z
      tapedeck read binance_usdm.quote BTCUSDT 5m now --format csv
      tapedeck read binance_usdm.trade BTCUSDT 1d now --format parquet --out day.parquet
      tapedeck read binance_usdm.trade BTCUSDT 3d 2d --as-of 1d
    """
    from tapedeck.store.read import read as read_frame

    wanted = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
    of = parse_slice(start, end)
    check_out("table" if only_count or as_json else form, out)
    frame = read_frame(library_name, symbol, of.start, of.end, wanted, tail=not no_tail, as_of=as_of)
    for note in frame.attrs["notes"]:
        click.echo(f"note: {note}", err=True)
    counts = {"messages": frame.attrs["messages"], "rows": len(frame)}
    if as_json:
        click.echo(json.dumps(counts))
    elif only_count:
        click.echo(f"{counts['messages']:,} messages, {counts['rows']:,} rows")
    elif not len(frame) and form != "parquet":
        click.echo(f"{library_name} holds nothing of {symbol} from {start} to {end}", err=True)
    else:
        with output(out) as stream:
            if form == "parquet":
                frame.attrs = {}
                frame.to_parquet(stream)
            elif out is None:
                _print(frame, form, local)
            else:
                text = io.TextIOWrapper(stream, "utf-8", write_through=True)
                with redirect_stdout(text):
                    _print(frame, form, local)
                text.detach()


@click.group()
def store() -> None:
    """Tell what there is, check what the disk holds of Arctic, prune what nobody needs any more."""


@store.command()
@click.argument("vendor")
@click.argument("start")
@click.argument("end")
@click.option("--kinds", default="", help="Only these, comma-separated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def check(vendor: str, start: str, end: str, kinds: str, as_json: bool) -> int:
    """Decode every window that meets [START, END) and hold it against what was written.

    Names each window of which a byte was altered, a row or the whole document is gone, or a row is there
    twice, and each block of the ledger that is not as it was entered. Kafka is not asked, and writers may go
    on. Exit status 1 where something is found.

    \b
    Example:
      tapedeck store check binance_usdm 2024-08-08T00:00:00Z 2024-08-09T00:00:00Z
    """
    from tapedeck.cli.jobs import progress_of
    from tapedeck.store import check as checks

    deck, of = endpoints.resolve(settings.load()), parse_slice(start, end)
    wanted = check_kinds(tuple(kind.strip() for kind in kinds.split(",") if kind.strip()))
    deck.vendor(vendor)
    with progress_of("windows") as progress:
        found = checks.check(deck, vendor, of, wanted, progress)
    verdict = "fail" if found.faults else "pass"
    if as_json:
        counts = {"documents": found.documents, "messages": found.messages, "blocks": found.blocks}
        faults = [msgspec.to_builtins(fault) for fault in found.faults]
        click.echo(json.dumps({"verdict": verdict, **counts, "faults": faults, "notes": found.notes}))
        return 1 if found.faults else 0
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    many = "1 fault" if len(found.faults) == 1 else f"{len(found.faults):,} faults"
    click.echo(f"{vendor} {of}: {verdict}, {many}")
    click.echo(
        f"documents {found.documents:,}, messages {found.messages:,}, blocks of the ledger {found.blocks:,}"
    )
    for fault in found.faults:
        click.echo(fault.line)
    return 1 if found.faults else 0


@store.command()
@click.argument("library_name", metavar="LIBRARY")
@click.argument("symbol")
@click.argument("start", required=False)
@click.argument("end", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def coverage(library_name: str, symbol: str, start: str | None, end: str | None, as_json: bool) -> None:
    """Tell what there is of a symbol, what is missing and why, stretch by stretch.

    From its first window until now where no slice is given. A stretch is in Arctic, in the log alone,
    partial, missing (with the reason), or closed by the calendar. The last line says through when it is
    complete.

    \b
    Examples:
      tapedeck store coverage binance_usdm.trade BTCUSDT
      tapedeck store coverage binance_usdm.trade BTCUSDT 2d now --json
    """
    from tapedeck.checks import coverage as covered

    frame = covered.coverage(library_name, symbol, start, end)
    if as_json:
        through = frame.attrs["complete_through"]
        rows = [
            {"start": format_time(row.start.value), "end": format_time(row.end.value), "state": row.state,
             "messages": row.messages, "reason": row.reason, "why": row.why}
            for row in frame.itertuples()
        ]  # fmt: skip
        said = {
            "stretches": rows, "complete_through": None if through is None else format_time(through.value),
            "held_back_by": frame.attrs["held_back_by"], "notes": frame.attrs["notes"],
        }  # fmt: skip
        click.echo(json.dumps(said))
        return
    for note in frame.attrs["notes"]:
        click.echo(f"note: {note}", err=True)
    for line in covered.lines(frame):
        click.echo(line)


@store.command()
@click.argument("vendor")
@click.option("--plan", "plan_only", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def prune(vendor: str, plan_only: bool, as_json: bool) -> None:
    """Remove what nobody needs any more: replaced windows past store.keep_age, and what was left over.

    Left over are parts that no window names and marks of writers that died. No window is removed.

    \b
    Examples:
      tapedeck store prune binance_usdm --plan
      tapedeck store prune binance_usdm
    """
    from tapedeck.store import prune as pruning

    deck = endpoints.resolve(settings.load())
    deck.vendor(vendor)
    done = pruning.prune(deck, vendor, plan_only=plan_only)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(done)))
        return
    said = "would remove" if plan_only else "removed"
    click.echo(
        f"{said} {done.generations:,} replaced windows, {done.parts:,} parts that no window names, "
        f"{done.marks:,} marks of writers that died"
    )


@store.command()
@click.option("--plan", "plan_only", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def migrate(plan_only: bool, as_json: bool) -> None:
    """Bring what MongoDB holds from an earlier version's schema to this one's; there is no way back.

    May be done while everything runs, and again after it was killed.

    \b
    Examples:
      tapedeck store migrate --plan
      tapedeck store migrate
    """
    from tapedeck.store import migrate as migrating

    said = migrating.migrate(endpoints.resolve(settings.load()), plan_only)
    if as_json:
        click.echo(json.dumps({"done": [] if plan_only else said, "plan": said if plan_only else []}))
        return
    for line in said or ["nothing to do: it is of this version's schema"]:
        click.echo(f"would be done: {line}" if plan_only and said else line)


def _print(frame: Any, form: str, local: bool) -> None:
    """As a person reads it (UTC, nine digits), as CSV, or as JSON lines with times in UTC ns."""
    stamp_of = local_time if local and form == "table" else format_time
    stamps = [stamp_of(ns) for ns in frame.index.asi8.tolist()]
    if form == "csv":
        frame.set_axis(stamps).rename_axis("ts_recv").to_csv(sys.stdout)
        return
    names = list(frame.columns)
    cells = [[_plain(value) for value in frame[name].tolist()] for name in names]
    if form == "jsonl":
        for ns, *row in zip(frame.index.asi8.tolist(), *cells, strict=True):
            click.echo(json.dumps({"ts_recv": ns, **dict(zip(names, row, strict=True))}))
        return
    texts = [["" if v is None else format_time(v) if n == "ts_event" else f"{v:.10g}" if isinstance(v, float)
              else str(v) for v in column] for n, column in zip(names, cells, strict=True)]  # fmt: skip
    wide = max(30, *map(len, stamps))
    widths = [max(len(n), *map(len, column)) for n, column in zip(names, texts, strict=True)]
    for stamp, *row in [("ts_recv", *names), *zip(stamps, *texts, strict=True)]:
        click.echo("  ".join([stamp.ljust(wide), *(v.rjust(w) for v, w in zip(row, widths, strict=True))]))


def _plain(value: Any) -> Any:
    """JSON's own types: times as ns, None for what is not there."""
    if hasattr(value, "as_unit"):
        return None if value != value else value.as_unit("ns").value
    return None if isinstance(value, float) and math.isnan(value) else value
