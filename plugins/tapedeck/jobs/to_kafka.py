"""Replaying into a Kafka topic: keys, values and CreateTimes byte for byte, each symbol in its partition.

Before it publishes, a replay looks at what the topic already holds of the slice, of the symbols and kinds
asked for: what is there is not published again, and anything else that is there means refusal. So it may
be killed and repeated at any point, and one repeated adds nothing. Each partition is written under a lease
by one replay at a time, and read again before a receipt says that it holds what the log holds.

With `restamp` records bear the time of their replay, so nothing but this replay may be in the topic; their
values still say which messages they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from msgspec import structs

from tapedeck import digest
from tapedeck.errors import Mismatch
from tapedeck.jobs import lease, topic
from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.clock import Clock
from tapedeck.jobs.copying import Copying
from tapedeck.jobs.hours import clock_of
from tapedeck.jobs.kept import Kept, Share, kept
from tapedeck.jobs.order import Copied, Order, Preview
from tapedeck.jobs.pacing import Cap, Pace, ahead
from tapedeck.jobs.standing import Standing, survey
from tapedeck.jobs.target import WHOLE, Say, label
from tapedeck.jobs.topic import Topic
from tapedeck.log import meta
from tapedeck.log.meta import Meta
from tapedeck.log.plan import Plan
from tapedeck.partitions import partition_of
from tapedeck.settings import Settings
from tapedeck.slices import Slice, format_time

SCHEME = "kafka:"


class KafkaTarget:
    """`kafka:TOPIC`."""

    refuses_late = True
    idempotent = True

    def __init__(self, settings: Settings, order: Order, known: Meta) -> None:
        self._settings, self._name = settings, topic.check_name(order.to.removeprefix(SCHEME))
        there = topic.look(settings, self._name, order.partitions, known)
        self.order = order if order.plan else structs.replace(order, partitions=there.partitions)

    def reads(self) -> Slice:
        """See `Target.reads`."""
        return self.order.slice

    def parts(self) -> list[int]:
        """One in time needs one clock, so one process; else the partitions that may be written to."""
        return [WHOLE] if self.order.speed else self._partitions()

    def _partitions(self) -> list[int]:
        order = self.order
        if order.symbols:
            return sorted({partition_of(symbol, order.partitions) for symbol in order.symbols})
        return list(range(order.partitions))

    def preview(self, plan: Plan) -> Preview:
        """See `Target.preview`."""
        there, total = self._look(), 0
        for partition in self._partitions():
            standing = self._survey(there, partition)
            self._compare(plan, standing)
            total += len(standing)
        return Preview(already=total, says=f"{self.order.to} holds {total:,} messages of it already")

    def copy(
        self, plan: Plan, part: int, say: Say, clock: Clock | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Copied:  # fmt: skip
        """See `Target.copy`."""
        order, partitions = self.order, self._partitions() if part == WHOLE else [part]
        pace = Pace(order.speed, clock=clock or clock_of(self._settings, [order])) if part == WHOLE else None
        with ExitStack() as held:
            if pace is not None:
                held.callback(pace.end)
            leases = [
                held.enter_context(lease.held(self._settings, f"{order.to} partition {p}"))
                for p in partitions
            ]

            def check() -> None:
                for one in leases:
                    one.check()

            there = self._look()  # within the leases: another replay may have made it meanwhile
            before = {p: self._survey(there, p) for p in partitions}
            for p, standing in before.items():
                if len(standing):
                    say(f"partition {p}: {len(standing):,} messages are there already")
                    self._compare(plan, standing)
            share = Share(0, 1) if part == WHOLE else Share(part, order.partitions)
            found = _stretches(self._settings, order, plan, share)

            def told(copying: Copying, stretch: Kept) -> None:
                at = format_time(stretch.slice.end)
                say(f"{label(part)}: up to {at}, {copying.messages:,} messages")

            with Copying(self._settings, there, before, check, restamp=order.restamp) as copying:
                if pace is None:
                    for stretch in found:
                        copying.copy(stretch)
                        told(copying, stretch)
                else:
                    with ahead(map(copying.ready, found)) as batches:
                        for ready in batches:
                            copying.copy_in_time(ready, pace)
                            told(copying, ready.stretch)
                copied = copying.finish(part, pace)
            self._prove(copied, before, copying.topic)
        say(
            f"{label(part)}: {copied.messages:,} messages, {copied.already:,} were there, "
            f"{copied.written:,} written"
        )
        return copied

    def _look(self) -> Topic:
        order = self.order
        there = topic.look(self._settings, self._name, order.partitions, meta.read(self._settings))
        if there.partitions != order.partitions:
            raise Mismatch(
                f"the topic {self._name} has {there.partitions} partitions but had {order.partitions} when "
                "the replay was planned: start it anew"
            )
        return there

    def _survey(self, there: Topic, partition: int, since: int | None = None) -> Standing:
        order = self.order
        return survey(
            self._settings, there, partition, order.slice, frozenset(order.symbols), order.kinds, since,
            restamped=order.restamp,
        )  # fmt: skip

    def _compare(self, plan: Plan, standing: Standing) -> None:
        """Raises BadInput unless all that stands is part of the replay."""
        if not len(standing):
            return
        matched = 0
        share = Share(standing.partition, self.order.partitions)
        for stretch in _stretches(self._settings, self.order, plan, share):
            matched += len(stretch) - len(standing.missing(stretch))
        if matched != len(standing):
            raise standing.strange(self.order.slice)

    def _prove(self, copied: Copied, before: dict[int, Standing], there: Topic) -> None:
        after = [self._survey(there, p, since=standing.next) for p, standing in before.items()]
        stands = [*before.values(), *after]
        held = sum(map(len, stands))
        proof = digest.to_hex(digest.add(*(standing.digest for standing in stands)))
        if held != copied.messages or proof != copied.after:
            raise Mismatch(
                f"{self.order.to} {label(copied.partition)} holds {held:,} messages of the slice where the "
                f"log has {copied.messages:,}: something else writes there too; replay to another topic"
            )


def _stretches(settings: Settings, order: Order, plan: Plan, share: Share) -> Iterator[Kept]:
    """What stands of a share, no faster than the order allows."""
    cap = Cap(order.rate)
    return kept(
        settings, plan, share, frozenset(order.symbols), order.kinds, lambda records: cap.took(len(records))
    )
