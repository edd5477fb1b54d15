"""`tapedeck config`: the settings in force and where each came from."""

from __future__ import annotations

import json

import click

from tapedeck import settings
from tapedeck.errors import BadInput
from tapedeck.settings import Settings


@click.command()
@click.option("--check", is_flag=True, help="Only check, asking no server: print nothing where all is well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def config(check: bool, as_json: bool) -> None:
    """Print the settings in force and where each came from.

    With --check, also that Kafka's and MongoDB's drivers know their properties, and that each vendor and its
    bus and calendar are known: for the continuous integration of a deployment.

    \b
    Example:
      TAPEDECK_KAFKA__PORT=19092 tapedeck config
      TAPEDECK_SETTINGS=deploy/tapedeck.toml tapedeck config --check
    """
    found = settings.load_whole()
    if check:
        _check(found.settings)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if check:
        return
    origins = found.origins
    if as_json:
        click.echo(json.dumps({o.name: {"value": o.value, "source": o.source} for o in origins}))
        return
    width = max(len(o.name) for o in origins)
    values = [json.dumps(o.value, ensure_ascii=False) for o in origins]
    broad = min(44, max(map(len, values)))
    for origin, value in zip(origins, values, strict=True):
        click.echo(f"{origin.name:<{width}}  {value:<{broad}}  {origin.source}")


def _check(deck: Settings) -> None:
    """Raises BadInput for what only those can tell who use it."""
    from tapedeck import buses, vendors
    from tapedeck.calendars.named import calendar_of
    from tapedeck.log import client
    from tapedeck.store import database

    client.check(deck)
    database.check(deck)
    for name, table in deck.vendors.items():
        try:
            spoken = vendors.get(name)
            if table.bus:
                buses.check(table.bus, spoken, table.symbols)
            for symbol in ("", *table.calendars):
                calendar_of(deck, name, symbol)
        except BadInput as e:
            raise BadInput(f"{e} (vendors.{name}, in {settings.where(f'vendors.{name}.bus')})") from e
