"""What a writer has done since it started and how it stands, for `tapedeck status` and its metrics."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from tapedeck import metrics
from tapedeck.metrics import Buckets, Values


@dataclass(slots=True)
class Report:
    """Renewed about once a second."""

    messages: int = 0
    written: int = 0
    equal: int = 0
    refused: int = 0
    """Windows of which a newer document stood; they are mended."""
    mended: int = 0
    late: int = 0
    """Messages that came behind a closed window."""
    undecodable: int = 0
    lag: int = 0
    """Records in Kafka that it has not read yet."""
    partitions: list[int] = field(default_factory=list)
    """Those it writes."""
    behind: dict[str, int] = field(default_factory=dict)
    """By partition, records in Kafka that it has not read yet."""
    oldest: float = 0.0
    """Seconds from the beginning of the oldest open window until now, 0 where none is open."""
    memory: int = 0
    """About how many bytes the rows of open windows take."""
    held: str = "it has not begun"
    """What keeps it from writing; empty where nothing does."""
    waits: bool = False
    """Whether it has no partition: it joins the vendor's writers, or they have all."""
    rebalances: int = 0
    """How often its share changed."""
    mongo: Buckets = field(default_factory=Buckets)
    """How long MongoDB took for each batch of windows (s)."""

    def stand_by(self, why: str) -> None:
        """Note that it has no partition: what it held it holds no more."""
        self.held, self.waits = why, True
        self.lag, self.partitions, self.behind, self.oldest, self.memory = 0, [], {}, 0.0, 0

    def shown(self) -> dict[str, Any]:
        """For `tapedeck status`."""
        fields = dataclasses.asdict(self)
        del fields["mongo"], fields["waits"]
        return fields

    def values(self) -> Values:
        """In the catalogue's words."""
        outcomes = {
            "written": float(self.written), "equal": float(self.equal), "refused": float(self.refused),
            "mended": float(self.mended),
        }  # fmt: skip
        return {
            metrics.WRITER_MESSAGES: self.messages,
            metrics.WINDOWS: outcomes,
            metrics.LATE: self.late,
            metrics.UNDECODABLE: self.undecodable,
            metrics.WRITER_LAG: self.lag,
            metrics.WRITER_PARTITIONS: len(self.partitions),
            metrics.REBALANCES: self.rebalances,
            metrics.OPEN_WINDOW_AGE: self.oldest,
            metrics.WRITER_MEMORY: self.memory,
            metrics.MONGO_LATENCY: self.mongo,
        }
