"""The doors to a vendor's log: positions, marks, stored plans, waiting for what may come."""

from __future__ import annotations

import threading
import time

import pytest

from tapedeck import message as m
from tapedeck.errors import BadInput, Incomplete, Mismatch
from tapedeck.log.marks import Mark
from tapedeck.log.plan import from_json
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.slices import NS
from tests.published import T0, VENDOR, Published, trade


def test_what_is_left_out_is_shown_on_request_and_marked(settings: Settings) -> None:
    log = Published(settings)
    log.register(T0, src=1)
    log.register(T0, src=2)
    first, second = trade(T0 + NS, 1), trade(T0 + 2 * NS, 2)
    resend = trade(T0 + NS, 1)
    copy = trade(T0 + NS + 7, 1, src=2)
    gone = trade(T0 + 3 * NS, 3)
    log.publish(first, second, resend, copy, gone)
    log.publish(m.Void("*", 0, T0 + 3 * NS, 0, 0, 1, T0 + 4 * NS, 0, "test"))
    line = timeline(VENDOR, settings)
    assert list(line.between(T0, T0 + 9 * NS)) == [first, second]
    shown = list(line.between(T0, T0 + 9 * NS, everything=True).marked())
    assert sorted(shown, key=lambda one: (one[0].ts_recv, one[1])) == [
        (first, Mark.KEPT), (resend, Mark.RESEND), (copy, Mark.COPY), (second, Mark.KEPT), (gone, Mark.VOIDED)
    ]  # fmt: skip
    [batch] = line.between(T0, T0 + 9 * NS, everything=True).batches()
    assert batch["trade"]["mark"].tolist() == [mark for _, mark in shown]


def test_a_position_iterates_from_there_and_the_last_before_it_is_found(settings: Settings) -> None:
    log = Published(settings)
    log.publish(*(trade(T0 + i * NS, i + 1) for i in range(5)), trade(T0 + 1, 1, "ETHUSDT"))
    log.publish(m.Quote("BTCUSDT", 0, T0 + 5, 0, 0, 1, 1.0, 2.0, 1.0, 1.0))
    line = timeline(VENDOR, settings)
    assert [one.ts_recv for one in line.at(T0 + 3 * NS)] == [T0 + 3 * NS, T0 + 4 * NS]
    found = line.last(T0 + 2 * NS)
    assert [(one.symbol, type(one), one.ts_recv) for one in found] == [
        ("ETHUSDT", m.Trade, T0 + 1), ("BTCUSDT", m.Quote, T0 + 5), ("BTCUSDT", m.Trade, T0 + 2 * NS)
    ]  # fmt: skip
    assert line.last(T0 + 2 * NS - 1, symbols=["BTCUSDT"], kinds=["trade"])[0].ts_recv == T0 + NS
    assert line.last(T0 + 10 * NS, within="1s") == []


def test_a_stored_plan_gives_the_same_or_says_what_expired(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Published(settings)
    log.register(T0 - NS)
    log.publish(*(trade(T0 + i * 97 * NS, i + 1) for i in range(60)))
    log.beat(T0 + 9000 * NS)
    line = timeline(VENDOR, settings)
    stored = line.plan(T0, T0 + 6000 * NS).to_json()
    before = list(line.reading(from_json(stored)))
    log.publish(trade(T0 + 1, 1), trade(T0 + 97 * NS + 1, 100, src=2))
    log.load([trade(T0 + 50 * NS, 500, src=1007)])
    for records in (500_000, 10):  # read whole, and in stretches
        monkeypatch.setattr("tapedeck.log.reading.STRETCH_RECORDS", records)
        assert list(line.reading(from_json(stored))) == before
        assert len(before) == 60
    with pytest.raises(BadInput, match="not of binance_spot"):
        timeline("binance_spot", settings).reading(from_json(stored))
    log.cut(20)
    for records in (500_000, 10):
        monkeypatch.setattr("tapedeck.log.reading.STRETCH_RECORDS", records)
        with pytest.raises(Incomplete, match=r"no longer holds offset 0.*begins at 20"):
            list(line.reading(from_json(stored)))
    log.delete()
    with pytest.raises(Mismatch):
        list(line.reading(from_json(stored)))


def test_what_expires_while_a_stored_plan_is_read_is_an_error_and_not_less(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapedeck.log.reading.STRETCH_RECORDS", 10)
    log = Published(settings)
    log.register(T0 - NS)
    log.publish(*(trade(T0 + i * 97 * NS, i + 1) for i in range(60)))
    log.beat(T0 + 9000 * NS)
    batches = timeline(VENDOR, settings).between(T0, T0 + 6000 * NS).batches()
    next(batches)
    log.cut(40)
    with pytest.raises(Incomplete, match="no longer holds offset"):
        list(batches)


def test_a_slice_past_complete_through_waits_and_names_who_holds_it_back(settings: Settings) -> None:
    log = Published(settings)
    log.register(T0)
    log.publish(trade(T0 + NS, 1))
    line = timeline(VENDOR, settings)
    told: list[str] = []
    with pytest.raises(Incomplete, match=r"after waiting 500ms: collector 1 has not yet shown"):
        line.between(
            T0, T0 + 5 * NS, incomplete="wait", deadline="500ms", waiting=lambda plan: told.extend(plan.notes)
        )
    assert "collector 1" in told[0]

    def speak() -> None:
        time.sleep(0.5)
        log.publish(trade(T0 + 2 * NS, 2))
        log.beat(T0 + 3600 * NS)

    speaking = threading.Thread(target=speak)
    speaking.start()
    reading = line.between(T0, T0 + 5 * NS, incomplete="wait", deadline="20s")
    speaking.join()
    assert reading.plan.complete
    assert [one.seq for one in reading] == [1, 2]
