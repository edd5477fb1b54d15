"""The nightly rebuild as a job: a frozen plan, a receipt that proves, nothing twice."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from arctic import Arctic
from arctic.date import DateRange

from tapedeck import message as m
from tapedeck.errors import BadInput, Mismatch
from tapedeck.jobs import backfill, plans, receipts
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import library
from tests.published import HOUR, T0, VENDOR, Published, trade

OF = Slice(T0, T0 + HOUR)


@pytest.fixture
def log(settings: Settings) -> Published:
    """An hour of two symbols by a collector that has closed."""
    log = Published(settings)
    log.register(T0 - 60 * NS)
    messages: list[m.Message] = []
    for i in range(60):
        messages += [trade(T0 + i * 60 * NS, i + 1), trade(T0 + i * 60 * NS + 1, i + 1, "ETHUSDT")]
    log.publish(*messages)
    log.close(T0 + HOUR + 120 * NS)
    return log


def run(settings: Settings, of: Slice = OF) -> Receipt:
    origin = Origin(who="test", started=time.time_ns())
    return backfill.backfill(settings, VENDOR, of, origin=origin)


def test_the_receipt_says_what_was_written_and_the_second_run_writes_nothing(
    settings: Settings, log: Published
) -> None:
    first = run(settings)
    assert first.outcome == "written"
    assert first.counts["messages"] == timeline(VENDOR, settings).count(OF.start, OF.end).messages == 120
    assert first.counts["windows_written"] == 12
    assert first.before == "0" * 32 != first.after
    assert first.complete
    again = run(settings)
    assert again.outcome == "unchanged"
    assert (again.counts["windows_written"], again.counts["windows_equal"]) == (0, 12)
    assert again.before == again.after == first.after
    assert again.plan == first.plan
    assert plans.load(settings, first.plan).slice == OF


def test_two_at_once_end_as_one(settings: Settings, log: Published) -> None:
    done: list[Receipt] = []
    both = [threading.Thread(target=lambda: done.append(run(settings))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [receipt.counts["messages"] for receipt in done] == [120, 120]
    assert done[0].after == done[1].after
    assert run(settings).outcome == "unchanged"


def test_a_day_whose_log_was_cut_shrinks_nothing_and_the_receipt_says_so(
    settings: Settings, log: Published
) -> None:
    whole, rows = run(settings), stock(settings)
    assert [len(frame) for frame in rows.values()] == [60, 60]
    log.cut(30)  # the first half of BTCUSDT's hour
    done: list[Receipt] = []
    both = [threading.Thread(target=lambda: done.append(run(settings))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    for receipt in (*done, run(settings)):
        assert (receipt.outcome, receipt.counts["windows_written"]) == ("unchanged", 0)
        assert (receipt.counts["messages"], receipt.before, receipt.after) == (120, whole.after, whole.after)
        assert receipt.counts["windows_standing"] > 0
        assert not receipt.complete
        assert any("Kafka has deleted" in note for note in receipt.notes), receipt.notes
    for symbol, frame in stock(settings).items():
        pd.testing.assert_frame_equal(frame, rows[symbol])


def stock(settings: Settings) -> dict[str, pd.DataFrame]:
    """What stock arctic reads of the hour's trades, by symbol."""
    day = DateRange(*(datetime.fromtimestamp(ns // NS, UTC) for ns in (OF.start, OF.end)))
    arctic = Arctic(settings.mongo.uri, tz_aware=True, tzinfo=ZoneInfo("UTC"))
    try:
        trades = arctic[f"{VENDOR}.trade"]
        return {symbol: trades.read(symbol, date_range=day) for symbol in ("BTCUSDT", "ETHUSDT")}
    finally:
        arctic._conn.close()


def test_a_slice_in_the_middle_of_windows_rebuilds_them_whole(settings: Settings, log: Published) -> None:
    part = run(settings, Slice(T0 + 605 * NS, T0 + 1300 * NS))
    assert part.counts["windows_written"] == 4  # two windows of two symbols
    assert part.counts["messages"] == 40
    assert plans.load(settings, part.plan).slice == Slice(T0 + 600 * NS, T0 + 1800 * NS)
    assert run(settings).counts["windows_equal"] == 4


def test_a_vendor_of_which_nothing_is_recorded_is_a_receipt_of_zero(settings: Settings) -> None:
    receipt = run(settings)
    assert (receipt.outcome, receipt.counts["messages"], receipt.plan) == ("empty", 0, "")
    assert receipt.notes == [f"nothing is recorded of {VENDOR} yet"]


def test_a_slice_that_holds_nothing_is_a_receipt_of_zero(settings: Settings, log: Published) -> None:
    receipt = run(settings, Slice(T0 - 24 * HOUR, T0 - 23 * HOUR))
    assert (receipt.outcome, receipt.counts["messages"]) == ("empty", 0)


def test_a_slice_that_has_ended_just_now_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "SETTLE", 700 * NS)
    log, end = Published(settings), time.time_ns() // (600 * NS) * 600 * NS
    since = end - 600 * NS
    log.register(since)
    log.publish(trade(end - 5 * NS, 1))
    beat = m.Heartbeat("*", 0, end + 60 * NS, 0, 0, 1, since, 1)
    later = threading.Timer(3, log.publish, [beat])
    later.start()
    order, plan = backfill.prepare(settings, VENDOR, Slice(end - 60 * NS, end))
    later.join()
    assert plan is not None
    assert order.partitions == (0, 1, 2, 3)
    assert plan.complete


def test_a_slice_of_long_ago_is_not(settings: Settings) -> None:
    log = Published(settings)
    log.register(T0 - 60 * NS)
    log.publish(trade(T0, 1))
    receipt = run(settings)
    assert (receipt.complete, receipt.outcome) == (False, "written")
    assert "collector 1 has not yet shown a time past" in receipt.notes[0]


def test_no_part_is_made_of_days_before_a_vendors_first_but_of_any_that_hold_something(
    settings: Settings, log: Published
) -> None:
    def partitions(of: Slice) -> tuple[int, ...]:
        order, plan = backfill.prepare(settings, VENDOR, of)
        return backfill.trimmed(settings, order, plan).partitions

    before = Slice(T0 - 48 * HOUR, T0 - 24 * HOUR)
    order, plan = backfill.prepare(settings, VENDOR, before)
    assert plan is not None
    trimmed = backfill.trimmed(settings, order, plan)
    assert (order.partitions, trimmed.partitions) == ((0, 1, 2, 3), ())
    made = backfill.finish(settings, trimmed, plan, [], Origin(who="test", started=1))
    assert (made.outcome, made.complete, made.counts["messages"]) == ("empty", True, 0)
    assert partitions(OF) == (0, 1, 2, 3)
    one = library.ensure(settings, VENDOR)["trade"]
    inserted = one.tallies.insert_one(  # marked by somebody who is just writing there
        {"_id": "a", "vendor": VENDOR, "kind": "trade", "p": 1, "start": before.start // 1_000_000,
         "version": 1, "marks": [{"by": "b"}]}
    )  # fmt: skip
    assert partitions(before) == (0, 1, 2, 3)
    one.tallies.delete_one({"_id": inserted.inserted_id})
    log.load([trade(before.start + HOUR, 1)])
    assert partitions(before) == (0, 1, 2, 3)
    run(settings, before)
    log.register(before.start - HOUR, src=2)  # who may still say something
    assert partitions(Slice(before.start - HOUR, before.start)) == (0, 1, 2, 3)


def test_a_part_that_is_missing_makes_no_receipt(settings: Settings, log: Published) -> None:
    order, plan = backfill.prepare(settings, VENDOR, OF)
    assert plan is not None
    parts = [backfill.rebuild_part(settings, order, plan, p) for p in order.partitions[1:]]
    with pytest.raises(Mismatch, match="lacks its partitions 0"):
        backfill.finish(settings, order, plan, parts, Origin(who="test", started=1))
    assert receipts.recent(settings) == []


def test_an_unknown_vendor_is_one_sentence(settings: Settings) -> None:
    with pytest.raises(BadInput, match="did you mean 'binance_usdm'"):
        backfill.prepare(settings, "binance_usd", OF)
