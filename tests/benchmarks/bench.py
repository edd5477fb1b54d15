"""What benchmarks share: the servers, and logs that are made once and read by several."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from msgspec import structs

from tapedeck.settings import Settings, Vendor
from tests.benchmarks.made_log import QUIET, MadeLog, make_log

PARTITIONS = 4
TRADES, MARKET, DEEP = 2_000_000, 5_000_000, 10_000_000
ONLY_TRADES = (1.0, 0.0, 0.0)
DEEP_SECONDS = 2 * 86_400
"""Long, so that a hundredth of it is long beside the margin on its both sides."""

Say = Callable[[str], None]


class Bench:
    """One run's servers and what is on them. `folder` is emptied afterwards."""

    def __init__(self, settings: Settings, folder: Path, say: Say) -> None:
        kafka = structs.replace(settings.kafka, partitions=PARTITIONS, prefix="bench.")
        names = ("trades", "market", "quiet", "deep", "windows", "paced", "binance_usdm")
        self.settings = structs.replace(settings, kafka=kafka, vendors={name: Vendor() for name in names})
        self.folder, self.say = folder, say

    @cached_property
    def trades(self) -> MadeLog:
        """Trades alone, small as in DESIGN §11, in order of time."""
        self.say(f"publishing {TRADES:,} trades to be read")
        return make_log(self.settings, "trades", TRADES, mix=ONLY_TRADES)

    @cached_property
    def market(self) -> MadeLog:
        """Trades, quotes and book changes of 300 symbols, the first of which say most."""
        self.say(f"publishing {MARKET:,} messages of a market to be read")
        return make_log(self.settings, "market", MARKET, even=False)

    @cached_property
    def quiet(self) -> MadeLog:
        """The same of a thousand symbols of ten messages a minute."""
        self.say(f"publishing {MARKET:,} messages of quiet symbols to be read")
        return make_log(self.settings, "quiet", MARKET, symbols=QUIET, per_second=QUIET * 10 / 60)

    @cached_property
    def deep(self) -> MadeLog:
        """Ten million trades of two days."""
        self.say(f"publishing {DEEP:,} trades to be sought in")
        return make_log(self.settings, "deep", DEEP, per_second=DEEP / DEEP_SECONDS, mix=ONLY_TRADES)
