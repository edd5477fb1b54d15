"""`tapedeck report`: the quality of a vendor's day, as a page and as JSON."""

from __future__ import annotations

from pathlib import Path

import click

from tapedeck.cli.jobs import progress_of


@click.command()
@click.argument("vendor")
@click.argument("day")
@click.option("--out", metavar="DIR", help="Write there; else to reports/ in the state directory.")
@click.option("--quick", is_flag=True, help="Read again only partitions that have changed since last time.")
@click.option("--json", "as_json", is_flag=True, help="The whole report as one JSON object.")
def report(vendor: str, day: str, out: str | None, quick: bool, as_json: bool) -> int:
    """Judge a vendor's DAY (UTC) and write its page, with an index of all pages beside it.

    \b
    PASS  all that was due is in Arctic, as in the log, without a gap
    WARN  something lies beyond its threshold, or the day is not proved yet
    FAIL  nothing came, messages are missing, or the log and Arctic differ
    Exit status 1 where the verdict is not PASS. docs/reports.md says what each number means.

    \b
    Examples:
      tapedeck report binance_usdm 2024-08-08
      tapedeck report binance_usdm 2024-08-08 --out /srv/www/tape --json
    """
    from tapedeck import endpoints, settings
    from tapedeck.reports import doors, home

    deck = endpoints.resolve(settings.load())
    with progress_of("partitions") as progress:
        made = doors.report(vendor, day, out=out, quick=quick, settings=deck, progress=progress)
    if as_json:
        click.echo(made.to_json(), nl=False)
    else:
        click.echo(f"{made.verdict} {made.vendor} {made.day}: {made.sentence}")
        for reason in made.reasons[1:]:
            click.echo(f"  {reason.severity} {reason.text}")
        for note in made.notes:
            click.echo(f"note: {note}", err=True)
        folder = Path(out).expanduser().absolute() if out else home.home(deck)
        click.echo(folder / made.vendor / f"{made.day}.html")
    return 0 if made.verdict == "PASS" else 1
