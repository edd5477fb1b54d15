"""`python -m live.taper VENDOR`: bus to raw tape. Started by `tapedeck collect`."""

from __future__ import annotations

import sys

import click

from tapedeck import buses, health, logs, settings, vendors
from tapedeck.errors import TapedeckError
from tapedeck.tape.ending import Ending
from tapedeck.tape.half import TAPER_BUS
from tapedeck.tape.taper import tape


@click.command()
@click.argument("vendor")
@click.option("--src", type=click.IntRange(1, 999), default=1)
@click.option("--bus", "address", default="", envvar=TAPER_BUS, help="Instead of the bus that settings name.")
@click.option("--parent", type=int, help="End when this process is gone.")
def main(vendor: str, src: int, address: str, parent: int | None) -> None:
    """Record a vendor's bus until SIGTERM."""
    ending = Ending(parent).listen()
    warn = logs.teller(None, "taper", "warning", vendor=vendor, src=src)
    try:
        deck = settings.load()
        warn = logs.teller(deck, "taper", "warning", vendor=vendor, src=src)
        table = deck.vendor(vendor)
        show = health.Teller(health.half_file(deck, "taper", vendor, src), "taper")
        bus = buses.open(
            address or table.bus, vendors.get(vendor), table.symbols, table.silence_seconds, deck.tape.queue
        )
        try:
            tape(deck, vendor, src, bus, ending.asked, warn, show=show)
        finally:
            bus.close()
    except TapedeckError as e:
        warn(str(e))
        sys.exit(e.exit_code)


if __name__ == "__main__":
    main()
