"""`python -m live.publisher VENDOR`: raw tape to Kafka. Started by `tapedeck collect`."""

from __future__ import annotations

import sys

import click

from tapedeck import settings
from tapedeck.errors import TapedeckError
from tapedeck.tape.ending import Ending
from tapedeck.tape.publish import publish


@click.command()
@click.argument("vendor")
@click.option("--src", type=click.IntRange(1, 999), default=1)
@click.option("--parent", type=int, help="End when this process is gone.")
def main(vendor: str, src: int, parent: int | None) -> None:
    """Publish a collector's tape until SIGTERM, then what is left of it."""
    ending = Ending(parent).listen()

    def warn(sentence: str) -> None:
        click.echo(f"publisher {vendor} {src}: {sentence}", err=True)

    try:
        publish(settings.load(), vendor, src, ending, warn)
    except TapedeckError as e:
        warn(str(e))
        sys.exit(e.exit_code)


if __name__ == "__main__":
    main()
