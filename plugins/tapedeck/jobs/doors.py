"""The jobs as they are called by `import tapedeck`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapedeck import endpoints
from tapedeck.errors import BadInput
from tapedeck.jobs import receipts as book
from tapedeck.jobs import replay as replaying
from tapedeck.jobs import void as voiding
from tapedeck.jobs.origin import asked_here
from tapedeck.jobs.receipts import Receipt
from tapedeck.settings import Settings, load
from tapedeck.slices import Time, slice_of

JOBS = ("replay", "backfill", "history", "reconcile", "void")
"""What issues receipts."""


def replay(
    vendor: str,
    start: Time,
    end: Time,
    to: str,
    *,
    symbols: Sequence[str] = (),
    kinds: Sequence[str] = (),
    settings: Settings | None = None,
    **more: Any,
) -> Receipt:
    """Play the messages of [start, end) to `kafka:TOPIC`, `zmq:ADDRESS`, `arctic:PREFIX` or `parquet:DIR`.

    `more`: speed, rate, restamp, from_tape, tape, partial, progress, say, as `jobs.replay.replay` takes
    them. Raises BadInput with nothing written, Unavailable.
    """
    of = slice_of(start, end)
    deck = endpoints.resolve(settings or load())
    return replaying.replay(deck, vendor, of, to, symbols, kinds, origin=asked_here(), **more)


def void(
    vendor: str,
    start: Time,
    end: Time,
    *,
    src: int,
    reason: str,
    symbols: Sequence[str] = (),
    settings: Settings | None = None,
) -> Receipt:
    """Say that what a source sent in [start, end) is no data, and rebuild the windows without it.

    Repeated, it voids nothing twice. Raises as `jobs.void.order` and `jobs.void.void` do.
    """
    of = slice_of(start, end)
    deck = endpoints.resolve(settings or load())
    return voiding.void(deck, voiding.order(deck, vendor, of, src, reason, symbols), origin=asked_here())


def receipts(
    vendor: str = "", job: str = "", limit: int = 20, *, settings: Settings | None = None
) -> list[Receipt]:
    """What finished jobs have proved, newest first; only of a vendor or a job where they are named.

    Raises BadInput for a vendor or a job that is none, Unavailable.
    """
    deck = endpoints.resolve(settings or load())
    if vendor:
        deck.vendor(vendor)
    if job and job not in JOBS:
        raise BadInput(f"there is no job {job!r}: the jobs are {', '.join(JOBS[:-1])} and {JOBS[-1]}")
    return book.recent(deck, limit, vendor, job)
