"""Receipts and plans in a real mongod."""

from __future__ import annotations

import time

import msgspec
import pytest

from tapedeck.errors import BadInput, Mismatch
from tapedeck.jobs import plans, receipts
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.log.plan import Plan, Range
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import database

OF = Slice(1_723_161_600 * NS, 1_723_161_660 * NS + 1)
PLAN = Plan(
    vendor="v", slice=OF, margin=0, partitions=1, claims=(), notes=("collector 1 is behind",),
    ranges=(
        Range(
            topic="md.v", topic_id="x", number=3, partition=0, start=0, stop=2**40,
            start_reason="exact", stop_reason="lateness",
        ),
    ),
)  # fmt: skip


def issue(settings: Settings, run: str = "", vendor: str = "v", **more: int) -> Receipt:
    origin = Origin(who="ada", started=time.time_ns() - 2 * NS, run=run)
    return receipts.issue(
        settings, origin, "replay", vendor, OF, PLAN, outcome="written", counts={"messages": 5, **more},
        before="0" * 32, after="f" * 32, asked={"to": "kafka:x"},
    )  # fmt: skip


def test_a_receipt_is_found_as_it_was_made_by_the_beginning_of_its_id(settings: Settings) -> None:
    made = issue(settings)
    assert receipts.find(settings, made.id[:8]) == made
    assert (made.start, made.end) == ("2024-08-09T00:00:00Z", "2024-08-09T00:01:00.000000001Z")
    assert made.seconds >= 2
    assert not made.complete
    assert made.notes == ["collector 1 is behind"]
    assert msgspec.convert(made.ranges, Plan) == PLAN


def test_in_an_airflow_run_a_job_has_one_receipt_for_a_vendor(settings: Settings) -> None:
    issue(settings, "manual__1", written=1)
    issue(settings, "manual__1", vendor="w")
    second = issue(settings, "manual__1", written=0)
    assert [r.vendor for r in receipts.recent(settings)] == ["v", "w"]
    assert receipts.recent(settings, vendor="v") == [second]


def test_the_newest_come_first_and_only_so_many(settings: Settings) -> None:
    made = [issue(settings) for _ in range(4)]
    assert receipts.recent(settings, limit=3) == made[:0:-1]
    assert receipts.recent(settings, job="backfill") == []


@pytest.mark.parametrize("identity", ["", "xyz", "0123456789ab", ".*"])
def test_an_id_that_is_none_is_one_sentence(settings: Settings, identity: str) -> None:
    with pytest.raises(BadInput, match="`tapedeck receipts` lists them"):
        receipts.find(settings, identity)


def test_a_plan_comes_back_as_it_was_kept(settings: Settings) -> None:
    assert plans.keep(settings, PLAN) == plans.keep(settings, PLAN) == PLAN.digest
    assert plans.load(settings, PLAN.digest) == PLAN


def test_a_plan_that_is_gone_or_altered_is_refused(settings: Settings) -> None:
    with pytest.raises(Mismatch, match="there is no stored plan feed"):
        plans.load(settings, "feed")
    plans.keep(settings, PLAN)
    other = msgspec.structs.replace(PLAN, margin=1).to_json().decode()
    database.collection(settings, plans.COLLECTION).update_one({}, {"$set": {"plan": other}})
    with pytest.raises(Mismatch, match="was altered"):
        plans.load(settings, PLAN.digest)
