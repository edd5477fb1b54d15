"""A captured file as a source of history: checked whole before anything is published of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from tapedeck.buses import captured
from tapedeck.errors import BadInput
from tapedeck.message import WHOLE_FEED, check_symbol
from tapedeck.slices import NS, format_time
from tapedeck.tape.lines import normalised
from tapedeck.vendors import Chatter, Normalised, Refusal, Vendor

EARLIEST = 10**17
"""1973 in ns: a receipt time below it is in some other unit."""
AHEAD = 50 * 60 * NS
"""Kafka refuses what is stamped an hour ahead."""


class Capture(Struct, frozen=True):
    """A file that is a capture from its first line to its last. `first` is its least receipt time, UTC ns."""

    path: Path
    src: int
    lines: int
    first: int


def check(path: Path, vendor: Vendor, symbol: str | None = None) -> Capture:
    """Read the file whole and tell what it is. Nothing is published.

    Raises BadInput, naming file and line, where it is cut off or no capture, where its receipt times are
    not in ns or lie in the future, and where it names symbols but not `symbol`.
    """
    source = captured.content_source(path)
    latest = time.time_ns() + AHEAD
    count, first = 0, 2**63 - 1
    named: set[str] = set()
    for count, (recv_ns, payload) in enumerate(captured.read(path), 1):
        if not EARLIEST <= recv_ns <= latest:
            what = (
                "not in ns since the epoch"
                if recv_ns < EARLIEST
                else f"{format_time(recv_ns)}, in the future"
            )
            raise BadInput(
                f"the receipt time {recv_ns} of message {count} in {path} is {what}: correct the file's times"
            )
        first = min(first, recv_ns)
        if symbol is not None:
            named |= _symbols(normalised(vendor, payload, recv_ns, source))
    if symbol is not None and named and check_symbol(symbol) not in named:
        raise BadInput(
            f"{path} names {', '.join(sorted(named)[:5])} and never {symbol}: give the symbol that its "
            "nameless payloads belong to"
        )
    return Capture(path, source, count, first if count else 0)


def walk(
    capture: Capture, vendor: Vendor, symbol: str | None = None
) -> Iterator[tuple[int, bytes, Normalised]]:
    """Each message line as (its stamp, payload, what it says), from the first line on.

    Stamps are the file's own, raised only where one is not above the last message of the line before
    (DESIGN §2.1); so they depend on nothing but the file and what its lines say.
    """
    floor = 0
    for recv_ns, payload in captured.read(capture.path):
        stamp = max(recv_ns, floor)
        said = normalised(vendor, payload, stamp, capture.src, symbol)
        yield stamp, payload, said
        if takes := sum(not isinstance(one, Chatter) for one in said):
            floor = stamp + takes


def _symbols(said: Normalised) -> set[str]:
    return {m.symbol for m in said if not isinstance(m, Refusal | Chatter)} - {WHOLE_FEED}
