"""`python -m live.taper VENDOR`: bus to raw tape. Started by `tapedeck collect`."""

from __future__ import annotations

import sys

import click

from tapedeck import buses, settings, vendors
from tapedeck.errors import TapedeckError
from tapedeck.tape.ending import Ending
from tapedeck.tape.taper import tape


@click.command()
@click.argument("vendor")
@click.option("--src", type=click.IntRange(1, 999), default=1)
@click.option("--bus", "address", default="", help="Instead of the bus that settings name.")
@click.option("--parent", type=int, help="End when this process is gone.")
def main(vendor: str, src: int, address: str, parent: int | None) -> None:
    """Record a vendor's bus until SIGTERM."""
    ending = Ending(parent).listen()

    def warn(sentence: str) -> None:
        click.echo(f"taper {vendor} {src}: {sentence}", err=True)

    try:
        deck = settings.load()
        table = deck.vendor(vendor)
        bus = buses.open(address or table.bus, vendors.get(vendor), table.symbols)
        try:
            tape(deck, vendor, src, bus, ending.asked, warn)
        finally:
            bus.close()
    except TapedeckError as e:
        warn(str(e))
        sys.exit(e.exit_code)


if __name__ == "__main__":
    main()
