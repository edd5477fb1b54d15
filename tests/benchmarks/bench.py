"""What benchmarks share: the servers, and logs that are made once and read by several."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from msgspec import structs

from tapedeck.settings import Settings, Vendor
from tests.benchmarks.made_log import MadeLog, make_deep, make_market, make_quiet, make_trades

PARTITIONS = 4
TRADES, MARKET, QUIET, DEEP = 2_000_000, 1_500_000, 400_000, 10_000_000

Say = Callable[[str], None]


class Bench:
    """One run's servers and what is on them. `folder` is emptied afterwards."""

    def __init__(self, settings: Settings, folder: Path, say: Say) -> None:
        kafka = structs.replace(settings.kafka, partitions=PARTITIONS, prefix="bench.")
        names = ("trades", "market", "quiet", "deep", "windows", "binance_usdm")
        self.settings = structs.replace(settings, kafka=kafka, vendors={name: Vendor() for name in names})
        self.folder, self.say = folder, say

    @cached_property
    def trades(self) -> MadeLog:
        """Trades alone, small as in DESIGN §11, in order of time."""
        self.say(f"publishing {TRADES:,} trades to be read")
        return make_trades(self.settings, "trades", TRADES)

    @cached_property
    def market(self) -> MadeLog:
        """Trades, quotes and book changes of the synthetic market."""
        self.say(f"publishing {MARKET:,} messages of a market to be read")
        return make_market(self.settings, "market", MARKET)

    @cached_property
    def quiet(self) -> MadeLog:
        """Trades of a thousand quiet symbols."""
        self.say(f"publishing {QUIET:,} trades of quiet symbols to be read")
        return make_quiet(self.settings, "quiet", QUIET)

    @cached_property
    def deep(self) -> MadeLog:
        """Ten million trades of one length."""
        self.say(f"publishing {DEEP:,} trades to be sought in")
        return make_deep(self.settings, "deep", DEEP)
