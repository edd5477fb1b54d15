"""`python -m live.publisher VENDOR`: raw tape to Kafka. Started by `tapedeck collect`."""

from __future__ import annotations

import sys

import click

from tapedeck import health, logs, settings
from tapedeck.errors import TapedeckError
from tapedeck.tape.ending import Ending
from tapedeck.tape.publish import publish
from tapedeck.tape.share import Share


@click.command()
@click.argument("vendor")
@click.option("--src", type=click.IntRange(1, 999), default=1)
@click.option("--part", type=click.IntRange(0), default=0, help="Which of the vendor's publishers.")
@click.option("--parent", type=int, help="End when this process is gone.")
def main(vendor: str, src: int, part: int, parent: int | None) -> None:
    """Publish a collector's tape until SIGTERM, then what is left of it."""
    ending = Ending(parent).listen()
    warn = logs.teller(None, "publisher", "warning", vendor=vendor, src=src)
    try:
        deck = settings.load()
        warn = logs.teller(deck, "publisher", "warning", vendor=vendor, src=src)
        role = Share(part).role
        show = health.Teller(health.half_file(deck, role, vendor, src), role)
        publish(deck, vendor, src, ending, warn, show=show, part=part)
    except TapedeckError as e:
        warn(str(e))
        sys.exit(e.exit_code)


if __name__ == "__main__":
    main()
