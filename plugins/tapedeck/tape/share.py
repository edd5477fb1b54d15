"""Which lanes of a tape a publisher serves: all, or with several to a tape every n-th."""

from __future__ import annotations

from msgspec import Struct

from tapedeck.errors import BadInput
from tapedeck.log.meta import TopicPin


class Share(Struct, frozen=True):
    """Publisher `part` (from 0) of `parts` to a tape. Each reads the whole tape and keeps its own position.

    Partition p is served by part p mod `parts`. The first one leads: it also serves quarantine, enters lives
    in `md.meta`, and closes them once all have published their goodbye; the others wait for it where a life
    begins. Their positions are true by themselves, so how many there are may change at any start.
    """

    part: int = 0
    parts: int = 1

    @property
    def leads(self) -> bool:
        """Whether it does what only one may do."""
        return self.part == 0

    @property
    def role(self) -> str:
        """Its name among the processes of a collector: `publisher`, `publisher-1`, …"""
        return f"publisher-{self.part}" if self.part else "publisher"

    def mine(self, pin: TopicPin) -> list[bool]:
        """By lane, the partitions in order and then the quarantine, whether it serves it.

        Raises BadInput where there is a publisher to whom no partition is left.
        """
        if self.parts > pin.partitions:
            raise BadInput(
                f"{self.parts} publishers can't share the {pin.partitions} partitions of {pin.name}: set "
                f"vendors.{pin.vendor}.publishers to {pin.partitions} or less"
            )
        return [p % self.parts == self.part for p in range(pin.partitions)] + [self.leads]
