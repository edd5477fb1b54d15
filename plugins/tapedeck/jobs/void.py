"""Voiding by hand: what a source has in a slice is no data (DESIGN §2.9), and the windows say so.

The log stays as it is: a void is a record of its own, in the backfill topic. Then the windows that meet the
slice are rebuilt. Killed at any point it is run again: what is voided already is not voided twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from tapedeck.errors import BadInput
from tapedeck.jobs import backfill, plans, receipts
from tapedeck.jobs.backfill import Progress
from tapedeck.jobs.limits import SHARE
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.log import client, meta, topics
from tapedeck.log.timeline import timeline
from tapedeck.message import WHOLE_FEED, check_symbol
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time, parse_duration
from tapedeck.store import database, library, tallies
from tapedeck.store.rebuild import rebuild_partition
from tapedeck.store.rebuilt import Rebuilt
from tapedeck.store.window import CODE_VERSION
from tapedeck.tape import lock
from tapedeck.tape.history import History
from tapedeck.tape.sender import Sender

JOB = "void"
DAY = 86_400 * NS
LONGEST_REASON = 500


class Order(Struct, frozen=True, kw_only=True):
    """A void as it was asked for: of all symbols where `symbols` is empty."""

    vendor: str
    slice: Slice
    src: int
    reason: str
    symbols: tuple[str, ...] = ()


class Foreseen(Struct, frozen=True, kw_only=True):
    """What a void would do.

    `standing`: messages of the source, by kind, that it would void, resends and copies among them; `of`: how
    many messages the slice holds of all sources; `voided`: messages of the source that are voided already.
    """

    standing: dict[str, int]
    of: int
    voided: int

    @property
    def messages(self) -> int:
        """How many messages would be voided."""
        return sum(self.standing.values())


def order(
    settings: Settings, vendor: str, of: Slice, src: int, reason: str, symbols: Sequence[str] = ()
) -> Order:
    """The order, once all of it makes sense. Writes nothing.

    Raises BadInput where it does not: an end that lies ahead of now, a source that the vendor never had, no
    reason.
    """
    settings.vendor(vendor)
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise BadInput(
            f"a void needs a reason of 1 to {LONGEST_REASON} characters, which stays in the log: give it "
            "with --reason"
        )
    if of.end > time.time_ns():
        raise BadInput(
            f"the end {format_time(of.end)} lies ahead of now: only what has come can be judged to be no "
            "data; give an end in the past"
        )
    known = meta.read(settings)
    sources = {life.src for life in known.lives if life.vendor == vendor}
    sources |= {extent.src for extent in known.extents if extent.vendor == vendor}
    if src not in sources:
        listed = ", ".join(map(str, sorted(sources))) or "none"
        raise BadInput(f"{vendor} never had a source {src} (it had: {listed}): give one of those with --src")
    return Order(
        vendor=vendor, slice=of, src=src, reason=reason.strip(),
        symbols=tuple(dict.fromkeys(check_symbol(symbol) for symbol in symbols)),
    )  # fmt: skip


def foresee(settings: Settings, one: Order) -> Foreseen:
    """What the void would do; reads the slice, writes nothing."""
    reading = timeline(one.vendor, settings).between(one.slice.start, one.slice.end, symbols=one.symbols)
    standing: Counter[str] = Counter()
    of = voided = 0
    for part in reading.parts():
        for kind, judged in part.judged.items():
            found = (judged.kept, judged.duplicates, judged.voided)
            mine = [int(np.count_nonzero(columns["src"] == one.src)) for columns in found]
            standing[kind] += mine[0] + mine[1]
            voided += mine[2]
            of += sum(map(len, found))
    return Foreseen(standing={kind: n for kind, n in standing.items() if n}, of=of, voided=voided)


def exceeded(settings: Settings, one: Order, foreseen: Foreseen) -> list[str]:
    """Why the void needs a person's approval, in sentences; none where it needs none: it would take out no
    more than SHARE of the messages that Arctic holds of its days. Reads sums, no messages."""
    start = one.slice.start // DAY * DAY
    of = Slice(start, -(-one.slice.end // DAY) * DAY)
    libraries = library.ensure(settings, one.vendor)
    with database.answering(settings):
        held = sum(s.tallies[0].messages for s in tallies.read(libraries.values(), of))
    if foreseen.messages <= SHARE * held:
        return []
    return [
        f"it would take out {foreseen.messages:,} messages, more than {SHARE:.1%} of the {held:,} that "
        "Arctic holds of those days"
    ]


def void(
    settings: Settings,
    one: Order,
    *,
    origin: Origin,
    approved: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Receipt:
    """Publish the void, rebuild the windows, give the receipt. `progress` is told of partitions.

    `approved`: how many messages somebody agreed to, where that was asked for. Where nothing of the source
    stands in the slice only the windows are looked at. Raises BadInput where a load or a void of this source
    is at work, or more would be voided than was approved; Unavailable; safe to run again.
    """
    role = f"load of {one.vendor}-{one.src}"
    with lock.held(settings.state / "load", role, remedy="or wait until it is done"):
        foreseen = foresee(settings, one)
        if approved is not None and foreseen.messages > approved:
            raise BadInput(
                f"the void would take out {foreseen.messages:,} messages, and {approved:,} were approved: "
                "look at its plan again"
            )
        if foreseen.messages:
            _publish(settings, one)
    # A copy stands again where what it was a copy of is void, up to a margin away.
    wide = one.slice.widen(parse_duration(settings.vendor(one.vendor).margin))
    ordered, plan = backfill.prepare(settings, one.vendor, wide)
    total, partitions = Rebuilt(), _partitions(one, len(ordered.partitions))
    if plan is not None:
        plans.keep(settings, plan)
        for done, partition in enumerate(partitions):
            progress(done, len(partitions))
            total += rebuild_partition(settings, one.vendor, wide, partition, within=plan, by=JOB)
    changed = foreseen.messages or total.written
    counts = {f"voided_{kind}": n for kind, n in foreseen.standing.items()}
    return receipts.issue(
        settings, origin, JOB, one.vendor, one.slice, plan,
        outcome="written" if changed else "unchanged" if total.windows else "empty",
        counts={"voided": foreseen.messages, "voided_before": foreseen.voided, **counts,
                "windows_written": total.written},
        before=total.before, after=total.after, notes=total.notes, code=CODE_VERSION,
        asked={"src": one.src, "symbols": list(one.symbols), "reason": one.reason},
    )  # fmt: skip


def _publish(settings: Settings, one: Order) -> None:
    pinned = topics.ensure(settings, one.vendor)
    with client.consumer(settings) as consumer:
        history = History(settings, consumer, pinned.backfill, one.vendor, one.src)
        history.names()  # closes the extent of a void or load that was killed
        outbox = Sender(settings, pinned, one.src, history)
        try:
            for symbol in one.symbols or (WHOLE_FEED,):
                outbox.void(one.slice, symbol, one.reason)
            outbox.finish()
        finally:
            outbox.close()


def _partitions(one: Order, count: int) -> list[int]:
    """Where the symbols are at home."""
    return (
        sorted({partition_of(symbol, count) for symbol in one.symbols}) if one.symbols else list(range(count))
    )


def shown(one: Order, foreseen: Foreseen) -> list[str]:
    """The plan in sentences, for a person."""
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(foreseen.standing.items())) or "none"
    of = "all symbols" if not one.symbols else ", ".join(one.symbols)
    share = f" ({100 * foreseen.messages / foreseen.of:.3g} % of the slice)" if foreseen.of else ""
    lines = [
        f"void {one.vendor} {one.slice}, source {one.src}, {of}: {foreseen.messages:,} messages{share}: "
        f"{kinds}",
        f"reason: {one.reason}",
    ]
    if foreseen.voided:
        lines.append(f"{foreseen.voided:,} messages of this source are voided there already")
    return lines
