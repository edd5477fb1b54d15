"""Replaying a slice of a vendor into another Kafka topic: keys, values and CreateTimes byte for byte.

What is replayed are the messages that stand (DESIGN §2.3): no margins, no control records, no resends
or copies, nothing voided; each in the partition of its symbol by the target's count, in order
(ts_recv, topic, offset). Before it publishes, a replay looks at what the target already holds of the
slice, of the symbols and kinds asked for: what is there is not published again, and anything else that
is there means refusal. So a replay may be killed and repeated at any point, and one repeated adds
nothing. Each partition of a target is written under a lease by one replay at a time, and read again
before a receipt says that it holds what the log holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from tapedeck import digest
from tapedeck.errors import BadInput, Mismatch
from tapedeck.jobs import lease, plans, receipts, target
from tapedeck.jobs.copying import Copied, Copying
from tapedeck.jobs.kept import Kept, Share, kept
from tapedeck.jobs.known import check_known
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.jobs.standing import Standing, survey
from tapedeck.jobs.target import Target
from tapedeck.log import meta
from tapedeck.log.plan import Plan
from tapedeck.log.resolve import resolve
from tapedeck.log.timeline import timeline
from tapedeck.message import KINDS, check_kinds, check_symbol
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice

JOB = "replay"
Say = Callable[[str], object]
Progress = Callable[[int, int], object]


class Order(Struct, frozen=True, kw_only=True):
    """A replay as it was asked for and frozen. `plan` is the digest of a kept plan."""

    plan: str
    topic: str
    partitions: int
    symbols: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def target(self) -> str:
        """The target as a person writes it."""
        return f"{target.SCHEME}{self.topic}"

    @property
    def asked(self) -> dict[str, object]:
        """What a receipt says of it beside the slice."""
        return {"to": self.target, "symbols": list(self.symbols), "kinds": list(self.kinds)}


def prepare(
    settings: Settings,
    vendor: str,
    of: Slice,
    to: str,
    symbols: Sequence[str] = (),
    kinds: Sequence[str] = (),
) -> tuple[Order, Plan]:
    """The order and its frozen plan. Writes nothing, and looks at all that could be wrong.

    Raises BadInput for a vendor of which nothing is recorded, a symbol that it does not have, and a
    target that can't be replayed into.
    """
    settings.vendor(vendor)
    wanted = tuple(sorted({check_symbol(symbol) for symbol in symbols}))
    chosen = tuple(kind for kind in KINDS if not kinds or kind in check_kinds(tuple(kinds)))
    topic = target.parse(to)
    known = meta.read(settings)
    count = known.topics(vendor).live[-1].partitions
    there = target.look(settings, topic, count, known)
    _check_symbols(settings, vendor, of, wanted)
    partitions = sorted({partition_of(symbol, count) for symbol in wanted}) or None
    plan = resolve(settings, vendor, of, partitions=partitions)
    order = Order(plan=plan.digest, topic=topic, partitions=there.partitions, symbols=wanted, kinds=chosen)
    return order, plan


def shares(order: Order) -> list[int]:
    """The partitions of the target that the replay may write to."""
    if order.symbols:
        return sorted({partition_of(symbol, order.partitions) for symbol in order.symbols})
    return list(range(order.partitions))


def check(settings: Settings, order: Order, plan: Plan) -> int:
    """How many messages of the replay the target already holds.

    Raises BadInput where it holds anything else in the slice, so that nothing is written then.
    """
    there = _look(settings, order)
    total = 0
    for partition in shares(order):
        standing = _survey(settings, order, plan, there, partition)
        if len(standing):
            _compare(settings, order, plan, standing)
        total += len(standing)
    return total


def copy_partition(
    settings: Settings, order: Order, plan: Plan, partition: int, say: Say = lambda line: None
) -> Copied:
    """Bring one partition of the target to hold exactly its share of the plan's slice.

    Raises BadInput where it holds anything else in the slice, having written nothing into it, and
    Unavailable or Incomplete where Kafka fails or has expired what the plan names: run it again.
    """
    with lease.held(settings, f"{order.target} partition {partition}") as held:
        there = _look(settings, order)  # within the lease: another replay may have made it meanwhile
        before = _survey(settings, order, plan, there, partition)
        if len(before):
            say(f"partition {partition}: {len(before):,} messages are there already")
            _compare(settings, order, plan, before)
        with Copying(settings, there, partition, before, held.check) as copying:
            for stretch in _kept(settings, order, plan, partition):
                copying.copy(stretch)
            copied = copying.finish()
        after = _survey(settings, order, plan, copying.target, partition, since=before.next)
        _prove(order, partition, copied, before, after)
        say(
            f"partition {partition}: {copied.messages:,} messages, {copied.already:,} were there, "
            f"{copied.written:,} written"
        )
        return copied


def finish(settings: Settings, order: Order, plan: Plan, copied: Iterable[Copied], origin: Origin) -> Receipt:
    """The receipt of a replay of which every share was copied. Raises Mismatch where one is missing."""
    parts = sorted(copied, key=lambda part: part.partition)
    if [part.partition for part in parts] != shares(order):
        missing = sorted(set(shares(order)) - {part.partition for part in parts})
        raise Mismatch(f"the replay to {order.target} lacks its partitions {missing}: run those again")
    counts = {
        name: sum(getattr(part, name) for part in parts)
        for name in ("messages", "already", "written", "behind", "duplicates", "voided", "undecodable")
    }
    notes: tuple[str, ...] = ()
    if counts["behind"]:
        notes = (f"{counts['behind']} messages came late to the log and now stand behind later ones",)
    return receipts.issue(
        settings, origin, JOB, plan.vendor, plan.slice, plan,
        outcome="written" if counts["written"] else "unchanged" if counts["messages"] else "empty",
        counts=counts, asked=order.asked, notes=notes,
        before=digest.to_hex(digest.add(*(digest.from_hex(part.before) for part in parts))),
        after=digest.to_hex(digest.add(*(digest.from_hex(part.after) for part in parts))),
    )  # fmt: skip


def replay(
    settings: Settings, vendor: str, of: Slice, to: str, symbols: Sequence[str] = (),
    kinds: Sequence[str] = (), *, origin: Origin, progress: Progress = lambda done, total: None,
) -> Receipt:  # fmt: skip
    """The whole job in this process: prepare, check, copy partition after partition, receipt.

    `progress` is told how many partitions are done, of how many.
    """
    order, plan = prepare(settings, vendor, of, to, symbols, kinds)
    check(settings, order, plan)
    plans.keep(settings, plan)
    chosen = shares(order)
    copied: list[Copied] = []
    for partition in chosen:
        progress(len(copied), len(chosen))
        copied.append(copy_partition(settings, order, plan, partition))
    return finish(settings, order, plan, copied, origin)


def _look(settings: Settings, order: Order) -> Target:
    there = target.look(settings, order.topic, order.partitions, meta.read(settings))
    if there.partitions != order.partitions:
        raise Mismatch(
            f"the topic {order.topic} has {there.partitions} partitions but had {order.partitions} when "
            "the replay was planned: start it anew"
        )
    return there


def _kept(settings: Settings, order: Order, plan: Plan, partition: int) -> Iterable[Kept]:
    share = Share(partition, order.partitions)
    return kept(settings, plan, share, frozenset(order.symbols), order.kinds)


def _survey(
    settings: Settings, order: Order, plan: Plan, there: Target, partition: int, since: int | None = None
) -> Standing:
    return survey(settings, there, partition, plan.slice, frozenset(order.symbols), order.kinds, since)


def _compare(settings: Settings, order: Order, plan: Plan, standing: Standing) -> None:
    """Raises BadInput unless all that stands is part of the replay."""
    matched = 0
    for stretch in _kept(settings, order, plan, standing.partition):
        matched += len(stretch) - len(standing.missing(stretch))
    if matched != len(standing):
        raise standing.strange(plan.slice)


def _prove(order: Order, partition: int, copied: Copied, before: Standing, after: Standing) -> None:
    held = len(before) + len(after)
    proof = digest.to_hex(digest.add(before.digest, after.digest))
    if held != copied.messages or proof != copied.after:
        raise Mismatch(
            f"{order.target} partition {partition} holds {held:,} messages of the slice where the log has "
            f"{copied.messages:,}: something else writes there too; replay to another topic"
        )


def _check_symbols(settings: Settings, vendor: str, of: Slice, symbols: Sequence[str]) -> None:
    """Raises BadInput for a symbol that settings, libraries and the slice itself do not know."""
    for symbol in symbols:
        try:
            check_known(settings, vendor, [symbol])
        except BadInput:
            reading = timeline(vendor, settings).between(of.start, of.end, symbols=[symbol])
            if not reading.count().messages:
                raise
