"""`tapedeck findings`: what checks have found, each once, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from tapedeck import endpoints, settings
from tapedeck.cli.show import aligned
from tapedeck.errors import BadInput
from tapedeck.slices import format_time

if TYPE_CHECKING:
    from tapedeck.checks.findings import Finding


@click.command()
@click.argument("words", metavar="[VENDOR] | show ID | accept ID", nargs=-1)
@click.option("--status", default="", help="Only those: open, repairing, closed or accepted.")
@click.option("--reason", default="", help="Why a finding is accepted.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def findings(words: tuple[str, ...], status: str, reason: str, as_json: bool) -> None:
    """List what checks have found; show one, or accept it, by its ID or the beginning of that.

    Shown is all that is known of it: what it is about, its evidence, what mends it, and its life: open,
    repairing, closed by a run, or accepted by a person with a reason. An accepted finding stays known and
    weighs nothing any more.

    \b
    Examples:
      tapedeck findings binance_usdm --status open
      tapedeck findings show 3f9a12
      tapedeck findings accept 3f9a12 --reason "announced maintenance of the venue"
    """
    from tapedeck.checks import findings as book
    from tapedeck.jobs.origin import person

    deck = endpoints.resolve(settings.load())
    what = words[:-1] if len(words) == 2 else words
    if what in (("show",), ("accept",)) and len(words) == 2:
        accepted = what == ("accept",)
        if reason and not accepted:
            raise BadInput("a reason is for accepting a finding: `tapedeck findings accept ID --reason …`")
        one = book.accept(deck, words[1], reason, person()) if accepted else book.find(deck, words[1])
        if as_json:
            click.echo(json.dumps(one.to_json()))
        else:
            said = f"{one.id} is accepted: {one.why_accepted}"
            click.echo(said if accepted else "\n".join(shown(one)))
        return
    if {"show", "accept"} & {*words}:
        verb = "accept" if "accept" in words else "show"
        raise BadInput(f"{verb} one finding at a time: `tapedeck findings {verb} ID`")
    if len(words) > 1:
        raise BadInput(f"{' '.join(words)!r} is no vendor: name one, or none for all")
    vendor = words[0] if words else ""
    if vendor:
        deck.vendor(vendor)
    found = book.listed(deck, vendor, status)
    if as_json:
        click.echo(json.dumps({"findings": [one.to_json() for one in found]}))
    elif found:
        table(found)
    else:
        click.echo("there are no findings")


def shown(one: Finding) -> list[str]:
    """A finding whole, a line for each thing that is known of it."""
    from tapedeck.checks.remedy import remedy

    life = f"first seen {format_time(one.first_seen)}, last {format_time(one.last_seen)}"
    ends = {
        "repairing": f"repairing, by {one.repair}",
        "closed": f"closed by {one.closed_by}",
        "accepted": f"accepted by {one.accepted_by}: {one.why_accepted}",
    }
    fields = {
        "finding": f"{one.id} ({one.check}, {one.severity})",
        "reason": f"{one.reason}: {one.evidence.get('why', '')}",
        "about": f"{one.vendor} {one.symbol} {one.kind} [{format_time(one.start)}, {format_time(one.end)})",
        "messages": f"{one.messages:,}",
        "life": f"{ends.get(one.status, one.status)}; {life}",
        "to do": remedy(one),
        **{
            name.replace("_", " "): json.dumps(value) if isinstance(value, (dict, list)) else str(value)
            for name, value in one.evidence.items()
            if name not in ("why", "rows") and value not in ([], {}, "")
        },
    }
    width = max(map(len, fields))
    lines = [f"{name:<{width}}  {text}" for name, text in fields.items()]
    return [*lines, *(str(row["line"]) for row in one.evidence.get("rows", ()))]


def table(found: Iterable[Finding]) -> None:
    """Print them, a line each."""
    head = ("id", "reason", "vendor", "symbol", "kind", "start", "end", "messages", "status", "why")
    rows = [
        (
            one.id, one.reason, one.vendor, one.symbol, one.kind, format_time(one.start),
            format_time(one.end), f"{one.messages:,}", one.status,
            one.why_accepted or str(one.evidence.get("why", "")),
        )
        for one in found
    ]  # fmt: skip
    click.echo("\n".join(aligned(head, rows, {7})))
