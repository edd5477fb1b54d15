"""How long until Kafka deletes what is not yet proven in Arctic, per partition: alarm before, never after.

Proven is what lies below a writer's position, or below what the ledger or a reconciliation has proved.
Kafka deletes by age (`retention.ms`, of the record's own time) and by size (`retention.bytes`, foreseen from
the last hour's rate); whichever is first counts. Both are early by up to a segment.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from tapedeck import endpoints
from tapedeck.checks import findings, proving
from tapedeck.checks.findings import WHOLE, Finding, identity
from tapedeck.checks.proving import COLLECTION, Left
from tapedeck.checks.report import Report
from tapedeck.errors import BadInput
from tapedeck.jobs.origin import Origin
from tapedeck.log import client, topics
from tapedeck.log.inventory import inventory
from tapedeck.log.meta import TopicPin
from tapedeck.log.plan import Range
from tapedeck.log.read import read
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time, parse_duration
from tapedeck.store import database, positions

CHECK = "retention"
HOUR_MS = 3_600_000
MS = 1_000_000
EVER = Slice(0, 2**62)
HEAD = 100


def left(settings: Settings, vendor: str) -> list[Left]:
    """Every partition of the vendor's live topics, the nearest deadline first. Raises as `topics.verify`."""
    pinned = topics.verify(settings, vendor)
    with client.answering(settings):
        configs = topics.configs(client.admin(settings), [pin.name for pin in pinned.live])
    sizes = {
        state.topic: state.bytes / state.records for state in inventory(settings, vendor) if state.records
    }
    saved = positions.read(settings, vendor)
    proofs = proving.proofs(settings, vendor)
    found: list[Left] = []
    for pin in pinned.live:
        places = [(pin.name, p) for p in range(pin.partitions)]
        bounds = client.bounds(settings, places)
        hour_ago = int(time.time() * 1000) - HOUR_MS
        [since] = client.found(settings, [dict.fromkeys(places, OffsetSpec.for_timestamp(hour_ago))])
        for place, (low, high) in bounds.items():
            position = saved.get((pin.id, place[1]))
            proven = max(position.next if position else 0, proofs.get(f"{pin.id}|{place[1]}", 0))
            an_hour = high - since[place] if since[place] >= 0 else 0
            found.append(
                _left(settings, pin, place[1], (low, high), proven, an_hour, configs[pin.name],
                      sizes.get(pin.name, 0.0))
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.hours, one.topic, one.partition))


def guard(settings: Settings, vendor: str, *, origin: Origin, repair: bool = False) -> Report:
    """Look, prove or mend what a writer has left alone for long, and keep what is in danger as findings.

    `repair`: what is in danger is proven by the ledger, or reconciled with the log and rebuilt, the nearest
    deadline first, within the limits of a scheduled repair; where nothing differs after it, it is proven.
    """
    settings.vendor(vendor)
    lefts = left(settings, vendor)
    notes: list[str] = []
    if repair and any(_severity(settings, one) for one in lefts):
        notes += proving.prove(settings, vendor, lefts, origin)
        lefts = left(settings, vendor)
    found = [_finding(settings, vendor, one, s) for one in lefts if (s := _severity(settings, one))]
    stands = findings.record(settings, vendor, (CHECK,), EVER, found, origin.run or f"guard by {origin.who}")
    least = min((one.hours for one in lefts), default=math.inf)
    now = time.time_ns()
    with database.answering(settings):
        database.collection(settings, COLLECTION).update_one(
            {"_id": vendor},
            {"$set": {"at": now, "hours": None if math.isinf(least) else least}},
            upsert=True,
        )
    counts = {
        "partitions": len(lefts),
        "unproven": sum(one.high - one.oldest for one in lefts),
        "deleted": sum(one.deleted for one in lefts),
    }
    if not math.isinf(least):
        notes.append(f"{least:,.1f} hours until Kafka may delete what is not proven in Arctic")
    oldest = min((one.oldest_ms * MS for one in lefts if one.oldest_ms is not None), default=now)
    return Report(
        vendor=vendor, slice=Slice(min(oldest, now - 1), now), findings=stands, counts=counts, notes=notes
    )


def hours_left(settings: Settings, vendor: str) -> float | None:
    """What the guard saw last; None where it never looked, or nothing is unproven."""
    with database.answering(settings):
        found = database.collection(settings, COLLECTION).find_one({"_id": vendor})
    return None if found is None else found.get("hours")


def raise_to(settings: Settings, vendor: str, length: str) -> list[str]:
    """Raise `retention.ms` of the vendor's live topics; gives those that changed. Never lowers one.

    Raises BadInput for a duration that is none or that would be shorter.
    """
    wanted = parse_duration(length) // MS
    names = [pin.name for pin in topics.verify(settings, vendor).live]
    admin = client.admin(settings)
    with client.answering(settings):
        now = {name: int(c["retention.ms"]) for name, c in topics.configs(admin, names).items()}
    for name, ms in now.items():
        if ms < 0 or ms > wanted:
            kept = "for ever" if ms < 0 else f"{ms / HOUR_MS / 24:g} days"
            raise BadInput(f"{name} keeps its records {kept} already: --raise only raises, give more")
    resources = [
        ConfigResource(
            ResourceType.TOPIC, name,
            incremental_configs=[
                ConfigEntry("retention.ms", str(wanted), incremental_operation=AlterConfigOpType.SET)
            ],
        )
        for name, ms in now.items()
        if ms != wanted
    ]  # fmt: skip
    if resources:
        try:
            for future in admin.incremental_alter_configs(resources).values():
                future.result(client.REQUEST_SECONDS)
        except KafkaException as e:
            raise client.unavailable(settings, e.args[0].str()) from e
    return [one.name for one in resources]


def deadline(
    *, oldest: int, high: int, oldest_ms: int, now_ms: int, age_ms: int, kept_records: float, an_hour: int
) -> tuple[int | None, str]:
    """When Kafka may delete the record at `oldest`, UTC ms, and by which rule; pure.

    `age_ms` and `kept_records` are what retention keeps, negative and infinite for no limit.
    """
    by_age = oldest_ms + age_ms if age_ms >= 0 else None
    by_size = None
    if not math.isinf(kept_records):
        room = kept_records - (high - oldest)
        if room <= 0:
            by_size = now_ms
        elif an_hour > 0:
            by_size = now_ms + int(room / an_hour * HOUR_MS)
    both = [(at, by) for at, by in ((by_age, "age"), (by_size, "size")) if at is not None]
    return min(both) if both else (None, "")


def _left(
    settings: Settings,
    pin: TopicPin,
    partition: int,
    bounds: tuple[int, int],
    proven: int,
    an_hour: int,
    config: Mapping[str, str],
    size: float,
) -> Left:
    low, high = bounds
    oldest = min(max(low, proven), high)
    at, when, by = None, None, ""
    if oldest < high:
        r = Range(
            topic=pin.name, topic_id=pin.id, number=pin.number, partition=partition, start=oldest,
            stop=min(oldest + HEAD, high), start_reason="exact", stop_reason="watermark",
        )  # fmt: skip
        at = min(int(records.timestamps_ms.min()) for records in read(settings, [r]) if len(records))
        limit = int(config.get("retention.bytes") or -1)
        when, by = deadline(
            oldest=oldest, high=high, oldest_ms=at, now_ms=int(time.time() * 1000),
            age_ms=int(config["retention.ms"]), an_hour=an_hour,
            kept_records=limit / size if limit >= 0 and size else math.inf,
        )  # fmt: skip
    return Left(
        topic=pin.name, topic_id=pin.id, partition=partition, oldest=oldest, high=high, oldest_ms=at,
        deadline_ms=when, by=by, deleted=max(0, low - proven) if proven else 0,
    )  # fmt: skip


def _severity(settings: Settings, one: Left) -> str:
    """`warn`, `fail` or nothing. A short retention is warned of at its half, and paged at its quarter."""
    if one.deadline_ms is None or one.oldest_ms is None:
        return ""
    whole = (one.deadline_ms - one.oldest_ms) / HOUR_MS
    warn, page = (
        parse_duration(text) / NS / 3600 for text in (settings.retention.warn, settings.retention.page)
    )
    if one.hours <= min(page, whole / 4):
        return "fail"
    return "warn" if one.hours <= min(warn, whole / 2) else ""


def _finding(settings: Settings, vendor: str, one: Left, severity: str) -> Finding:
    assert one.deadline_ms is not None and one.oldest_ms is not None  # noqa: S101, PT018
    until = format_time(one.deadline_ms * MS)
    longer = math.ceil((time.time() * 1000 - one.oldest_ms) / HOUR_MS / 24) + 7
    raise_it = f"tapedeck retention {vendor} --raise {longer}d"
    kafkas = (
        f"kafka-configs --bootstrap-server {endpoints.bootstrap(settings)} --alter --topic {one.topic} "
        f"--add-config retention.ms={longer * 24 * HOUR_MS}"
    )
    return Finding(
        id=identity(CHECK, vendor, one.topic_id, one.partition), check=CHECK, reason="writer", vendor=vendor,
        symbol=WHOLE, kind=WHOLE, start=one.oldest_ms * MS, end=max(one.oldest_ms * MS + 1, time.time_ns()),
        at=one.oldest_ms * MS, messages=one.high - one.oldest,
        severity="fail" if severity == "fail" else "warn",
        evidence={
            "topic": one.topic, "partition": one.partition, "oldest": one.oldest, "by": one.by,
            "hours_left": round(one.hours, 2), "unrepairable_after": until, "raise": raise_it,
            "kafka": kafkas,
            "why": f"{one.topic}[{one.partition}]: {one.high - one.oldest:,} records are unproven in Arctic; "
            f"unrepairable after {until}, when Kafka may delete them by {one.by}; to keep them longer: "
            f"{raise_it}",
        },
    )  # fmt: skip
