"""`tapedeck gaps`, `reconcile`, `baselines`, `retention`, `cross`: what is missing, and where it went."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from tapedeck import endpoints, settings
from tapedeck.cli.findings import table
from tapedeck.cli.jobs import progress_of
from tapedeck.cli.show import aligned
from tapedeck.errors import BadInput
from tapedeck.slices import format_time, parse_slice, parse_time

if TYPE_CHECKING:
    from tapedeck.checks.report import Report


@click.command()
@click.argument("vendor")
@click.argument("start")
@click.argument("end")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def gaps(vendor: str, start: str, end: str, as_json: bool) -> int:
    """Say what is missing of a vendor in [START, END), at which hop it went missing, and what shows that.

    \b
    Reasons: upstream (no source ever saw it), collector (none was listening), publish (taped, not in the
    log), expired (deleted by Kafka), quarantine (refused), writer (in the log, not in Arctic: see reconcile).
    Exit status 1 where something is found; it is kept: `tapedeck findings`. "repeated" (in --json
    "duplicates") are messages whose seq had come before and that are kept, as a source sent them twice; what
    `cat --count` calls duplicates is left out.

    \b
    Examples:
      tapedeck gaps binance_usdm 2h now
      tapedeck gaps binance_usdm 2024-08-08T23:50:00Z 2024-08-09T00:10:00Z --json
    """
    from tapedeck.checks import doors

    with progress_of("partitions") as progress:
        report = doors.gaps(vendor, start, end, progress=progress)
    return _show(report, as_json, {"duplicates": "repeated"})


@click.command()
@click.argument("vendor")
@click.argument("start")
@click.argument("end")
@click.option("--repair", is_flag=True, help="Rebuild the windows that differ from the log, then look again.")
@click.option("--quick", is_flag=True, help="Read no payload where ledger and tallies prove the slice.")
@click.option("--with", "what", default="", metavar="WHAT", help="Compare with something else, see below.")
@click.option("--symbol", default=None, help="Of a tape's payloads that name none.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def reconcile(
    vendor: str, start: str, end: str, repair: bool, quick: bool, what: str, symbol: str | None, as_json: bool
) -> int:  # fmt: skip
    """Hold Kafka against Arctic for every window that meets [START, END).

    Counts and digests first, then the windows that differ, then their rows. Every stored row is decoded, so
    one that was altered on the disk is found;
    --quick leaves that to `tapedeck store check`. Exit status 1 where something is found, mended or not.
    Windows that are still open are not judged; where all are, the first line says so.

    \b
    --with compares, message by message, prints what differs, and changes nothing:
      tape[:PATH]     a collector's raw tape, or a captured file, against Arctic (Kafka may have expired)
      history         the vendor's history of the settings against Arctic
      arctic:PREFIX   Arctic against the libraries of a replay
      collectors:1,2  two sources of the log against each other

    \b
    Examples:
      tapedeck reconcile binance_usdm 2024-08-08T23:00:00Z 2024-08-09T00:00:00Z
      tapedeck reconcile binance_usdm 2h 1h --repair
      tapedeck reconcile binance_usdm 1d now --quick
      tapedeck reconcile binance_usdm 2h 1h --with tape
    """
    from tapedeck.checks import doors

    if what:
        if repair or quick:
            raise BadInput("--with compares and changes nothing: leave out --repair and --quick")
        return _compared(vendor, start, end, what, symbol, as_json)

    with progress_of("partitions") as progress:
        report = doors.reconcile(vendor, start, end, repair=repair, quick=quick, progress=progress)
    return _show(report, as_json)


@click.command()
@click.argument("vendor")
@click.option("--at", default="now", help="The time of day, on a day, that is asked about.")
@click.option("--symbol", default="", help="Only this one.")
@click.option(
    "--learn", nargs=2, default=None, metavar="START END", help="Learn from what Arctic holds first."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def baselines(vendor: str, at: str, symbol: str, learn: tuple[str, str] | None, as_json: bool) -> None:
    """Show what is usual of a vendor's symbols at a time of day: messages in ten minutes, longest silence.

    Each hourly gap check learns its hour. `--learn` learns whole hours of the past from Arctic.

    \b
    Examples:
      tapedeck baselines binance_usdm --at 2024-08-08T14:30:00Z
      tapedeck baselines binance_usdm --learn 20d now
    """
    from tapedeck.checks import baselines as book
    from tapedeck.checks.trailing import MIN_DAYS

    deck = endpoints.resolve(settings.load())
    deck.vendor(vendor)
    now = time.time_ns()
    when = parse_time(at, now)
    if learn:
        hours = book.learn(deck, vendor, parse_slice(*learn))
        click.echo(f"learnt {hours} hours", err=True)
    found = book.shown(deck, vendor, when, symbol)
    if as_json:
        click.echo(json.dumps({"vendor": vendor, "at": format_time(when), "symbols": found}))
    elif found:
        head = ("symbol", "messages", "deviation", "longest_silence_seconds", "days")
        click.echo("\n".join(aligned(head, [[str(one[n]) for n in head] for one in found], {1, 2, 3, 4})))
    else:
        click.echo(
            f"nothing is known of {vendor} at this time of such a day: {MIN_DAYS} days like it make a "
            "baseline; --learn 20d now learns from what Arctic holds"
        )


@click.command()
@click.argument("vendor")
@click.option(
    "--raise", "length", default="", metavar="DURATION", help="Let Kafka keep records so long: 14d."
)
@click.option("--repair", is_flag=True, help="Reconcile and rebuild what is in danger first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def retention(vendor: str, length: str, repair: bool, as_json: bool) -> int:
    """Say how long it is until Kafka deletes what is not yet proven in Arctic; raise a topic's retention.

    Exit status 1 where a partition has less left than retention.warn; that is kept: `tapedeck findings`.

    \b
    Examples:
      tapedeck retention binance_usdm
      tapedeck retention binance_usdm --raise 14d
    """
    from tapedeck.checks import retention as guard
    from tapedeck.jobs.origin import asked_here

    deck = endpoints.resolve(settings.load())
    deck.vendor(vendor)
    if length:
        changed = guard.raise_to(deck, vendor, length)
        said = f"{', '.join(changed)} now keeps its records {length}" if changed else "nothing had to change"
        click.echo(json.dumps({"raised": changed, "to": length}) if as_json else said)
        return 0
    origin = asked_here()
    return _show(guard.guard(deck, vendor, origin=origin, repair=repair), as_json)


@click.command()
@click.argument("instrument")
@click.argument("start")
@click.argument("end")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def cross(instrument: str, start: str, end: str, as_json: bool) -> int:
    """Hold the vendors of one instrument against each other: clocks, prices, minutes without ticks.

    An instrument is declared in the settings: a table [instruments.NAME] with a symbol for each vendor. What
    Arctic holds of [START, END) is compared. Exit status 1 where a clock, or a zone, is wrong.

    \b
    Examples:
      tapedeck cross btc 2024-08-08T00:00:00Z 2024-08-09T00:00:00Z
    """
    from tapedeck.checks import cross as check

    deck = endpoints.resolve(settings.load())
    found = check.cross(deck, instrument, parse_slice(start, end))
    if as_json:
        click.echo(json.dumps({"instrument": instrument, "pairs": [one.to_json() for one in found]}))
    for one in () if as_json else found:
        click.echo(one.said)
    return 1 if any(one.wrong for one in found) else 0


def _compared(vendor: str, start: str, end: str, what: str, symbol: str | None, as_json: bool) -> int:
    from tapedeck.checks.against import against

    found = against(endpoints.resolve(settings.load()), vendor, parse_slice(start, end), what, symbol)
    if as_json:
        click.echo(json.dumps(found.to_json()))
    else:
        for note in found.notes:
            click.echo(f"note: {note}", err=True)
        said = f"{found.differ:,} differ" if found.differ else "all alike"
        click.echo(f"{found.vendor} {found.slice}: {found.sides[0]} against {found.sides[1]}: {said}")
        click.echo("\n".join(found.lines) or "neither has anything of the slice")
    return 1 if found.differ else 0


def _show(report: Report, as_json: bool, words: Mapping[str, str] | None = None) -> int:
    """A report, and the exit status that it stands for. `words`: counts that are not called by their name."""
    status = 0 if report.verdict == "pass" else 1
    if as_json:
        click.echo(json.dumps(report.to_json()))
        return status
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(report.headline)
    names = {name: name.replace("_", " ") for name in report.counts} | dict(words or {})
    counts = ", ".join(f"{names[name]} {n:,}" for name, n in report.counts.items() if n)
    if counts:
        click.echo(counts)
    if report.findings:
        table(report.findings)
        for row in (row["line"] for one in report.findings for row in one.evidence.get("rows", ())):
            click.echo(row)
    if any(_off(part) for part in report.balance):
        head = ("partition", "log", "arctic", "duplicates", "voided", "undecodable", "unaccounted")
        rows = [[*(f"{part[n]:,}" for n in head[:-1]), f"{_off(part):,}"] for part in report.balance]
        click.echo("\n".join(aligned(head, rows, range(len(head)))))
    if report.receipt:
        click.echo(f"receipt {report.receipt}")
    return status


def _off(part: dict[str, int]) -> int:
    """What the log has and nothing accounts for (DESIGN §2.5)."""
    return part["log"] - sum(part[name] for name in ("arctic", "duplicates", "voided", "undecodable"))
