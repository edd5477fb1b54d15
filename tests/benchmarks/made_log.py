"""Logs to be read: a vendor's live topic as a collector that has ended leaves it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tapedeck import message as m
from tapedeck import vendors
from tapedeck.log.meta import TopicPin
from tapedeck.log.produce import Outbox, Target
from tapedeck.packed import Packed
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.simulate import market
from tapedeck.slices import Slice
from tests.published import T0, Published

RATE = 11_600
"""Messages a second of market time: a billion a day."""
SYMBOLS = 300
"""So a symbol's window of ten minutes holds about 6,700 messages."""
QUIET = 1000
"""Symbols of a log in which each says ten messages a minute."""
SECOND = 10**9
DEEP_CHUNK, DEEP_SECONDS = 500_000, 2 * 86_400
"""A deep log is of two days, so that a hundredth of it is long beside the margin on its both sides."""


@dataclass(frozen=True, slots=True)
class MadeLog:
    """So many messages of `bytes` each on average, all within `slice`, none twice."""

    vendor: str
    pin: TopicPin
    messages: int
    bytes: float
    slice: Slice
    stamps: np.ndarray[tuple[int], np.dtype[np.int64]]
    """ts_recv of each, increasing."""

    def first(self, count: int) -> tuple[Slice, int]:
        """A slice of whole ms from the log's beginning of about so many messages, and how many it holds."""
        end = int(self.stamps[count]) // 1_000_000 * 1_000_000
        return Slice(self.slice.start, end), int(np.searchsorted(self.stamps, end))


def make_quiet(settings: Settings, vendor: str, count: int) -> MadeLog:
    """Trades of many symbols that each say little: a hundred messages a window."""
    return make_trades(settings, vendor, count, QUIET, QUIET * 10 // 60)


def make_trades(
    settings: Settings, vendor: str, count: int, symbols: int = SYMBOLS, per_second: int = RATE
) -> MadeLog:
    """Trades of 63 bytes."""
    random = np.random.default_rng(1)
    names = market.symbol_names((), symbols)
    stamps = T0 + np.cumsum(random.integers(1, 2 * SECOND // per_second, count))
    columns = (
        random.integers(0, symbols, count),
        stamps - random.integers(1, 20, count) * 1_000_000,
        stamps,
        random.integers(100, 5_000_000, count) / 100,
        random.integers(1, 100_000, count) / 1000,
        random.choice((-1, 1), count),
    )
    seqs = [1_000_000] * symbols

    def trades() -> Iterable[m.Message]:
        for i, event, recv, price, size, side in zip(*(c.tolist() for c in columns), strict=True):
            seqs[i] = seq = seqs[i] + 1
            yield m.Trade(names[i], event, recv, seq, seq - 1, 1, price, size, side)

    return _publish(settings, vendor, trades(), stamps)


def make_deep(settings: Settings, vendor: str, count: int) -> MadeLog:
    """Trades of one length, laid out as arrays: so many that a loop over them would take minutes."""
    random = np.random.default_rng(2)
    names = [f"S{i:04}USDT" for i in range(SYMBOLS)]
    log, begin = Published(settings, vendor), T0 - DEEP_SECONDS * SECOND
    log.register(begin)
    partitions = log.live.partitions
    homes = np.array([partition_of(name, partitions) for name in names])
    letters = np.array([list(name.encode()) for name in names], np.uint8)
    sample = m.Trade(names[0], 2**62, 2**62 + 1, 2**31, 2**31 - 1, 1, 100.25, 1.5, 1)
    row = np.frombuffer(m.encode(sample), np.uint8)
    width, step = len(row), DEEP_SECONDS * SECOND // count

    def place(value: bytes) -> slice:
        at = row.tobytes().index(value)
        return slice(at, at + len(value))

    symbol, event, recv, seq, prev = (
        place(value)
        for value in (
            names[0].encode(), (2**62).to_bytes(8), (2**62 + 1).to_bytes(8), (2**31).to_bytes(4),
            (2**31 - 1).to_bytes(4),
        )
    )  # fmt: skip
    outbox = Outbox(settings, [Target(log.live.name, p) for p in range(partitions)], lambda: None)
    stamps = begin + np.arange(1, count + 1) * step
    seqs = np.full(SYMBOLS, 2**31 + 1)
    for first in range(0, count, DEEP_CHUNK):
        times = stamps[first : first + DEEP_CHUNK]
        said = random.integers(0, SYMBOLS, len(times))
        nth = np.zeros(len(times), np.int64)
        for one in range(SYMBOLS):
            own = np.flatnonzero(said == one)
            nth[own] = seqs[one] + np.arange(len(own))
            seqs[one] += len(own)
        rows = np.tile(row, (len(times), 1))
        rows[:, symbol] = letters[said]
        rows[:, event] = (times - 5_000_000).astype(">i8").view(np.uint8).reshape(-1, 8)
        rows[:, recv] = times.astype(">i8").view(np.uint8).reshape(-1, 8)
        rows[:, seq] = nth.astype(">u4").view(np.uint8).reshape(-1, 4)
        rows[:, prev] = (nth - 1).astype(">u4").view(np.uint8).reshape(-1, 4)
        for p in range(partitions):
            own = np.flatnonzero(homes[said] == p)
            outbox.send_all(p, _even(rows[own]), _even(letters[said[own]]), times[own] // 1_000_000)
    outbox.drain()
    outbox.close()
    log.close(int(stamps[-1]) + 60 * SECOND)
    return MadeLog(vendor, log.live, count, width, Slice(begin, int(stamps[-1]) + SECOND), stamps)


def _even(rows: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Packed:
    """Byte strings of one length."""
    count, width = rows.shape
    return Packed(np.ascontiguousarray(rows).reshape(-1), np.arange(count + 1, dtype=np.int64) * width)


def make_market(settings: Settings, vendor: str, count: int) -> MadeLog:
    """The synthetic market's mix: a quarter trades, two thirds quotes, the rest book changes."""
    normalise = vendors.get("binance_usdm").normalise
    names = market.symbol_names((), SYMBOLS)
    lines = market.generate("binance_usdm", names, float(RATE), None, 1, T0 + SECOND)
    found = [normalise(payload, ns, 1)[0] for (ns, payload), _ in zip(lines, range(count), strict=False)]
    messages = [said for said in found if not isinstance(said, vendors.Refusal | vendors.Chatter)]
    return _publish(settings, vendor, messages, np.array([message.ts_recv for message in messages]))


def _publish(
    settings: Settings,
    vendor: str,
    messages: Iterable[m.Message],
    stamps: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> MadeLog:
    log = Published(settings, vendor)
    log.register(T0)
    count = log.live.partitions
    outbox = Outbox(settings, [Target(log.live.name, p) for p in range(count)], lambda: None)
    routes: dict[str, tuple[int, bytes]] = {}
    size = 0
    for message in messages:
        symbol, value = message.symbol, m.encode(message)
        if symbol not in routes:
            routes[symbol] = partition_of(symbol, count), symbol.encode()
        size += len(value)
        outbox.send(routes[symbol][0], value, routes[symbol][1], message.ts_recv // 1_000_000)
    outbox.drain()
    outbox.close()
    log.close(int(stamps[-1]) + 60 * SECOND)
    whole = Slice(T0, int(stamps[-1]) + SECOND)
    return MadeLog(vendor, log.live, len(stamps), size / len(stamps), whole, stamps)
