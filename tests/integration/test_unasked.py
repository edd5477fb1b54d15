"""A rebuild that nobody was asked about: what it may change, what it leaves as a finding, and going on."""

from __future__ import annotations

import subprocess
import sys
import time

import msgspec
import pytest
from msgspec import structs

from tapedeck import message as m
from tapedeck.checks import findings, repairs, undone
from tapedeck.jobs import backfill, limits, plans, unasked
from tapedeck.jobs.checkpoint import Checkpoint
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.log.plan import Plan
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store import rebuild as store_rebuild
from tapedeck.store.rebuild import rebuild
from tests.published import HOUR, T0, VENDOR, Published, trade

OF = Slice(T0, T0 + HOUR)


class Kept(Checkpoint):
    """One in memory; `dies` in place of the n-th saving's return."""

    def __init__(self, dies: int = 0) -> None:
        self.state, self.saved, self.dies = b"", 0, dies

    def load(self) -> bytes:
        return self.state

    def save(self, state: bytes) -> None:
        self.state = state
        self.saved += 1
        if self.saved == self.dies:
            raise KeyboardInterrupt

    def clear(self) -> None:
        self.state = b""


@pytest.fixture
def log(settings: Settings) -> Published:
    """An hour of one symbol, a trade every two seconds, in Arctic already."""
    log = Published(settings)
    log.register(T0 - 60 * NS)
    log.publish(*(trade(T0 + i * 2 * NS, i + 1) for i in range(1800)))
    log.close(T0 + HOUR + 120 * NS)
    rebuild(settings, VENDOR, OF)
    return log


def void(log: Published, messages: int) -> None:
    """Say that the first trades are no data."""
    end = T0 + 2 * NS * messages
    log.load([m.Void("BTCUSDT", 0, T0, 0, 0, 1, end, 0, "wrong")], src=1)


def night(settings: Settings, share: float | None) -> tuple[Receipt, list[findings.Finding]]:
    order, plan = backfill.prepare(settings, VENDOR, OF, share=share)
    assert plan is not None
    plans.keep(settings, plan)
    parts = [backfill.rebuild_part(settings, order, plan, p) for p in order.partitions]
    receipt = backfill.finish(settings, order, plan, parts, Origin(who="test", started=time.time_ns()))
    return receipt, undone.record(settings, order, parts, "night")


def test_a_share_of_a_day_is_changed_unasked_and_more_is_left_as_a_finding(
    settings: Settings, log: Published
) -> None:
    void(log, 1)  # a share of 1,800 messages is 1
    done, left = night(settings, limits.SHARE)
    assert (done.counts["windows_written"], done.counts["messages"], left) == (1, 1799, [])
    void(log, 3)
    held, left = night(settings, limits.SHARE)
    assert (held.counts["windows_withheld"], held.counts["altered"]) == (1, 2)
    assert (held.counts["windows_written"], held.after) == (0, done.after)
    assert not held.complete
    [one] = left
    assert (one.check, one.reason, one.messages, one.status) == ("rebuild", "writer", 2, "open")
    mend = repairs.repair_of(one)
    assert mend is not None
    assert (mend.dag, mend.conf["vendors"]) == ("nightly_backfill", VENDOR)
    assert "/run/nightly_backfill?vendors=binance_usdm&start_exact=20" in mend.link
    by_hand, left = night(settings, None)
    assert (by_hand.counts["windows_written"], by_hand.counts["messages"], left) == (1, 1797, [])
    assert by_hand.complete
    assert findings.find(settings, one.id).status == "closed"


def test_what_only_grows_is_written_whatever_its_share(settings: Settings, log: Published) -> None:
    log.load([trade(T0 + i * 2 * NS + NS, 5000 + i, src=1007) for i in range(1800)])
    done, left = night(settings, limits.SHARE)
    assert (done.counts["messages"], done.counts["windows_written"], left) == (3600, 6, [])


def test_a_dry_run_says_what_would_be_removed_and_writes_nothing(settings: Settings, log: Published) -> None:
    void(log, 5)
    order, plan = backfill.prepare(settings, VENDOR, OF)
    assert plan is not None
    would = backfill.foreseen(settings, order, plan)
    assert (would.written, would.added, would.altered) == (1, 0, 5)
    lines = list(backfill.shown(settings, order, plan, would))
    assert "5 messages that stand in Arctic would be removed or changed" in lines
    assert night(settings, limits.SHARE)[0].counts["altered"] == 5


def test_one_that_is_killed_goes_on_where_it_was_and_counts_all(
    settings: Settings, log: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_rebuild.rebuild_partition, "__kwdefaults__", {
        **store_rebuild.rebuild_partition.__kwdefaults__, "records": 300,
    })  # fmt: skip
    log.load([trade(T0 + i * 2 * NS + NS, 5000 + i, src=1007) for i in range(1800)])
    order, plan = backfill.prepare(settings, VENDOR, OF)
    assert plan is not None
    kept, said = Kept(dies=2), list[str]()
    with pytest.raises(KeyboardInterrupt):
        part(settings, order, plan, kept, said)
    first = len(said)
    done = part(settings, order, plan, kept, said).done
    assert said[first].startswith("partition ")
    assert "going on after 20" in said[first]
    assert (done.messages, done.written, done.windows) == (3600, 6, 6)
    assert kept.state == b""
    again = part(settings, order, plan, kept, said).done
    assert (again.written, again.equal, again.after) == (0, 6, done.after)


def part(settings: Settings, order: backfill.Order, plan: Plan, kept: Kept, said: list[str]) -> backfill.Part:
    log = Published(settings)
    return backfill.rebuild_part(
        settings, order, plan, log.partition(), checkpoint=kept, say=said.append
    )  # fmt: skip


def test_a_checkpoint_of_another_version_is_no_hindrance(settings: Settings, log: Published) -> None:
    order, plan = backfill.prepare(settings, VENDOR, OF)
    assert plan is not None
    kept = Kept()
    kept.state = b'{"through":"then"}'
    assert part(settings, order, plan, kept, []).done.windows == 6


def test_who_holds_a_day_back_is_waited_for_until_the_deadline_and_then_named(settings: Settings) -> None:
    log, end = Published(settings), (time.time_ns() - HOUR) // (600 * NS) * 600 * NS
    of = Slice(end - 600 * NS, end)
    log.register(of.start, src=7)
    log.publish(trade(of.start + 30 * NS, 1, src=7))
    log.beat(of.start + 60 * NS, src=7)
    order, plan = backfill.prepare(settings, VENDOR, of, share=limits.SHARE)
    assert plan is not None
    assert (order.held_by, order.held_at) == (7, of.start + 60 * NS)
    deadline = of.end + HOUR  # jobs.complete_within
    assert backfill.waits(settings, order, deadline - 5) == 5
    assert backfill.waits(settings, order, deadline) == 0
    [one] = undone.record(settings, order, [], "night")
    assert (one.check, one.severity, one.evidence["src"]) == ("complete", "warn", 7)
    assert f"collector 7 had shown no time past {format_time(of.start + 60 * NS)}" in one.evidence["why"]
    log.close(of.end + 60 * NS, src=7)
    order, _ = backfill.prepare(settings, VENDOR, of, share=limits.SHARE)
    assert (order.held_by, backfill.waits(settings, order, of.end)) == (0, 0)
    assert undone.record(settings, order, [], "next") == []
    assert findings.find(settings, one.id).closed_by == "next"


def test_a_capped_rebuild_reads_no_faster(settings: Settings, log: Published) -> None:
    log.load([trade(T0 + i * 2 * NS + NS, 5000 + i, src=1007) for i in range(1800)])  # else nothing is read
    slow = structs.replace(settings, jobs=structs.replace(settings.jobs, rate=2000))
    began = time.monotonic()
    for p in range(4):
        unasked.rebuild(slow, VENDOR, OF, p, share=None, by="test")
    assert time.monotonic() - began > 0.9


_NIGHT = """
import sys, msgspec
from airflow.sdk.exceptions import AirflowRescheduleException
from tapedeck.airflow import nightly
from tapedeck.settings import Settings
settings = msgspec.json.decode(sys.argv[1], type=Settings)
nightly.links.leads_to_plan = lambda digest: None
nightly.backfill.SETTLE = 0
asked = {"vendor": "binance_usdm", "start": int(sys.argv[2]), "end": int(sys.argv[3])}
try:
    planned = nightly.plan(settings, asked, sys.argv[4] == "by hand", print)
    order = planned["order"]
    print(order["held_by"], order["share"], len(nightly.parts([planned], False, print)))
except AirflowRescheduleException as e:
    print("again at", e.reschedule_date)
"""


def test_a_night_gives_its_place_away_while_it_waits_and_goes_on_at_the_deadline(settings: Settings) -> None:
    log, end = Published(settings), (time.time_ns() - 600 * NS) // (600 * NS) * 600 * NS
    log.register(end - 600 * NS, src=7)
    log.publish(trade(end - 570 * NS, 1, src=7))
    over = structs.replace(settings, jobs=structs.replace(settings.jobs, complete_within="1s"))

    def night(of: Settings, how: str) -> list[str]:
        """What a night's task says, in a process of its own: Airflow takes over a process's logs."""
        words = [msgspec.json.encode(of).decode(), str(end - 600 * NS), str(end), how]
        done = subprocess.run(
            [sys.executable, "-c", _NIGHT, *words], capture_output=True, text=True, timeout=240, check=True
        )
        return done.stdout.splitlines()

    waits = night(settings, "by the clock")
    assert waits[-2].startswith("collector 7 has shown no time past ")
    assert waits[-1].startswith("again at 20")
    assert night(over, "by the clock")[-1] == "7 0.001 4"
