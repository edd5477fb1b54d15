"""The ledger holds each offset's facts once, whoever read it, and stands for the log that Kafka deleted."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from msgspec import structs

from tapedeck.checks import findings, proof, reconcile
from tapedeck.checks.report import Report
from tapedeck.jobs.origin import Origin
from tapedeck.log.decode import decode_records
from tapedeck.log.plan import Range
from tapedeck.log.read import Records, read_range
from tapedeck.settings import Settings
from tapedeck.slices import NS
from tapedeck.store import database, documents, ledger, library, tallies
from tapedeck.store.facts import total
from tapedeck.store.ledger import Ledger, catch_up, covered
from tapedeck.store.rebuild import rebuild
from tapedeck.store.window import CODE_VERSION
from tests.integration.test_reconcile import MUTATIONS, OF, log  # noqa: F401
from tests.published import VENDOR, Published


def everything(log: Published) -> list[Range]:  # noqa: F811
    pins = (log.live, log.topics.backfill)
    return [
        Range(
            topic=pin.name, topic_id=pin.id, number=pin.number, partition=p, start=0, stop=end,
            start_reason="exact", stop_reason="watermark",
        )
        for pin in pins
        for p, end in log.ends(pin).items()
        if end
    ]  # fmt: skip


def entries(settings: Settings) -> dict[str, Any]:
    found = database.collection(settings, ledger.COLLECTION).find({}, {"version": 0})
    return {d["_id"]: d for d in found}


def forget(settings: Settings) -> None:
    database.collection(settings, ledger.COLLECTION).delete_many({})


def quick(settings: Settings) -> Report:
    return reconcile.reconcile(
        settings, VENDOR, OF, origin=Origin(who="test", started=time.time_ns()), quick=True
    )


def batches(settings: Settings, log: Published, size: int) -> list[tuple[Records, Any]]:  # noqa: F811
    return [
        (records, decode_records(records, log.live.partitions))
        for r in everything(log)
        for records in read_range(settings, r, size)
    ]


def test_any_process_enters_the_same_in_any_order_and_at_once(settings: Settings, log: Published) -> None:  # noqa: F811
    forget(settings)
    assert catch_up(settings, VENDOR, everything(log), log.topics.log) == []
    expected = entries(settings)
    assert all(len(d["runs"]) == 1 and d["runs"][0][0] == 0 for d in expected.values())
    forget(settings)
    found = batches(settings, log, 37)

    def enter(step: int) -> None:
        book = Ledger(settings, VENDOR)
        for records, decoded in found[:: 1 if step % 2 else -1]:
            book.add(records, decoded)
            if len(book.pending) % step == 0:
                book.flush()
        book.flush()

    threads = [threading.Thread(target=enter, args=(step,)) for step in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entries(settings) == expected


def test_a_block_is_cut_at_its_bounds_and_grows_as_it_fills(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    forget(settings)
    monkeypatch.setattr(ledger, "BLOCK", 100)
    book = Ledger(settings, VENDOR)
    for records, decoded in batches(settings, log, 30):
        book.add(records, decoded)
        book.flush()
    found = entries(settings)
    assert len(found) > len(everything(log))
    for d in found.values():
        ((start, end),) = d["runs"]
        assert start == d["block"] * 100
        assert end <= start + 100
    for r in everything(log):
        assert covered(settings, r) == ((0, r.stop),)


def test_facts_of_older_code_stand_until_all_of_them_is_read_again(
    settings: Settings, log: Published  # noqa: F811
) -> None:  # fmt: skip
    book = database.collection(settings, ledger.COLLECTION)
    catch_up(settings, VENDOR, everything(log), log.topics.log)
    before = entries(settings)
    book.update_many({}, {"$set": {"code": CODE_VERSION - 1}})
    first = next(batch for batch in batches(settings, log, 10) if batch[0].range.stop > 20)
    one = Ledger(settings, VENDOR)
    one.add(*first)
    one.flush()
    assert {d["code"] for d in entries(settings).values()} == {CODE_VERSION - 1}
    for records, decoded in batches(settings, log, 1000):
        one.add(records, decoded)
    one.flush()
    assert entries(settings) == before
    book.update_many({}, {"$set": {"code": CODE_VERSION + 1, "facts": b""}})
    for records, decoded in batches(settings, log, 1000):
        one.add(records, decoded)
    one.flush()
    assert {d["facts"] for d in entries(settings).values()} == {b""}  # newer code's: left alone


def test_a_whole_slice_is_proved_without_reading_it(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    slow = reconcile.reconcile(settings, VENDOR, OF, origin=Origin(who="test", started=1))
    monkeypatch.setattr(reconcile, "_look", None)  # level 2 would fail
    report = quick(settings)
    assert (report.verdict, report.findings, report.notes) == ("pass", [], [])
    assert [part["log"] for part in report.balance] == [part["log"] for part in slow.balance]
    assert report.counts == slow.counts


def test_what_only_the_disk_lost_is_not_level_ones_to_see_and_all_else_is(
    settings: Settings, log: Published  # noqa: F811
) -> None:  # fmt: skip
    MUTATIONS["a row is altered"][0](settings)
    assert quick(settings).verdict == "pass"  # the documents still say what was written: store check decodes
    libraries = library.ensure(settings, VENDOR)
    spans = dict.fromkeys(libraries, OF)
    database.collection(settings, "undecodable").delete_many({})
    assert not proof.prove(settings, libraries, spans, groups=log.topics.groups).holds
    report = quick(settings)
    assert report.verdict == "fail"
    assert report.findings[0].check == "entries"


@pytest.mark.parametrize("what", ["the ledger's entries are gone", "some are gone"])
def test_what_the_ledger_lacks_is_read_again(settings: Settings, log: Published, what: str) -> None:  # noqa: F811
    before = entries(settings)
    book = database.collection(settings, ledger.COLLECTION)
    if what == "some are gone":
        book.delete_one({"_id": next(iter(before))})
    else:
        book.delete_many({})
    assert quick(settings).verdict == "pass"
    assert entries(settings).keys() == before.keys()


def test_for_what_kafka_deleted_the_ledger_stands(settings: Settings, log: Published) -> None:  # noqa: F811
    whole = quick(settings)
    log.cut(log.ends(log.live)[log.partition()])
    report = quick(settings)
    assert (report.verdict, report.balance) == (whole.verdict, whole.balance)
    assert structs.asdict(rebuild(settings, VENDOR, OF))["written"] == 0
    assert quick(settings).balance == whole.balance


def test_the_ledger_balances_to_the_record(settings: Settings, log: Published) -> None:  # noqa: F811
    catch_up(settings, VENDOR, everything(log), log.topics.log)
    records = sum(r.stop for r in everything(log))
    rows, _ = ledger.within(settings, VENDOR, OF.widen(86_400 * NS), groups=log.topics.groups)
    assert total(rows)[0] == records


def test_what_differs_where_kafka_has_deleted_the_log_is_a_finding_by_the_ledger(
    settings: Settings,
    log: Published,  # noqa: F811
) -> None:
    second = OF.start + 600 * NS
    log.cut(150)

    def found(repair: bool = False) -> list[Any]:
        origin = Origin(who="test", started=time.time_ns())
        report = reconcile.reconcile(settings, VENDOR, OF, origin=origin, quick=True, repair=repair)
        return [(f.check, f.reason, f.symbol, f.kind, f.start, f.messages, f.status) for f in report.findings]

    assert found() == []
    trades = library.ensure(settings, VENDOR)["trade"]
    home = log.partition()
    with tallies.marked(trades, [(home, second)]):  # as a writer that lost a document would
        trades.collection.delete_one({"_id": documents.document_id(second, "BTCUSDT")})
    [one] = found()
    assert one == ("ledger", "writer", "*", "trade", second, 60, "open")
    assert found(repair=True) == [one]  # nothing holds what it lacks
    database.collection(settings, ledger.COLLECTION).delete_many({"partition": home})
    [other] = found()
    assert other[:3] == ("ledger", "expired", "*")
    assert other[5] == 150
    assert [f.status for f in findings.listed(settings, VENDOR) if f.reason == "writer"] == ["closed"]
