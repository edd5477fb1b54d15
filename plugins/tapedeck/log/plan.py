"""Plans: the frozen offset ranges that a slice of time resolved to, with a reason for each bound."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec
from msgspec import Struct

from tapedeck.errors import BadInput
from tapedeck.slices import Slice, format_time

Bound = Literal["exact", "empty", "lateness", "watermark", "expired", "extent"]


class Range(Struct, frozen=True, kw_only=True):
    """Offsets [start, stop) of one partition, to be read whole. `number` is the topic's in md.meta."""

    topic: str
    topic_id: str
    number: int
    partition: int
    start: int
    stop: int
    start_reason: Bound
    stop_reason: Bound


class Claim(Struct, frozen=True, kw_only=True):
    """What reading a plan proves of a topic's partition: nothing that meets the widened slice lies
    in [start, next) outside the plan's ranges. This is what a window document records (DESIGN §2.4).
    """

    topic_id: str
    partition: int
    start: int
    next: int


class Plan(Struct, frozen=True, kw_only=True):
    """Which offsets answer for a slice. Reading it again gives the same messages, or an error.

    `ranges` cover the slice widened by the vendor's margin on both sides, since what lies there
    decides which of two copies stays. `notes` says in sentences who is missing and what has expired;
    `complete` = no note: the messages of the slice are whole.
    """

    vendor: str
    slice: Slice
    margin: int
    partitions: int
    ranges: tuple[Range, ...]
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()
    expired: tuple[int, ...] = ()
    """Partitions whose log no longer reaches back to the slice's start."""

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

    def of(self, partition: int) -> tuple[Range, ...]:
        """The ranges of one partition over all topics."""
        return tuple(r for r in self.ranges if r.partition == partition)

    def claimed(self, partition: int) -> tuple[Claim, ...]:
        """The claims of one partition over all topics."""
        return tuple(c for c in self.claims if c.partition == partition)

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
