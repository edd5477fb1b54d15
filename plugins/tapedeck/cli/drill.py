"""`tapedeck drill`: what the checks find of faults that are known, and what they find that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tapedeck import endpoints, settings
from tapedeck.cli.jobs import progress_of
from tapedeck.cli.show import aligned
from tapedeck.errors import BadInput
from tapedeck.slices import parse_slice

if TYPE_CHECKING:
    from tapedeck.drill.drill import Drill


@click.command()
@click.argument("vendor")
@click.argument("files", metavar="[FILE]…", nargs=-1, type=click.Path(path_type=Path))
@click.option("--from", "start", default="", help="In place of files: the log, from this time on.")
@click.option("--to", "end", default="", help="Up to this time.")
@click.option(
    "--days",
    type=click.IntRange(1, 28),
    default=None,
    help="In place of files: a made market of quiet symbols; so many of its days are judged.",
)
@click.option("--symbol", default=None, help="Of payloads in the files that name none.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=10, show_default=True, help="Of each fault.")
@click.option("--faults", default="", help="Only these, comma-separated.")
@click.option(
    "--try", "other", default="", metavar="NAME=VALUE,…", help="Other thresholds than those in force."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def drill(
    vendor: str, files: tuple[Path, ...], start: str, end: str, days: int | None, symbol: str | None,
    seeds: int, faults: str, other: str, as_json: bool,
) -> None:  # fmt: skip
    """Score the checks on a tape that is known to be complete: captured FILEs, or a slice of the log.

    Faults are put into it in memory, one sort at a time, at many seeds, and the checks are run on each;
    nothing is written anywhere. Recall is the share of faults found at the right place with the right
    reason, precision the share of findings that are such faults. Detection times are of the tape; the hourly
    run comes on top.

    With --days, a market of symbols that send 60 to 0.2 messages a minute is made at each seed, in clusters
    as on real tapes. Three weeks teach what is usual, the days after them are judged twice: as they are, when
    every finding is false, and with one silence in each three hours.

    \b
    Faults: drop burst dup reorder lose deaf stall mute thin skew zone frozen outlier

    \b
    Examples:
      tapedeck drill binance_usdm btcusdt.gz ethusdt.gz
      tapedeck drill binance_usdm --from 2024-08-08T00:00:00Z --to 2024-08-08T06:00:00Z --faults stall,thin
      tapedeck drill binance_usdm btcusdt.gz --faults stall --try silence_times=2
      tapedeck drill binance_usdm --days 7 --seeds 3 --try silence_times=3
    """
    from tapedeck.drill import take
    from tapedeck.drill.drill import chosen, limits_with
    from tapedeck.drill.drill import drill as run

    names = [name.strip() for name in faults.split(",") if name.strip()]
    chosen(names)
    limits, thresholds = limits_with(other)
    if [bool(files), bool(start or end), days is not None].count(True) != 1:
        raise BadInput(
            "give captured files, a slice of the log by --from and --to, or --days of a made market"
        )
    if days is not None and names:
        raise BadInput("--days tries silences alone: leave --faults out")
    deck = settings.load()
    deck.vendor(vendor)
    if days is not None:
        from tapedeck.drill.days import drill as of_days

        with progress_of("markets") as progress:
            made = of_days(vendor, days, seeds=seeds, limits=limits, progress=progress)
        _show(made, as_json)
        return
    if files:
        tape = take.of_captures(vendor, files, symbol)
    else:
        if not (start and end):
            raise BadInput("a slice has two ends: give --from and --to")
        tape = take.of_log(endpoints.resolve(deck), vendor, parse_slice(start, end))
    with progress_of("faults") as progress:
        made = run(tape, seeds=seeds, faults=names, limits=limits, thresholds=thresholds, progress=progress)
    _show(made, as_json)


def _show(made: Drill, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(made.to_json()))
        return
    for line in lines(made):
        click.echo(line)


def lines(made: Drill) -> list[str]:
    """A drill for a person: a line for each fault."""
    from tapedeck.drill.drill import table

    head, *rows = table(made)
    said = [f"{made.vendor} {made.slice}: {made.messages:,} messages of {', '.join(made.symbols[:5])}"]
    said += [f"note: {note}" for note in made.notes]
    if made.before:
        found = ", ".join(f"{n:,} {check}" for check, n in sorted(made.before.items()))
        said.append(f"before any fault, and not counted below: {found}")
    return [*said, *aligned(head, rows, range(3, len(head)))]
