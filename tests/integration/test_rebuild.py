"""Rebuilding from the log: exact, repeatable, harmless at once with itself, and never shrinking."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.collection import Collection

from tapedeck import message as m
from tapedeck.columns import Columns, concat
from tapedeck.errors import BadInput
from tapedeck.log.plan import Plan, Range
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice
from tapedeck.store import database, documents, ledger, library, undecodable
from tapedeck.store import rebuild as rebuilding
from tapedeck.store.database import Document
from tapedeck.store.rebuild import rebuild, rebuild_partition
from tapedeck.store.reread import Reread, reread
from tests.published import HOUR, T0, VENDOR, Published, trade

OF = Slice(T0, T0 + HOUR)


@pytest.fixture
def log(settings: Settings) -> Published:
    return Published(settings)


def market(log: Published, minutes: int = 60, start: int = T0) -> int:
    """A collector's hour: two symbols, all kinds. Gives how many messages lie in OF."""
    log.register(start - 60 * NS)
    messages: list[m.Message] = []
    for i in range(minutes * 6):
        ts = start + i * 10 * NS
        messages.append(trade(ts, i + 1))
        messages.append(trade(ts + 1, i + 1, "ETHUSDT"))
        messages.append(m.Quote("BTCUSDT", 0, ts + 2, i + 1, 0, 1, 99.0, 101.0, 1.0, 2.0))
        messages.append(m.Book("ETHUSDT", 0, ts + 3, i + 1, i, 1, 0, [(1.0, 2.0)], [(3.0, 0.0)]))
    messages.append(m.Status("*", 0, start + 4, 0, 0, 1, m.CONNECTED, "up"))
    messages.append(m.Fields("BTCUSDT", 0, start + 5, 0, 0, 1, {"open_interest": 5.0}))
    log.publish(*sorted(messages, key=lambda message: message.ts_recv))
    log.close(start + minutes * 60 * NS + 120 * NS)
    return len(messages)


def stored(settings: Settings, symbol: str = "BTCUSDT", kind: str = "trade", of: Slice = OF) -> Columns:
    """The messages that Arctic holds."""
    one = library.ensure(settings, VENDOR)[kind]
    return concat(kind, [s.rows(kind) for s in documents.load(one.collection, [symbol], of)])


def test_every_message_of_the_log_is_stored_once(settings: Settings, log: Published) -> None:
    count = market(log)
    done = rebuild(settings, VENDOR, OF)
    assert (done.messages, done.duplicates, done.voided, done.undecodable) == (count, 0, 0, 0)
    assert done.notes == ()
    assert stored(settings)["seq"].tolist() == list(range(1, 361))
    assert len(stored(settings, "*", "status")) == 1
    counted = timeline(VENDOR, settings).count(OF.start, OF.end)
    assert counted.messages == done.messages


def test_a_second_rebuild_writes_nothing(settings: Settings, log: Published) -> None:
    market(log)
    first = rebuild(settings, VENDOR, OF)
    again = rebuild(settings, VENDOR, OF)
    assert first.written == first.windows > 0
    assert (again.written, again.equal) == (0, first.written)
    assert again.before == again.after == first.after
    assert first.before == "0" * 32


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The partitions whose log a rebuild reads."""
    found: list[int] = []

    def noted(settings: Settings, plan: Plan, partition: int, *more: Any) -> Reread:
        found.append(partition)
        return reread(settings, plan, partition, *more)

    monkeypatch.setattr(rebuilding, "reread", noted)
    return found


def test_what_is_proved_to_stand_is_not_read(settings: Settings, log: Published, reads: list[int]) -> None:
    market(log)
    first = rebuild(settings, VENDOR, OF)
    full = {log.partition(symbol) for symbol in ("BTCUSDT", "ETHUSDT", "*")}
    assert set(reads) == {0, 1, 2, 3}
    reads.clear()
    again = rebuild(settings, VENDOR, OF)
    assert not full.intersection(reads)  # nothing stands in the others
    for name in ("messages", "duplicates", "voided", "after"):
        assert getattr(again, name) == getattr(first, name)


BREAKS: dict[str, Callable[[Settings, Published], object]] = {
    "a document is gone": lambda s, log: trades_of(s).delete_one({"sy": "BTCUSDT"}),
    "a document says less": lambda s, log: trades_of(s).update_one(
        {"sy": "BTCUSDT"}, {"$set": {"kept.n": 1}}
    ),
    "a document is distrusted": lambda s, log: documents.distrust(
        trades_of(s), [documents.document_id(T0, "BTCUSDT")]
    ),
    "a document was built by older code": lambda s, log: trades_of(s).update_one(
        {"sy": "BTCUSDT"}, {"$set": {"code": 0}}
    ),
    "the ledger lacks a block": lambda s, log: database.collection(s, ledger.COLLECTION).delete_many(
        {"partition": log.partition()}
    ),
    "a message came late": lambda s, log: log.publish(trade(T0 + 5, 1000)),
    "history came": lambda s, log: log.load([trade(T0 + 6, 1001, src=1007)]),
    "a void came": lambda s, log: log.load(
        [m.Void("BTCUSDT", 0, T0, 0, 0, 1, T0 + 60 * NS, 0, "garbage")], src=1
    ),
    "a record that is no message came": lambda s, log: log.garbage(T0 + 7),
}


def trades_of(settings: Settings) -> Collection[Document]:
    return library.ensure(settings, VENDOR)["trade"].collection


@pytest.mark.parametrize("what", BREAKS)
def test_what_may_not_stand_is_read(settings: Settings, log: Published, reads: list[int], what: str) -> None:
    market(log, minutes=12)
    rebuild(settings, VENDOR, OF)
    BREAKS[what](settings, log)
    if what == "a message came late":  # as whoever reads the log on tells the ledger
        rebuild_partition(settings, VENDOR, OF, log.partition(), dry=True)
        assert ledger.catch_up(settings, VENDOR, everything(log), log.topics.log) == []
    reads.clear()
    rebuild(settings, VENDOR, OF)
    assert log.partition() in reads
    assert rebuild(settings, VENDOR, OF).written == 0


def everything(log: Published) -> list[Range]:
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


def test_beside_a_second_source_only_what_has_read_as_far_is_known_to_stand(
    settings: Settings, log: Published, reads: list[int]
) -> None:
    log.register(T0 - 60 * NS, src=2)
    market(log, minutes=12)
    log.close(T0 + 900 * NS, src=2)
    rebuild(settings, VENDOR, OF)
    reads.clear()
    assert rebuild(settings, VENDOR, OF).written == 0
    assert log.partition() not in reads
    trades_of(settings).update_many({}, {"$inc": {"ranges.$[].next": -1}})
    assert rebuild(settings, VENDOR, OF).written == 0
    assert log.partition() in reads


def test_memory_bounds_do_not_change_what_is_built(settings: Settings, log: Published) -> None:
    market(log)
    rebuild(settings, VENDOR, OF)
    again = [rebuild_partition(settings, VENDOR, OF, p, records=200) for p in range(4)]
    assert sum(r.written for r in again) == 0
    assert sum(r.equal for r in again) > 0


def test_two_rebuilds_at_once_end_as_one(settings: Settings, log: Published) -> None:
    count = market(log)
    library.ensure(settings, VENDOR)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(rebuild(settings, VENDOR, OF))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.messages for r in results] == [count, count]
    assert rebuild(settings, VENDOR, OF).written == 0
    generations = library.ensure(settings, VENDOR)["trade"].collection.distinct("generation")
    assert generations == [1]


def test_resends_and_copies_are_counted_and_not_stored(settings: Settings, log: Published) -> None:
    log.register(T0 - NS)
    log.register(T0 - NS, src=2)
    first = [trade(T0 + i * NS, i + 1) for i in range(50)]
    log.publish(*first[:30], *first[20:])
    log.publish(*(trade(T0 + i * NS + 1000, i + 1, src=2) for i in range(50)))
    log.close(T0 + 120 * NS)
    log.close(T0 + 120 * NS, src=2)
    done = rebuild(settings, VENDOR, OF)
    assert (done.messages, done.duplicates) == (50, 60)
    assert set(stored(settings)["src"].tolist()) == {1}


def test_what_can_not_be_decoded_is_entered_once(settings: Settings, log: Published) -> None:
    log.publish(trade(T0, 1))
    log.garbage(T0 + NS)
    for _ in range(2):
        done = rebuild(settings, VENDOR, OF)
        assert (done.messages, done.undecodable) == (1, 1)
    assert undecodable.count(settings, VENDOR, OF) == 1


def test_history_that_is_loaded_joins_the_windows(settings: Settings, log: Published) -> None:
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(10)))
    rebuild(settings, VENDOR, OF)
    log.load([trade(T0 + i * NS + 7, i + 1, src=1007) for i in range(5, 20)])
    done = rebuild(settings, VENDOR, OF)
    assert (done.messages, done.duplicates, done.written) == (20, 5, 1)
    assert stored(settings)["seq"].tolist() == list(range(1, 21))


def test_a_void_empties_a_window_which_stays_as_a_document_of_no_rows(
    settings: Settings, log: Published
) -> None:
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(10)))
    assert rebuild(settings, VENDOR, OF).messages == 10
    log.load([m.Void("BTCUSDT", 0, T0, 0, 0, 1, T0 + HOUR, 0, "garbage")])
    done = rebuild(settings, VENDOR, OF)
    assert (done.messages, done.voided, done.written) == (0, 10, 1)
    assert len(stored(settings)) == 0
    assert rebuild(settings, VENDOR, OF).written == 0


def test_a_cut_log_shrinks_nothing_and_only_adds(settings: Settings, log: Published) -> None:
    count = market(log)
    whole = rebuild(settings, VENDOR, OF)
    log.cut(600)  # of the symbol's partition, in the middle of the hour
    again = rebuild(settings, VENDOR, OF)
    assert (again.written, again.messages, again.after) == (0, count, whole.after)
    assert again.standing > 0
    assert again.partial == 0
    log.load([trade(T0 + 10 * NS, 2), trade(T0 + 15 * NS, 1000, src=3)])  # a resend, and a new one
    added = rebuild(settings, VENDOR, OF)
    assert (added.messages, added.duplicates) == (count + 1, 1)
    assert added.written == 1
    assert rebuild(settings, VENDOR, OF).written == 0
    assert stored(settings)["seq"].tolist().count(1000) == 1


def test_a_log_that_is_gone_shrinks_nothing(settings: Settings, log: Published) -> None:
    count = market(log)
    whole = rebuild(settings, VENDOR, OF)
    for symbol in ("BTCUSDT", "ETHUSDT", "*"):
        log.cut(-1, symbol)
    again = rebuild(settings, VENDOR, OF)
    assert (again.written, again.messages, again.after) == (0, count, whole.after)


def test_where_nothing_stands_a_cut_log_gives_what_there_is_flagged(
    settings: Settings, log: Published
) -> None:
    market(log)
    log.cut(250)
    done = rebuild(settings, VENDOR, OF, [log.partition()])
    assert 0 < done.partial < done.windows
    assert any("Kafka has deleted" in note for note in done.notes)
    assert rebuild(settings, VENDOR, OF, [log.partition()]).written == 0


def test_a_vendor_of_which_nothing_is_recorded_is_one_sentence(settings: Settings) -> None:
    with pytest.raises(BadInput, match="nothing is recorded of binance_usdm yet"):
        rebuild(settings, VENDOR, OF)


def test_an_hour_that_holds_nothing_is_no_error(settings: Settings, log: Published) -> None:
    done = rebuild(settings, VENDOR, OF)
    assert (done.windows, done.messages) == (0, 0)
