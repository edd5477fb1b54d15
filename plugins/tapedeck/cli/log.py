"""`tapedeck cat`, `tail`, `topics`: the log by time."""

from __future__ import annotations

import json

import click
import msgspec

from tapedeck import endpoints, settings
from tapedeck.cli.show import FORMATS, write_messages
from tapedeck.jobs.known import check_known
from tapedeck.log import meta
from tapedeck.log import timeline as timelines
from tapedeck.log.inventory import inventory
from tapedeck.log.quarantine import count as count_quarantined
from tapedeck.slices import format_time


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


@click.command()
@click.argument("vendor")
@click.argument("start")
@click.argument("end")
@click.option("--symbols", help="Only these, comma-separated, as the vendor writes them.")
@click.option("--kinds", help="Only these, comma-separated: trade, quote, book, status, fields.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--count", "only_count", is_flag=True, help="Only count, by kind, with what was left out.")
@click.option("--json", "as_json", is_flag=True, help="With --count: one JSON object for machines.")
def cat(
    vendor: str, start: str, end: str, symbols: str | None, kinds: str | None, form: str,
    only_count: bool, as_json: bool,
) -> None:  # fmt: skip
    """Print a vendor's messages with START <= receipt time < END, in order.

    \b
    Examples:
      tapedeck cat binance_usdm 2024-08-08T23:54:16Z 2024-08-08T23:54:17Z --kinds trade
      tapedeck cat binance_usdm 5m now --count
    """
    deck = endpoints.resolve(settings.load())
    line = timelines.timeline(vendor, deck)
    reading = line.between(start, end, symbols=_list(symbols), kinds=_list(kinds))
    for note in reading.plan.notes:
        click.echo(f"note: {note}", err=True)
    if not (only_count or as_json):
        seen: set[str] = set()

        def noted() -> object:
            for message in reading:
                seen.add(message.symbol)
                yield message

        if not write_messages(noted(), form):  # type: ignore[arg-type]
            check_known(deck, vendor, _list(symbols))
            click.echo(f"{vendor} has no messages in {reading.plan.slice}", err=True)
        return
    total = reading.count()
    if not total.messages:
        check_known(deck, vendor, _list(symbols))
    quarantined = count_quarantined(deck, vendor, reading.plan.slice)
    whole = {
        "messages": total.messages,
        "kinds": {kind: n for kind, n in total.kinds.items() if n},
        "duplicates": total.duplicates,
        "voided": total.voided,
        "undecodable": total.undecodable,
        "quarantined": quarantined,
        "complete": reading.plan.complete,
        "start": format_time(reading.plan.slice.start),
        "end": format_time(reading.plan.slice.end),
    }
    if as_json:
        click.echo(json.dumps(whole))
        return
    click.echo(f"{vendor} {reading.plan.slice}")
    for kind, n in total.kinds.items():
        if n:
            click.echo(f"{kind:<12}{n:>14,}")
    click.echo(f"{'messages':<12}{total.messages:>14,}")
    for name in ("duplicates", "voided", "undecodable", "quarantined"):
        click.echo(f"{name:<12}{whole[name]:>14,}")
    if not total.messages:
        click.echo("the slice holds no messages")


@click.command()
@click.argument("vendor")
@click.option("--since", default=None, help="Begin so long ago (5m) or at an RFC 3339 time; default now.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
def tail(vendor: str, since: str | None, form: str) -> None:
    """Follow a vendor's live messages; Ctrl-C ends it.

    \b
    Example:
      tapedeck tail binance_usdm --since 5m
    """
    deck = endpoints.resolve(settings.load())
    write_messages(timelines.timeline(vendor, deck).tail(since), form)


@click.command()
@click.argument("vendor", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def topics(vendor: str | None, as_json: bool) -> None:
    """List each vendor's topics: partitions, records, first and last time, sources.

    \b
    Example:
      tapedeck topics binance_usdm
    """
    deck = endpoints.resolve(settings.load())
    if vendor:
        deck.vendor(vendor)
    recorded = {pin.vendor for pin in meta.read(deck).pins.values()}
    wanted = [vendor] if vendor else sorted(recorded & set(deck.vendors))
    states = {name: inventory(deck, name) for name in wanted}
    if as_json:
        click.echo(json.dumps({"vendors": msgspec.to_builtins(states)}))
        return
    rows = [state for vendors in states.values() for state in vendors]
    if not rows:
        click.echo("no vendor is recorded yet")
        return
    wide = max(len(row.topic) for row in rows)
    click.echo(
        f"{'topic':<{wide}}  {'role':<10}  parts  {'records':>12}  {'first (UTC)':<24}  {'last':<24}  src"
    )
    for row in rows:
        first, last = (format_time(ms * 1_000_000) if ms else "" for ms in (row.first_ms, row.last_ms))
        sources = ", ".join(map(str, row.sources))
        click.echo(
            f"{row.topic:<{wide}}  {row.role:<10}  {row.partitions:>5}  {row.records:>12,}  "
            f"{first:<24}  {last:<24}  {sources}"
        )
