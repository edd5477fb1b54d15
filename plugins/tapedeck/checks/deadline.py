"""Until when a finding can be mended from the log: what Kafka has deleted is beyond repair."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from msgspec import structs

from tapedeck.checks.findings import Finding
from tapedeck.log import client, topics
from tapedeck.settings import Settings
from tapedeck.slices import format_time

MS = 1_000_000
DAY_MS = 86_400_000
SPARE_DAYS = 7


def with_deadline(settings: Settings, vendor: str, found: Sequence[Finding]) -> list[Finding]:
    """The findings, each that the log mends with the time after which it no longer does, and the command that
    puts it off. By age only: a limit of bytes may be sooner, which `retention_guard` foresees."""
    if not any(one.evidence.get("mendable") for one in found):
        return list(found)
    names = [pin.name for pin in topics.verify(settings, vendor).live]
    with client.answering(settings):
        configs = topics.configs(client.admin(settings), names)
    kept = min((ms for c in configs.values() if (ms := int(c["retention.ms"])) >= 0), default=None)
    return [_with(one, kept) if one.evidence.get("mendable") else one for one in found]


def _with(one: Finding, kept_ms: int | None) -> Finding:
    if kept_ms is None:
        return one
    until = one.start // MS + kept_ms
    days = math.ceil((time.time() * 1000 - one.start // MS) / DAY_MS) + SPARE_DAYS
    evidence = {
        **one.evidence, "unrepairable_after": format_time(until * MS),
        "raise": f"tapedeck retention {one.vendor} --raise {days}d",
    }  # fmt: skip
    return structs.replace(one, evidence=evidence)
