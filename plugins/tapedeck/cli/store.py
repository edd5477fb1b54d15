"""`tapedeck write` and `tapedeck read`: into Arctic and out of it."""

from __future__ import annotations

import os
import sys

import click

from tapedeck import settings
from tapedeck.store import library


@click.command()
@click.argument("vendor")
def write(vendor: str) -> None:
    """Write a vendor's log to Arctic, live, until it is told to end (SIGTERM or Ctrl-C).

    A window is written when it is complete; what comes late is mended. Only one writer of a vendor
    works at a time: another one waits, and takes over.

    \b
    Example:
      tapedeck write binance_usdm
    """
    deck = settings.load()
    library.ensure(deck, vendor)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "live.writer", vendor])  # noqa: S606
