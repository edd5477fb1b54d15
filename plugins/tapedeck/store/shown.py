"""Complete-through: up to which time nothing more can come in a partition (DESIGN §1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tapedeck.columns import Columns
from tapedeck.log.meta import Life
from tapedeck.log.stop import waiting_for

FOREVER = 2**62


@dataclass(slots=True)
class Shown:
    """What one partition's sources have shown so far: by source, its greatest ts_recv, UTC ns."""

    times: dict[int, int] = field(default_factory=dict)
    newest: int = 0
    """The greatest ts_recv of any record, UTC ns."""

    def add(self, columns: Columns) -> None:
        """Take note of messages or heartbeats; voids show nothing."""
        sources, stamps = columns["src"], columns["ts_recv"]
        for src in np.unique(sources).tolist():
            latest = int(stamps[sources == src].max())
            self.times[src] = max(self.times.get(src, 0), latest)
            self.newest = max(self.newest, latest)

    def through(self, lives: Iterable[Life], partition: int, position: int) -> int | None:
        """The time (UTC ns) before which all is here, or None where no collector is open.

        `lives` are those of this topic, `position` the offset that was read through: a closed life is
        waited for until its closing heartbeat has been read.
        """
        lives = tuple(lives)
        waiting = waiting_for(lives, FOREVER)
        begun: dict[int, int] = {}
        for life in lives:
            if life.src in waiting.open:
                begun[life.src] = life.since  # the last of each source counts: they are in order
        for life in waiting.closed:
            if life.closing.get(partition, 0) > position:
                begun[life.src] = min(begun.get(life.src, life.since), life.since)
        if not begun:
            return None
        return min(max(self.times.get(src, 0), since) for src, since in begun.items())
