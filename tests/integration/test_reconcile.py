"""Kafka against Arctic: whatever is done to Arctic is found, exactly, and mended from the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from tapedeck import message as m
from tapedeck.checks import findings, reconcile, sample, stored
from tapedeck.checks.report import Report
from tapedeck.columns import Columns
from tapedeck.jobs import receipts
from tapedeck.jobs.origin import Origin
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store import database, documents, library, positions
from tapedeck.store.encoder import encode
from tapedeck.store.library import Library
from tapedeck.store.rebuild import rebuild
from tapedeck.store.window import tally_of
from tests.published import T0, VENDOR, Published, trade

OF = Slice(T0, T0 + 1800 * NS)
WINDOW = 600 * NS


@pytest.fixture
def log(settings: Settings) -> Published:
    """Half an hour of two symbols and all kinds, a resend, a void and a record that is no message."""
    log = Published(settings)
    log.register(T0 - 60 * NS)
    messages: list[m.Message] = []
    for i in range(180):
        ts = T0 + i * 10 * NS
        messages += [trade(ts, i + 1), trade(ts + 1, i + 1, "ETHUSDT")]
        messages.append(m.Book("ETHUSDT", 0, ts + 3, i + 1, i, 1, 0, [(1.0, 2.0)], [(3.0, 0.0), (4.0, 1.0)]))
    messages.append(m.Status("*", 0, T0 + 4, 0, 0, 1, m.CONNECTED, "up"))
    log.publish(*sorted(messages, key=lambda message: message.ts_recv), trade(T0 + 50 * NS, 6))
    log.garbage(T0 + 77 * NS)
    log.load([m.Void("BTCUSDT", 0, T0 + 100 * NS, 0, 0, 1, T0 + 101 * NS, 0, "garbage")])
    log.close(T0 + 1900 * NS)
    rebuild(settings, VENDOR, OF)
    return log


def run(settings: Settings, repair: bool = False, share: float | None = None) -> Report:
    origin = Origin(who="test", started=time.time_ns())
    return reconcile.reconcile(settings, VENDOR, OF, origin=origin, repair=repair, share=share)


def trades(settings: Settings) -> Library:
    return library.ensure(settings, VENDOR)["trade"]


def second(settings: Settings) -> dict[str, Any]:
    """BTCUSDT's document from ten minutes after T0 on: 60 trades, seq 61 to 120."""
    found = trades(settings).collection.find_one({"_id": documents.document_id(T0 + WINDOW, "BTCUSDT")})
    assert found is not None
    return found


def rewrite(settings: Settings, change: Callable[[Columns], Columns], honest: bool) -> None:
    """Change the rows of that document; `honest`: what the document says of itself is changed with them."""
    stored = documents.stored(second(settings))
    rows = change(stored.rows("trade"))
    fields = encode(rows)
    if honest:
        tally = tally_of(rows)
        fields["kept"] = {"n": tally.messages, "digest": f"{tally.digest:032x}"}
    trades(settings).collection.update_one({"_id": stored.id}, {"$set": fields})


def less(rows: Columns) -> Columns:
    return rows.take(np.arange(len(rows)) != 7)


def doubled(rows: Columns) -> Columns:
    return rows.take(np.sort(np.append(np.arange(len(rows)), 7)))


def altered(rows: Columns) -> Columns:
    price = rows["price"].copy()
    price[7] += 0.5
    return rows.with_arrays(price=price)


def flip(settings: Settings) -> None:
    """One byte of the prices on the disk, as a failing disk would."""
    block = bytearray(second(settings)["cs"]["price"]["d"])
    block[-3] ^= 1
    trades(settings).collection.update_one(
        {"_id": second(settings)["_id"]}, {"$set": {"cs.price.d": bytes(block)}}
    )


MUTATIONS: dict[str, tuple[Callable[[Settings], object], tuple[int, int, int]]] = {
    "a row is gone": (lambda s: rewrite(s, less, honest=False), (1, 0, 0)),
    "a row is gone and the counts with it": (lambda s: rewrite(s, less, honest=True), (1, 0, 0)),
    "a row is there twice": (lambda s: rewrite(s, doubled, honest=False), (0, 1, 0)),
    "a row is there twice and counted": (lambda s: rewrite(s, doubled, honest=True), (0, 1, 0)),
    "a row is altered": (lambda s: rewrite(s, altered, honest=False), (0, 0, 1)),
    "a row is altered and the digest with it": (lambda s: rewrite(s, altered, honest=True), (0, 0, 1)),
    "a byte is flipped": (flip, (60, 0, 0)),
    "the document is gone": (
        lambda s: trades(s).collection.delete_one({"_id": second(s)["_id"]}), (60, 0, 0),
    ),
}  # fmt: skip


def test_what_is_whole_is_silent_and_balances(settings: Settings, log: Published) -> None:
    report = run(settings)
    assert (report.verdict, report.findings, report.notes) == ("pass", [], [])
    for part in report.balance:
        assert part["log"] == sum(part[n] for n in ("arctic", "duplicates", "voided", "undecodable")), part
    assert (report.counts["log"], report.counts["arctic"]) == (543, 540)
    counted = {name: report.counts[name] for name in ("duplicates", "voided", "undecodable")}
    assert counted == {"duplicates": 1, "voided": 1, "undecodable": 1}
    receipt = receipts.find(settings, report.receipt)
    assert (receipt.job, receipt.outcome, receipt.before) == ("reconcile", "unchanged", receipt.after)


def test_whatever_is_done_to_a_window_is_found_shown_and_mended(settings: Settings, log: Published) -> None:
    whole = second(settings)
    for name, (mutate, counts) in MUTATIONS.items():
        mutate(settings)
        report = run(settings)
        [found] = report.findings
        told = (found.reason, found.symbol, found.kind, found.status)
        assert told == ("writer", "BTCUSDT", "trade", "open"), name
        assert (found.start, found.end) == (T0 + WINDOW, T0 + 2 * WINDOW), name
        sorts = tuple(found.evidence[n] for n in ("missing", "extra", "different"))
        assert (sorts, found.messages) == (counts, sum(counts)), name
        assert report.verdict == "fail", name
        if counts == (0, 0, 1):
            assert "price 106.8 in the log, 107.3 in Arctic" in found.evidence["rows"][0]["line"]
        mended = run(settings, repair=True)
        assert [(f.id, f.status) for f in mended.findings] == [(found.id, "closed")], name
        assert (mended.counts["differing_before"], mended.counts["differing_after"]) == (1, 0), name
        assert receipts.find(settings, mended.receipt).outcome == "written", name
        now = second(settings)
        for field in ("kept", "i", "cs", "own", "crc"):
            assert now[field] == whole[field], name
        assert run(settings).verdict == "pass", name
    assert len(findings.listed(settings, VENDOR)) == 1


def test_windows_chosen_at_random_are_built_again_and_one_that_was_altered_is_found(
    settings: Settings, log: Published
) -> None:
    whole = sample.sample(settings, VENDOR, OF, 100)
    assert (whole.windows, whole.of, whole.found) == (10, 10, [])
    assert sample.sample(settings, VENDOR, OF, 3).windows == 3
    rewrite(settings, altered, honest=True)
    [found] = sample.sample(settings, VENDOR, OF, 100).found
    assert (found.check, found.symbol, found.start, found.messages) == (
        "windows", "BTCUSDT", T0 + WINDOW, 1,
    )  # fmt: skip
    assert found.evidence["unrepairable_after"] > format_time(found.start + 6 * 86_400 * NS)
    assert found.evidence["raise"] == f"tapedeck retention {VENDOR} --raise 8d"
    assert [f.id for f in run(settings, repair=True).findings] == [found.id]
    assert sample.sample(settings, VENDOR, OF, 100).found == []


def test_a_record_that_is_no_message_must_be_entered(settings: Settings, log: Published) -> None:
    database.collection(settings, "undecodable").delete_many({})
    [found] = run(settings).findings
    assert (found.check, found.reason, found.messages) == ("entries", "writer", 1)
    assert [f.status for f in run(settings, repair=True).findings] == ["closed"]
    assert run(settings).findings == []


def test_a_scheduled_repair_leaves_what_would_alter_much(settings: Settings, log: Published) -> None:
    rewrite(settings, lambda rows: altered(altered(rows)).take(np.arange(60) > 30), honest=True)
    extra = second(settings)
    trades(settings).collection.update_one({"_id": extra["_id"]}, {"$set": {"kept.n": 1}})
    mended = run(settings, repair=True, share=0.001)  # rows that lack are only added
    assert [f.status for f in mended.findings] == ["closed"]

    def many(rows: Columns) -> Columns:
        return rows.with_arrays(price=rows["price"] + 1.0)

    rewrite(settings, many, honest=True)
    left = run(settings, repair=True, share=0.001)
    assert [f.status for f in left.findings] == ["open"]
    assert any("too much to be done unasked" in note for note in left.notes)
    assert [f.status for f in run(settings, repair=True).findings] == ["closed"]


def test_what_kafka_deleted_stands_and_is_not_held_against_arctic(settings: Settings, log: Published) -> None:
    log.cut(90)
    report = run(settings)
    assert report.findings == []
    assert any("Kafka has deleted part of the slice" in note for note in report.notes)
    flip_first = documents.document_id(T0, "BTCUSDT")
    trades(settings).collection.update_one({"_id": flip_first}, {"$inc": {"crc": 1}})
    [found] = run(settings, repair=True).findings
    assert (found.status, found.evidence["mendable"]) == ("open", False)
    assert "Kafka no longer holds its log" in found.evidence["why"]


def test_windows_that_a_writer_has_yet_to_close_are_not_judged(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades(settings).collection.delete_one({"_id": documents.document_id(T0 + 2 * WINDOW, "BTCUSDT")})
    damaged = {"_id": documents.document_id(T0 + 2 * WINDOW, "ETHUSDT")}
    trades(settings).collection.update_one(damaged, {"$inc": {"crc": 1}})
    monkeypatch.setattr("tapedeck.checks.sides.SETTLE", 100 * 3600 * NS)
    closed = dict.fromkeys(("trade", "quote", "book", "status", "fields"), T0 + 2 * WINDOW)
    saved = [positions.Position(topic_id=log.live.id, partition=p, next=1, closed=closed) for p in range(4)]
    positions.save(settings, VENDOR, saved)
    report = run(settings)
    assert report.findings == []
    assert any("still open" in note for note in report.notes)
    raised = [structs.replace(one, closed=dict.fromkeys(closed, T0 + 3 * WINDOW)) for one in saved]
    positions.save(settings, VENDOR, raised)
    found = run(settings).findings
    assert [(f.symbol, f.start) for f in found] == [(s, T0 + 2 * WINDOW) for s in ("BTCUSDT", "ETHUSDT")]
    assert all(f.evidence["mendable"] for f in found)


def test_a_whole_day_that_was_never_written_is_the_writers(settings: Settings, log: Published) -> None:
    for one in library.ensure(settings, VENDOR).values():
        one.collection.delete_many({})
    report = run(settings)
    assert {(f.reason, f.symbol, f.kind) for f in report.findings} == {
        ("writer", "BTCUSDT", "trade"), ("writer", "ETHUSDT", "trade"), ("writer", "ETHUSDT", "book"),
        ("writer", "*", "status"),
    }  # fmt: skip
    assert sum(f.messages for f in report.findings) == 542  # a resend and a voided one are counted too
    assert len(run(settings, repair=True).findings) == 10
    assert findings.listed(settings, VENDOR, "open") == []


def test_a_vendor_of_which_nothing_is_recorded_passes(settings: Settings) -> None:
    report = run(settings)
    assert (report.verdict, report.notes) == ("pass", [f"nothing is recorded of {VENDOR} yet"])


def test_what_the_nightly_check_finds_on_the_disk_is_looked_at_and_mended(
    settings: Settings, log: Published
) -> None:
    flip(settings)
    for _ in range(2):
        [found] = stored.stored(settings, VENDOR, OF, run="night").findings
        assert (found.symbol, found.kind, found.start, found.status) == (
            "BTCUSDT", "trade", T0 + WINDOW, "open",
        )  # fmt: skip
    origin = Origin(who="test", started=time.time_ns())
    report = reconcile.reconcile(settings, VENDOR, OF, origin=origin, repair=True, quick=True)
    assert [(one.symbol, one.start, one.status) for one in report.findings] == [
        ("BTCUSDT", T0 + WINDOW, "closed")
    ]
    assert findings.find(settings, found.id).status == "closed"
    assert stored.stored(settings, VENDOR, OF, run="night").findings == []


def test_a_block_of_the_ledger_that_is_not_as_it_was_entered_is_named(
    settings: Settings, log: Published
) -> None:
    ledger = database.collection(settings, "ledger")
    block = ledger.find_one({"partition": log.partition("BTCUSDT")})
    assert block is not None
    facts = bytearray(block["facts"])
    facts[3] ^= 1
    ledger.update_one({"_id": block["_id"]}, {"$set": {"facts": bytes(facts)}})
    [found] = stored.stored(settings, VENDOR, OF, run="night").findings
    assert block["_id"] in found.evidence["why"]
    assert found.evidence["mendable"] is False
    ledger.delete_one({"_id": block["_id"]})
    assert run(settings).verdict == "pass"
    assert stored.stored(settings, VENDOR, OF, run="night").findings == []
