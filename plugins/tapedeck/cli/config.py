"""`tapedeck config`: the settings in force and where each came from."""

from __future__ import annotations

import json

import click

from tapedeck import settings


@click.command()
@click.option("--check", is_flag=True, help="Only check: print nothing where all is well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def config(check: bool, as_json: bool) -> None:
    """Print the settings in force and where each came from.

    \b
    Example:
      TAPEDECK_KAFKA__PORT=19092 tapedeck config
    """
    _, origins = settings.load_with_origins()
    if check:
        return
    if as_json:
        click.echo(json.dumps({o.name: {"value": o.value, "source": o.source} for o in origins}))
        return
    width = max(len(o.name) for o in origins)
    values = [json.dumps(o.value, ensure_ascii=False) for o in origins]
    broad = min(44, max(map(len, values)))
    for origin, value in zip(origins, values, strict=True):
        click.echo(f"{origin.name:<{width}}  {value:<{broad}}  {origin.source}")
