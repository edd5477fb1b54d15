"""Every metric of a live process: its name, type, unit and labels, and what it means.

Nothing here is called for a message. A process counts what it counts anyway, says it about once a second
as a `Snapshot`, and `families` puts that into Prometheus's words when somebody scrapes. No metric has a
symbol for a label. Counters begin at 0 with their process, as Prometheus expects.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from msgspec import Struct
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric as Family

CONTENT_TYPE = CONTENT_TYPE_LATEST
MOST_VALUES = 50
"""A label takes so many values; what is more is summed as `other`."""


class Kind(Enum):
    """Prometheus's types."""

    COUNTER = CounterMetricFamily
    GAUGE = GaugeMetricFamily
    HISTOGRAM = HistogramMetricFamily


class Metric(NamedTuple):
    """One metric. All have the label `vendor`, those of a collector also `src`; `label` is one more."""

    name: str
    """As Prometheus shows it; a counter's ends in `_total`."""
    kind: Kind
    unit: str
    meaning: str
    label: str = ""


CATALOGUE: dict[str, Metric] = {}


def _metric(name: str, kind: Kind, unit: str, meaning: str, label: str = "") -> Metric:
    return CATALOGUE.setdefault(name, Metric(name, kind, unit, meaning, label))


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

# Every live process: `role` is taper, publisher or writer.
READY = _metric(
    "tapedeck_ready", _G, "0 or 1",
    "1 while it is connected and nothing holds it: the taper hears its bus, Kafka takes what the publisher "
    "sends, the writer holds the lease and Kafka and MongoDB answer it.", "role",
)  # fmt: skip
TURNED = _metric(
    "tapedeck_turned_timestamp_seconds", _G, "s since the epoch",
    "When its loop turned last. It is alive while that is less than `metrics.stalled` ago.", "role",
)  # fmt: skip

# The taper: bus → raw tape.
TAPER_MESSAGES = _metric(
    "tapedeck_taper_messages_total", _C, "bus messages", "What the bus sent and is on the tape."
)
TAPER_BYTES = _metric(
    "tapedeck_taper_bytes_total", _C, "bytes",
    "What was written to the tape, uncompressed, receipt times and own lines included.",
)  # fmt: skip
TAPER_CONNECTS = _metric(
    "tapedeck_taper_connects_total", _C, "times", "How often the bus was reached; more than once: reconnects."
)
TAPER_CLOCK_ERROR = _metric(
    "tapedeck_taper_clock_error_seconds", _G, "s",
    "Wall clock less the clock of the receipt times, which follows it slowly: what is still to be slewed.",
)  # fmt: skip
TAPER_SLEWED = _metric(
    "tapedeck_taper_slewed_seconds", _G, "s", "How far the clock was slewed towards the wall clock so far."
)
TAPER_STAMP_LEAD = _metric(
    "tapedeck_taper_stamp_lead_seconds", _G, "s",
    "How far receipt times run ahead of their clock, since each is above the one before by its payload's "
    "bytes and a new taper starts above the last stamp of the old one (DESIGN §2.1).",
)  # fmt: skip

TAPER_BEHIND = _metric(
    "tapedeck_taper_behind_seconds", _G, "s",
    "For how long more has waited on the bus than is taken at once; 0 while the taper keeps up.",
)  # fmt: skip

# The collector, which looks after both halves and their disk.
COLLECTOR_STARTS = _metric(
    "tapedeck_collector_starts_total", _C, "times",
    "How often a half was started; more than once: it had died.", "role",
)  # fmt: skip
TAPE_FREE = _metric("tapedeck_tape_free_bytes", _G, "bytes", "What is left on the tape's disk.")
TAPE_WAITING = _metric(
    "tapedeck_tape_waiting_bytes", _G, "bytes on disk",
    "The spool: what lies on the tape behind the position that Kafka has acknowledged; compressed segments "
    "count as they lie there.",
)  # fmt: skip
COLLECTOR_LAG = _metric(
    "tapedeck_collector_lag_seconds", _G, "s",
    "From the receipt time up to which Kafka has acknowledged everything until now. About 1 to 2 s is none: "
    "the position moves with the heartbeats, and is saved each second.",
)  # fmt: skip

# The publisher: raw tape → Kafka.
PUBLISHED = _metric(
    "tapedeck_publisher_records_total", _C, "records",
    "What was handed to Kafka's client, heartbeats and quarantined payloads included.",
)  # fmt: skip
ACKNOWLEDGED = _metric(
    "tapedeck_publisher_acknowledged_total", _C, "records", "What Kafka has acknowledged of these."
)
QUEUE_FULL = _metric(
    "tapedeck_publisher_queue_full_total", _C, "times",
    "How often Kafka's client had no room: Kafka is slower than the tape.",
)  # fmt: skip
QUARANTINED = _metric(
    "tapedeck_publisher_quarantined_total", _C, "payloads", "What could not be normalised.", "reason"
)
CHATTER = _metric(
    "tapedeck_publisher_chatter_total", _C, "payloads",
    "What a venue says that is no data: answers to a subscription, repeats of a last trade.", "name",
)  # fmt: skip
HOLDS = _metric(
    "tapedeck_publisher_clock_holds_total", _C, "times",
    "How often a line stamped over 50 minutes ahead of this machine's clock made publishing wait.",
)  # fmt: skip
VENDOR_SKEW = _metric(
    "tapedeck_publisher_vendor_skew_seconds", _G, "s",
    "Receipt time less the vendor's own time: the least of the last minutes' samples, since delays only add "
    "to it. Below 0 this machine's clock is behind the vendor's; where it moves, one of them drifts.",
)  # fmt: skip
LATENCY = _metric(
    "tapedeck_publisher_latency_seconds", _H, "s",
    "Bus to acknowledgement: from a record's receipt time until Kafka was known to have it and all before "
    "it. Records that were read from the tape together share the last one's.",
)  # fmt: skip

# The writer: Kafka → Arctic.
WRITER_MESSAGES = _metric("tapedeck_writer_messages_total", _C, "messages", "What was read from the log.")
WINDOWS = _metric(
    "tapedeck_writer_windows_total", _C, "windows",
    "What became of windows that were built: `written`; `equal` to what stood; `refused`, since a newer one "
    "stood, and mended then; `mended` from the log.", "outcome",
)  # fmt: skip
LATE = _metric(
    "tapedeck_writer_late_messages_total", _C, "messages",
    "What came behind a window that was closed; its window is mended from the log.",
)  # fmt: skip
UNDECODABLE = _metric(
    "tapedeck_writer_undecodable_total", _C, "records",
    "Records of the log that are no messages; entered in MongoDB by topic, partition and offset.",
)  # fmt: skip
WRITER_LAG = _metric("tapedeck_writer_lag_records", _G, "records", "What is in Kafka and not yet read.")
WRITER_PARTITIONS = _metric(
    "tapedeck_writer_partitions", _G, "partitions", "How many partitions of the vendor it writes."
)
REBALANCES = _metric(
    "tapedeck_writer_rebalances_total", _C, "times",
    "How often its share of the partitions changed: once when it starts, then with each writer that comes, "
    "goes or is given up.",
)  # fmt: skip
OPEN_WINDOW_AGE = _metric(
    "tapedeck_writer_oldest_open_window_seconds", _G, "s",
    "From the beginning of the oldest window that is not yet closed until now; 0 where none is open.",
)  # fmt: skip
WRITER_MEMORY = _metric(
    "tapedeck_writer_held_bytes", _G, "bytes",
    "Rows of open windows in memory; past `writer.memory_bytes` they are let go and read again.",
)  # fmt: skip
MONGO_LATENCY = _metric(
    "tapedeck_writer_mongo_seconds", _H, "s",
    "How long MongoDB took for a batch of windows, acknowledged by the majority and journalled.",
)  # fmt: skip

# What jobs left in MongoDB; every writer of a vendor shows it, waiting ones too (`checks.facts` says why).
FINDINGS = _metric(
    "tapedeck_findings_open", _G, "findings", "What checks found and nothing has closed since.", "reason"
)
RECEIPTS = _metric(
    "tapedeck_job_receipt_timestamp_seconds", _G, "s since the epoch",
    "When the newest receipt of the nightly rebuild and of the reconciliation was issued.", "name",
)  # fmt: skip
RETENTION_LEFT = _metric(
    "tapedeck_retention_left_hours", _G, "hours",
    "Until Kafka may delete what is not proven in Arctic, as the retention guard saw it last.",
)  # fmt: skip
MONGO_FREE = _metric(
    "tapedeck_mongo_free_bytes", _G, "bytes", "What is left on the disk of the MongoDB that takes the writes."
)

BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
)  # fmt: skip
"""Upper bounds of every histogram's buckets, s; one more holds what is above. 3,600 s: an hour's spool."""


@dataclass(slots=True)
class Buckets:
    """A histogram that is added to by hand: how often for each bound of BOUNDS, and the sum (s)."""

    counts: list[float] = field(default_factory=lambda: [0.0] * (len(BOUNDS) + 1))
    sum: float = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Note that something took so long, so many times."""
        self.counts[bisect_left(BOUNDS, seconds)] += times
        self.sum += seconds * times


Value = float | Mapping[str, float] | Buckets
Values = Mapping[Metric, Value]
"""What a process has counted: a number, or one for each value of the metric's own label."""
Show = Callable[[str, Values], None]
"""Called about once a second with what holds the process ("" where nothing does) and its numbers."""


def unheard(held: str, values: Values) -> None:
    """The `Show` of who has nobody to show to."""


class Snapshot(Struct, kw_only=True, frozen=True):
    """What one process said of itself at `at` (seconds since the epoch)."""

    role: str
    at: float
    held: str
    """Why it is not ready; empty where it is."""
    values: dict[str, dict[str, float]] = {}


def snapshot(role: str, at: float, held: str, values: Values) -> Snapshot:
    """The snapshot that says this."""
    return Snapshot(
        role=role, at=at, held=held, values={metric.name: _plain(value) for metric, value in values.items()}
    )


def together(role: str, snapshots: Sequence[Snapshot]) -> Snapshot:
    """Several processes that share one work as one: what they counted is added up, it is as long ago as the
    one that was heard of least lately, and what holds any of them holds it."""
    values: dict[str, dict[str, float]] = {}
    for one in snapshots:
        for name, found in one.values.items():
            whole = values.setdefault(name, {})
            for label, value in found.items():
                whole[label] = whole.get(label, 0.0) + value
    return Snapshot(
        role=role,
        at=min(one.at for one in snapshots),
        held="; ".join(dict.fromkeys(one.held for one in snapshots if one.held)),
        values=values,
    )


def expose(who: Mapping[str, str], snapshots: Sequence[Snapshot]) -> bytes:
    """The snapshots in Prometheus's text format, all series with the labels `who`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(who, snapshots))
    return bytes(generate_latest(registry))


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Registered for one scrape."""

    who: Mapping[str, str]
    snapshots: Sequence[Snapshot]

    def collect(self) -> Iterable[Family]:
        return families(self.who, self.snapshots)


def families(who: Mapping[str, str], snapshots: Sequence[Snapshot]) -> Iterator[Family]:
    """What Prometheus's client writes out. What the catalogue does not know is left out."""
    found: dict[str, dict[str, float]] = {}
    for one in snapshots:
        found.setdefault(READY.name, {})[one.role] = float(not one.held)
        found.setdefault(TURNED.name, {})[one.role] = one.at
        found.update({name: values for name, values in one.values.items() if name in CATALOGUE})
    for name, values in found.items():
        metric = CATALOGUE[name]
        labels = [*who, metric.label] if metric.label else [*who]
        family = metric.kind.value(name, f"{metric.meaning} ({metric.unit})", labels=labels)
        if isinstance(family, HistogramMetricFamily):
            family.add_metric([*who.values()], *_cumulated(values))
        else:
            for label, value in values.items():
                family.add_metric([*who.values(), label] if metric.label else [*who.values()], value)
        yield family


def _plain(value: Value) -> dict[str, float]:
    if isinstance(value, Buckets):
        keys = [*(str(bound) for bound in BOUNDS), "+Inf"]
        return {**dict(zip(keys, value.counts, strict=True)), "sum": value.sum}
    if not isinstance(value, Mapping):
        return {"": float(value)}
    kept = dict(list(value.items())[:MOST_VALUES])
    if more := sum(list(value.values())[MOST_VALUES:]):
        kept["other"] = kept.get("other", 0) + more
    return kept


def _cumulated(values: Mapping[str, float]) -> tuple[list[tuple[str, float]], float]:
    total, buckets = 0.0, []
    for bound, count in values.items():
        if bound != "sum":
            total += count
            buckets.append((bound, total))
    return buckets, values["sum"]
