"""Plans: the frozen offset ranges that a slice of time resolved to, with a reason for each bound."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from tapedeck.errors import BadInput
from tapedeck.partitions import partition_of
from tapedeck.slices import Slice, format_time

Bound = Literal["exact", "empty", "lateness", "watermark", "expired", "extent"]


class Range(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Offsets [start, stop) of one partition, to be read whole. `number` is the topic's in md.meta.

    `count`: how many partitions the topic has; 0 where it has as many as the plan has groups.
    """

    topic: str
    topic_id: str
    number: int
    partition: int
    start: int
    stop: int
    start_reason: Bound
    stop_reason: Bound
    count: int = 0


class Claim(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What reading a plan proves of a topic's partition: nothing that meets the widened slice lies
    in [start, next) outside the plan's ranges. This is what a window document records (DESIGN §2.4).

    `count`: how many partitions the topic has; 0 where all topics that are read have the same.
    """

    topic_id: str
    partition: int
    start: int
    next: int
    count: int = 0


def claims_of(symbol: str, claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """Of the claims on a partition group, those on the partitions that hold a symbol: one a topic."""
    if len({claim.topic_id for claim in claims}) == len(claims):
        return tuple(claims)
    return tuple(c for c in claims if not c.count or partition_of(symbol, c.count) == c.partition)


class Plan(Struct, frozen=True, kw_only=True):
    """Which offsets answer for a slice. Reading it again gives the same messages, or an error.

    `ranges` cover the slice widened by the vendor's margin on both sides, since what lies there
    decides which of two copies stays. `notes` says in sentences who is missing and what has expired;
    `complete` = no note: the messages of the slice are whole. `partitions`: in how many partition groups it
    is read (see `tapedeck.partitions`); where a vendor has not grown a group is one partition of each topic.
    """

    vendor: str
    slice: Slice
    margin: int
    partitions: int
    ranges: tuple[Range, ...]
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()
    expired: tuple[int, ...] = ()
    """Partition groups whose log no longer reaches back to the slice's start."""

    @property
    def complete(self) -> bool:
        """Whether the ranges hold all that was ever published of the slice, and no more will come."""
        return not self.notes

    @property
    def records(self) -> int:
        """How many records the ranges hold, control records and the margins' included."""
        return sum(r.stop - r.start for r in self.ranges)

    @property
    def digest(self) -> str:
        """A hash of the plan's content: the same plan has the same one for ever."""
        return hashlib.sha256(self.to_json()).hexdigest()[:16]

    @property
    def groups(self) -> list[int]:
        """The partition groups that something is read of."""
        return sorted({r.partition % self.partitions for r in self.ranges})

    def of(self, group: int) -> tuple[Range, ...]:
        """The ranges of one partition group over all topics."""
        return tuple(r for r in self.ranges if r.partition % self.partitions == group)

    def claimed(self, group: int) -> tuple[Claim, ...]:
        """The claims of one partition group over all topics."""
        return tuple(c for c in self.claims if c.partition % self.partitions == group)

    def count_of(self, r: Range) -> int:
        """How many partitions the topic of one of its ranges has."""
        return r.count or self.partitions

    def holds(self, symbol: str) -> bool:
        """Whether it was made for this symbol, of whatever topic that is read."""
        places = {(r.topic_id, r.partition) for r in self.ranges}
        live = {(r.topic_id, self.count_of(r)) for r in self.ranges if r.start_reason != "extent"}
        return bool(live) and all((name, partition_of(symbol, count)) in places for name, count in live)

    def topics(self) -> dict[str, str]:
        """Name → id of the topics read."""
        return {r.topic: r.topic_id for r in self.ranges}

    def to_json(self) -> bytes:
        """The plan as JSON, fields in a fixed order."""
        return msgspec.json.encode(self)

    def table(self) -> str:
        """The plan as a person reads it: its first line is the slice in force."""
        lines = [f"{self.vendor} {self.slice}", f"plan {self.digest}: {self.records:,} records to read"]
        widths = [max([len(r.topic) for r in self.ranges], default=5), 4, 14, 14]
        lines.append(f"{'topic':<{widths[0]}}  part  {'from':>14}  {'to':>14}  why it begins / ends there")
        for r in self.ranges:
            if r.stop > r.start:
                lines.append(
                    f"{r.topic:<{widths[0]}}  {r.partition:>4}  {r.start:>14,}  {r.stop:>14,}  "
                    f"{r.start_reason} / {r.stop_reason}"
                )
        lines += [f"note: {note}" for note in self.notes]
        if self.complete:
            lines.append(f"complete: nothing more can come before {format_time(self.slice.end)}")
        return "\n".join(lines)


def from_json(text: bytes | str) -> Plan:
    """The plan that `to_json` wrote. Raises BadInput for anything else."""
    try:
        return msgspec.json.decode(text, type=Plan)
    except msgspec.DecodeError as e:
        raise BadInput(f"this is no stored plan ({e}): make a new one") from e
