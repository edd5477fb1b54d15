"""Records to columns: messages, control records and what can't be decoded, each told from the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapedeck.codec import decode_batch
from tapedeck.columns import Array, Columns, concat
from tapedeck.log.read import Records
from tapedeck.log.signs import changes_of
from tapedeck.message import KINDS, WHOLE_FEED
from tapedeck.partitions import partition_of


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A record of the log that is no message; `timestamp_ms` is its CreateTime, UTC."""

    topic_id: str
    partition: int
    offset: int
    timestamp_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """Every record of a batch in exactly one place.

    `messages` by kind, with columns `topic` and `offset`; `heartbeats`, `voids` likewise, or None; `signs`
    are the heartbeats and what every partition was told of connects and disconnects (`log.signs`);
    `copies` counts the control copies of "*" statuses.
    """

    messages: dict[str, Columns]
    heartbeats: Columns | None
    voids: Columns | None
    signs: Columns | None
    copies: int
    undecodable: list[Undecodable]


def decode_records(records: Records, partitions: int, timed: bool = True) -> Decoded:
    """Decode a batch of a topic of `partitions` partitions.

    A record whose CreateTime is not its ts_recv, or whose symbol belongs in another partition, could
    not be found by time or by symbol: it is out of contract, and so undecodable. `timed`: False where
    records bear another time than that of their receipt, as a replay may stamp them.
    """
    whole = decode_batch(records.values)
    r = records.range
    bad = dict(whole.undecodable)
    columns: dict[str, Columns] = {}
    for kind, part in whole.columns.items():
        record = part["record"]
        times = records.timestamps_ms[record] if timed else part["ts_recv"] // 1_000_000
        reasons = _misplaced(part, times, r.partition, partitions)
        bad.update({int(record[i]): reason for i, reason in reasons.items()})
        if reasons:
            part = part.take(np.setdiff1d(np.arange(len(part)), list(reasons)))
        if len(part):
            columns[kind] = part.with_arrays(
                offset=records.offsets[part["record"]],
                topic=np.full(len(part), r.number, np.int32),
            )
    copies = 0
    status = columns.get("status")
    beats, changes = columns.get("heartbeat"), changes_of(status) if status is not None else None
    at_home = partition_of(WHOLE_FEED, partitions) == r.partition
    if status is not None and WHOLE_FEED in status.symbols and not at_home:
        copy = status["symbol"] == status.symbols.index(WHOLE_FEED)
        copies = int(copy.sum())
        columns["status"] = status.take(~copy)
    return Decoded(
        messages={kind: columns[kind] for kind in KINDS if kind in columns and len(columns[kind])},
        heartbeats=beats,
        voids=columns.get("void"),
        signs=concat("heartbeat", [beats, changes]) if beats and changes else beats or changes,
        copies=copies,
        undecodable=[
            Undecodable(
                r.topic_id, r.partition, int(records.offsets[i]), int(records.timestamps_ms[i]), reason
            )
            for i, reason in sorted(bad.items())
        ],
    )  # fmt: skip


def _misplaced(part: Columns, timestamps_ms: Array, partition: int, partitions: int) -> dict[int, str]:
    reasons = {}
    wrong_time = part["ts_recv"] // 1_000_000 != timestamps_ms
    for i in np.flatnonzero(wrong_time):
        reasons[int(i)] = "CreateTime is not ts_recv"
    home = np.array(
        [s == WHOLE_FEED or partition_of(s, partitions) == partition for s in part.symbols], np.bool_
    )
    if not home.all():
        for i in np.flatnonzero(~home[part["symbol"]]):
            reasons[int(i)] = "symbol belongs in another partition"
    return reasons
