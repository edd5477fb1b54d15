"""Payloads to lines of the raw tape, each stamped as it is received."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from tapedeck.buses.captured import line_of
from tapedeck.clock import Stamps


class Lines(NamedTuple):
    """Whole lines of so many messages. `data` is valid until the bus is asked again."""

    messages: int
    data: bytes | memoryview
    more: bool = False
    """Whether it ended because it was enough, and not because nothing was waiting any more."""


def stamped(payloads: Iterator[bytes], stamps: Stamps, most: int) -> Lines:
    """The lines of at most so many payloads.

    A hot loop: `Stamps.take` and `line_of` written out, and payloads that need more than a space and a
    line feed looked for in the whole batch, which takes a third of the time.
    """
    now, offset, floor = stamps.monotonic, stamps.offset, stamps.floor
    lines: list[bytes] = []
    add, plain = lines.append, True
    for payload in islice(payloads, most):
        stamp = now() + offset
        if stamp < floor:
            stamp = floor
        floor = stamp + (len(payload) or 1)
        if payload[:1] != b"{":
            plain = False
        add(b"%d %b" % (stamp, payload))
    stamps.floor = floor
    count = len(lines)
    add(b"")
    data = b"\n".join(lines)
    if not plain or data.count(b"\n") != count:
        data = _escaped(lines[:-1])
    return Lines(count, data, count == most)


def _escaped(lines: list[bytes]) -> bytes:
    parts = (line.partition(b" ") for line in lines)
    return b"".join(line_of(int(stamp), payload) for stamp, _, payload in parts)
