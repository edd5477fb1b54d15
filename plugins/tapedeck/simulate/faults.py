"""Faults that a simulated bus commits on purpose, each one told to a ledger."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from msgspec import Struct

from tapedeck.errors import BadInput
from tapedeck.slices import NS, parse_duration

STALL_SECONDS = 0.5
FARTHEST = 3
"""A reordered message comes behind at most so many later ones of its stream."""
_PATIENCE = 10_000
"""A message held back for reordering goes after so many others, however rare its stream is."""
_FORM = "write it as drop=0.001,dup=0.001,reorder=0.001,stall=0.0001 or stall=2s@10s"

Message = tuple[int, bytes]


class Faults(Struct, frozen=True, kw_only=True):
    """How often each fault happens, as a probability a message; at most one befalls a message.

    `stall_at` seconds into the play (by receipt times), everything waits `stall_for` seconds, once.
    """

    drop: float = 0.0
    dup: float = 0.0
    reorder: float = 0.0
    stall: float = 0.0
    stall_for: float = STALL_SECONDS
    stall_at: float | None = None

    def __bool__(self) -> bool:
        return self != Faults()


class Deed(Struct, frozen=True, kw_only=True):
    """One fault as it was done to the message at `index` (from 0, in the order of the source).

    `behind`: of a reordered message, the index of the last one of its stream that went before it (None:
    it only came behind others' messages).
    `seconds`: how long a stall held everything, this message first.
    """

    fault: str
    index: int
    recv_ns: int
    payload: bytes
    behind: int | None = None
    seconds: float | None = None


def parse_faults(text: str) -> Faults:
    """The faults of `drop=P,dup=P,reorder=P,stall=P` or `stall=SECONDS@AT`. Raises BadInput."""
    found: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        if name not in ("drop", "dup", "reorder", "stall"):
            raise BadInput(f"there is no fault {name[:40]!r}: {_FORM}")
        if name in found or (name == "stall" and "stall_at" in found):
            raise BadInput(f"the fault {name} is given twice: {_FORM}")
        if name == "stall" and "@" in value:
            length, _, at = value.partition("@")
            found |= {"stall_for": _seconds(length), "stall_at": _seconds(at)}
        else:
            found[name] = _probability(name, value)
    faults = Faults(**found)
    if (total := faults.drop + faults.dup + faults.reorder + faults.stall) > 1:
        raise BadInput(f"the faults' probabilities add up to {total:g}, which is more than 1: lower them")
    return faults


def commit(
    faults: Faults,
    seed: int,
    source: Iterator[Message],
    stream_of: Callable[[bytes], str],
    tell: Callable[[Deed], None],
    wait: Callable[[float], None],
) -> Iterator[Message]:
    """The source's messages as the faulty bus sends them; what is done depends on the seed alone.

    `tell` is called for each fault when it is done, `wait` (seconds) for a stall; who sends all that
    this yields, and stops where it likes, has done exactly what was told. A message to be
    reordered is held until 1 to `FARTHEST` later ones of its own stream have gone, or the source ends.
    """
    draw = random.Random(seed)  # noqa: S311
    drop, dup = faults.drop, faults.drop + faults.dup
    reorder, stall = dup + faults.reorder, dup + faults.reorder + faults.stall
    held: dict[str, _Held] = {}
    stall_at: float | None = None
    for index, (recv_ns, payload) in enumerate(source):
        if faults.stall_at is not None:
            if index == 0:
                stall_at = recv_ns + faults.stall_at * NS
            if stall_at is not None and recv_ns >= stall_at:
                stall_at = None
                tell(
                    Deed(
                        fault="stall", index=index, recv_ns=recv_ns, payload=payload, seconds=faults.stall_for
                    )
                )
                wait(faults.stall_for)
        chance = draw.random()
        stream = stream_of(payload) if held or chance < reorder else ""
        if chance < drop:
            tell(_deed("drop", index, recv_ns, payload))
        elif chance < dup:
            yield recv_ns, payload
            tell(_deed("dup", index, recv_ns, payload))
            yield recv_ns, payload
        elif chance < reorder and stream not in held:
            held[stream] = _Held(index, recv_ns, payload, draw.randint(1, FARTHEST))
            continue
        else:
            if reorder <= chance < stall:
                tell(_deed("stall", index, recv_ns, payload, seconds=STALL_SECONDS))
                wait(STALL_SECONDS)
            yield recv_ns, payload
        if chance >= drop and (late := held.get(stream)):
            late.behind, late.wait_for = index, late.wait_for - 1
        for name, late in list(held.items()):
            if late.wait_for <= 0 or index - late.index >= _PATIENCE:
                del held[name]
                yield from late.release(tell)
    for late in held.values():
        yield from late.release(tell)


class _Held:
    """A message that waits until later ones of its stream have gone."""

    __slots__ = ("behind", "index", "payload", "recv_ns", "wait_for")

    def __init__(self, index: int, recv_ns: int, payload: bytes, wait_for: int) -> None:
        self.index, self.recv_ns, self.payload, self.wait_for = index, recv_ns, payload, wait_for
        self.behind: int | None = None

    def release(self, tell: Callable[[Deed], None]) -> Iterator[Message]:
        """The message, told as reordered."""
        tell(_deed("reorder", self.index, self.recv_ns, self.payload, behind=self.behind))
        yield self.recv_ns, self.payload


def _deed(
    fault: str,
    index: int,
    recv_ns: int,
    payload: bytes,
    behind: int | None = None,
    seconds: float | None = None,
) -> Deed:
    return Deed(fault=fault, index=index, recv_ns=recv_ns, payload=payload, behind=behind, seconds=seconds)


def _probability(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise BadInput(f"the fault {name}={text[:40]} is no probability from 0 to 1: {_FORM}")
    return value


def _seconds(text: str) -> float:
    if text.replace(".", "", 1).isdigit():
        return float(text)
    return parse_duration(text) / NS
