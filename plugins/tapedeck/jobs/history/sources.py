"""Opening the sources of history that the settings name for a vendor."""

from __future__ import annotations

from tapedeck.jobs.history.binance import BinanceFiles
from tapedeck.jobs.history.files import Files
from tapedeck.jobs.history.source import Source
from tapedeck.jobs.history.taped import Tapes
from tapedeck.settings import BinanceHistory, FilesHistory, Settings


def opened(settings: Settings, vendor: str) -> list[Source]:
    """The vendor's sources, the best first. Raises BadInput for one that makes no sense; asks none."""
    found: list[Source] = []
    for table in settings.vendor(vendor).history:
        if isinstance(table, BinanceHistory):
            found.append(BinanceFiles(settings, vendor, table.at))
        elif isinstance(table, FilesHistory):
            found.append(Files(vendor, table))
        else:
            found.append(Tapes(settings, vendor, table.at))
    return found
