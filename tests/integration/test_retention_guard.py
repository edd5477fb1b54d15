"""The retention guard on real servers: alarm before Kafka deletes what is in no Arctic, none after proof."""

from __future__ import annotations

import time

import pytest
from msgspec import structs

from tapedeck.checks import findings, retention
from tapedeck.errors import BadInput
from tapedeck.jobs.origin import Origin
from tapedeck.log import client, topics
from tapedeck.settings import Retention, Settings
from tapedeck.store import positions
from tapedeck.store.read import read
from tests.published import HOUR, T0, VENDOR, Published, trade

ORIGIN = Origin(who="ada", started=time.time_ns(), run="run")


def published(settings: Settings) -> Published:
    log = Published(settings)
    log.register(T0)
    log.publish(*(trade(T0 + i * 1_000_000_000, i + 1) for i in range(100)))
    log.close(T0 + 200 * 1_000_000_000)
    return log


def strict(settings: Settings) -> Settings:
    """Six hours old of seven days' retention: in danger below 167 hours."""
    return structs.replace(settings, retention=Retention(warn="167h", page="1h"))


def test_what_is_young_is_in_no_danger(settings: Settings) -> None:
    published(settings)
    report = retention.guard(settings, VENDOR, origin=ORIGIN)
    assert report.findings == []
    hours = retention.hours_left(settings, VENDOR)
    assert hours is not None
    assert 160 < hours < 163
    assert report.counts["unproven"] > 100


def test_the_finding_says_until_when_and_what_would_help(settings: Settings) -> None:
    log = published(settings)
    with client.answering(settings):
        kept = int(topics.configs(client.admin(settings), [log.live.name])[log.live.name]["retention.ms"])
    oldest = T0 // 1_000_000
    ms_left = oldest + kept - int(time.time() * 1000)
    pressed = structs.replace(
        settings, retention=Retention(warn="72h", page=f"{ms_left // 3_600_000 + 2}h")
    )  # the greatest page is a quarter of the whole
    assert retention.guard(pressed, VENDOR, origin=ORIGIN).findings == []
    old = T0 - 130 * HOUR
    log.publish(*(trade(old + i, 1000 + i, src=2) for i in range(3)))
    positions.save(
        settings, VENDOR,
        [positions.Position(topic_id=log.live.id, partition=log.partition(),
                            next=log.ends(log.live)[log.partition()] - 3)],
    )  # fmt: skip
    report = retention.guard(settings, VENDOR, origin=ORIGIN)
    [found] = [f for f in report.findings if f.evidence["partition"] == log.partition()]
    assert (found.check, found.reason, found.severity, found.messages) == ("retention", "writer", "warn", 3)
    assert found.evidence["unrepairable_after"] in found.evidence["why"]
    assert found.evidence["raise"] == f"tapedeck retention {VENDOR} --raise 13d"
    assert found.evidence["kafka"].endswith(f"--add-config retention.ms={13 * 86_400_000}")
    assert retention.raise_to(settings, VENDOR, "14d") == [log.live.name]
    assert retention.guard(settings, VENDOR, origin=ORIGIN).findings == []
    assert findings.find(settings, found.id).status == "closed"
    with pytest.raises(BadInput, match="keeps its records 14 days already"):
        retention.raise_to(settings, VENDOR, "8d")


def test_what_a_reconciliation_mends_is_proven(settings: Settings) -> None:
    log = published(settings)
    old = T0 - 130 * HOUR
    log.publish(*(trade(old + i, 1000 + i, src=2) for i in range(3)))
    positions.save(
        settings, VENDOR,
        [positions.Position(topic_id=log.live.id, partition=p, next=n - 3 * (p == log.partition()))
         for p, n in log.ends(log.live).items()],
    )  # fmt: skip
    assert len(retention.guard(settings, VENDOR, origin=ORIGIN).findings) == 1
    report = retention.guard(settings, VENDOR, origin=ORIGIN, repair=True)
    assert report.findings == []
    [note] = report.notes
    assert note.endswith("was reconciled and is proven")
    rows = read(f"{VENDOR}.trade", "BTCUSDT", old, old + HOUR, tail=False, settings=settings)
    assert len(rows) == 3
    assert retention.hours_left(settings, VENDOR) is None
