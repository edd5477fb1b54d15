"""Days through Airflow's Backfill dialog: one has holes, of one the history is damaged, all others are clean.

Three of them here, thirty in `tests/faults/test_thirty_days.py`.
"""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec import structs
from playwright.sync_api import Page, expect

from tapedeck import message as m
from tapedeck import vendors
from tapedeck.airflow.precedence import STEP
from tapedeck.checks import findings
from tapedeck.jobs import receipts
from tapedeck.log.timeline import timeline
from tapedeck.settings import Settings
from tapedeck.simulate import capture, market
from tapedeck.simulate.faults import Faults, commit
from tapedeck.slices import NS, Slice, format_time, parse_time
from tests.browser.hands import pick, picture
from tests.dags import runs
from tests.published import HOUR, Published, trade
from tests.servers import AirflowStack

VENDOR = "binance_spot"
DAY = 24 * HOUR
HEADER = "id,price,qty,quote_qty,time,is_buyer_maker"


def ticks(symbol: str, first: int, start: int) -> list[m.Trade]:
    """A minute of trades, one a second, at whole ms as a venue's file has them."""
    return [trade(start + i * NS + 5_000_000, first + i, symbol) for i in range(60)]


def venue_file(folder: Path, symbol: str, of: list[m.Trade]) -> Path:
    """The venue's daily file of these trades; gives its checksum's path."""
    name = f"{symbol}-trades-{format_time(of[0].ts_event)[:10]}"
    place = folder / "data/spot/daily/trades" / symbol
    place.mkdir(parents=True, exist_ok=True)
    rows = [f"{t.seq},{t.price},{t.size},1,{t.ts_event // 1_000_000},false" for t in of]
    with zipfile.ZipFile(place / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.csv", "\n".join([HEADER, *rows]) + "\n")
    sums = place / f"{name}.zip.CHECKSUM"
    digest = hashlib.sha256((place / f"{name}.zip").read_bytes()).hexdigest()
    sums.write_text(f"{digest}  {name}.zip\n")
    return sums


@dataclass(frozen=True)
class Span:
    """So many days from `first` (UTC ns) on; which of them, counted from 0, has holes, and which is bad."""

    first: int
    days: int
    holed_at: int
    bad_at: int

    @property
    def holed(self) -> int:
        return self.first + self.holed_at * DAY

    @property
    def bad(self) -> int:
        return self.first + self.bad_at * DAY

    @property
    def last(self) -> int:
        return self.first + (self.days - 1) * DAY


class Days:
    """What was recorded of the days, and what history has of them."""

    def __init__(self, settings: Settings, of: Span) -> None:
        holed, bad = of.holed, of.bad
        history, log = settings.state / "history", Published(settings, VENDOR)
        vendor = vendors.get(VENDOR)
        made = list(market.generate(VENDOR, ["BTCUSDT", "ETHUSDT"], 40.0, 30.0, 5, holed + HOUR))
        capture.write(history / "tape" / f"{holed}.zst", made)
        self.whole = [vendor.normalise(payload, at, 1500)[0] for at, payload in made]
        self.dropped: list[object] = []
        heard = commit(
            Faults(drop=0.03), 3, iter(made), vendor.stream_of, self.dropped.append, lambda s: None
        )
        sol, xrp = ticks("SOLUSDT", 1, holed + 2 * HOUR), ticks("XRPUSDT", 1, holed + 3 * HOUR)
        venue_file(history / "binance", "SOLUSDT", sol)
        rows = [f"{t.ts_event},{t.price},{t.size},{t.seq},{t.prev}" for t in xrp]
        (history / "files" / f"XRPUSDT-{format_time(holed)[:10]}.csv").write_text(
            "\n".join(["time,price,size,id,before", *rows]) + "\n"
        )
        late = ticks("SOLUSDT", 61, bad + HOUR)
        self.sums = venue_file(history / "binance", "SOLUSDT", late)
        clean = [of.first + i * DAY for i in range(of.days) if i not in (of.holed_at, of.bad_at)]
        log.load([trade(day + HOUR, 1 + i, "ADAUSDT") for i, day in enumerate(clean)], src=1500)
        log.load([vendor.normalise(p, at, 1500)[0] for at, p in heard], src=1500)  # type: ignore[misc]
        log.load([*sol[:20], *sol[30:], *xrp[:40], *xrp[50:], *late[:10], *late[12:]], src=1500)


@pytest.mark.timeout(1500)
def test_three_days_one_of_them_bad_and_then_whole(
    airflow_stack: AirflowStack, page: Page, tmp_path: Path
) -> None:
    first = (time.time_ns() // DAY - 40 - os.getpid() % 400 * 3) * DAY
    assert_backfilled(airflow_stack, page, tmp_path, Span(first, 3, holed_at=1, bad_at=2))


def assert_backfilled(stack: AirflowStack, page: Page, tmp_path: Path, of: Span) -> None:
    """All days are green and whole but the bad one, which then is done again, alone.

    They are old days, of which only files are left.
    """
    settings, api = stack.settings, stack.api
    runs.loaded(api, "nightly_backfill")
    days = Days(settings, of)
    right = days.sums.read_text()
    days.sums.write_text(right.replace(right[:8], "00000000"))
    assert len(days.dropped) > 10
    backfill(stack, page, tmp_path, of, "Missing Runs", again=of.days)
    done = ended(stack, of)
    assert {day: run.state for day, run in done.items()} == {
        of.first + i * DAY: "failed" if i == of.bad_at else "success" for i in range(of.days)
    }
    assert_whole(settings, days, of.holed, done[of.holed])
    assert max(task["priority_weight"] for task in done[of.first].tasks) < STEP  # behind all other runs
    bad = done[of.bad]
    assert bad.tries("fetch") == {1}
    assert any("damaged or was altered; nothing of it was published" in e for e in bad.errors("fetch", 0))
    assert bad.states("receipt") == {VENDOR: "failed"}
    made = {r.run: r for r in receipts.recent(settings, 200, VENDOR, "backfill")}
    assert (made[bad.id].counts["messages"], made[bad.id].complete) == (58, False)
    clean = [run for day, run in done.items() if day not in (of.holed, of.bad)]
    assert {(made[one.id].counts["messages"], made[one.id].complete) for one in clean} == {(1, True)}
    page.goto(f"{settings.airflow.url}/dags/nightly_backfill/runs/{bad.id}")
    expect(page.get_by_text("fetch").first).to_be_visible()
    picture(page, "bad_day", tmp_path)
    days.sums.write_text(right)
    backfill(stack, page, tmp_path, of, "Missing and Errored Runs", again=1)
    done = ended(stack, of, again=of.bad)
    assert done[of.bad].state == "success", done[of.bad].tasks
    found = list(timeline(VENDOR, settings).between(of.bad, of.bad + DAY))
    assert [one.seq for one in found] == list(range(61, 121))  # type: ignore[union-attr]


def assert_whole(settings: Settings, days: Days, start: int, run: runs.Run) -> None:
    """The day with holes is whole, row for row, and each gap says what closed it."""
    hour = timeline(VENDOR, settings).between(start + HOUR, start + 2 * HOUR)
    assert [structs.replace(one, src=1500) for one in hour] == days.whole
    for symbol, at in (("SOLUSDT", 2), ("XRPUSDT", 3)):
        rest = timeline(VENDOR, settings).between(start + at * HOUR, start + (at + 1) * HOUR)
        assert [(one.symbol, one.seq) for one in rest] == [(symbol, n) for n in range(1, 61)]  # type: ignore[union-attr]
    [history] = [r for r in receipts.recent(settings, 100, VENDOR, "history") if r.run == run.id]
    assert history.counts["gaps"] == history.counts["closed"] > 10
    assert run.link("fetch", "Receipt", 0).endswith(f"/receipt/{history.id}")
    of = Slice(start, start + DAY)
    closed = [f for f in findings.listed(settings, VENDOR, "closed") if of.meets(f.start, f.end)]
    by = {one.symbol: one.closed_by for one in closed}
    assert f"{start}.zst (source " in by["BTCUSDT"]
    assert "SOLUSDT-trades-" in by["SOLUSDT"]
    assert "of binance " in by["SOLUSDT"]
    assert "XRPUSDT-" in by["XRPUSDT"]
    assert "of files " in by["XRPUSDT"]


def backfill(
    stack: AirflowStack, page: Page, tmp_path: Path, of: Span, behaviour: str, again: int
) -> None:  # fmt: skip
    """Fill in the dialog for the days and press Run Backfill; so many runs are foreseen."""
    page.goto(f"{stack.settings.airflow.url}/dags/nightly_backfill")
    page.get_by_test_id("trigger-dag-button").first.click()
    dialog = page.locator("[role=dialog][data-scope=dialog]")
    dialog.get_by_text("Backfill", exact=True).click()
    expect(dialog.get_by_text("Date Range")).to_be_visible()
    pick(page, 0, of.first)
    pick(page, 1, of.last)
    dialog.get_by_text(behaviour, exact=True).click()
    expect(dialog.get_by_text(f"{again} run{'s' * (again > 1)} will be triggered")).to_be_visible()
    dialog.locator("input[name=max_active_runs]").fill("2")
    dialog.get_by_text("Override parameters on existing runs").click()
    dialog.locator("#element_vendors").click()
    page.get_by_role("option", name=VENDOR).click()
    picture(page, f"backfill_{again}", tmp_path)
    with page.expect_response(lambda answer: answer.url.endswith("/api/v2/backfills")) as answer:
        dialog.get_by_role("button", name="Run Backfill").click()
    assert answer.value.ok, answer.value.text()


def ended(stack: AirflowStack, of: Span, again: int = 0) -> dict[int, runs.Run]:
    """The days' runs once all have ended; that of `again` for the second time."""
    deadline = time.monotonic() + 200 * of.days
    while True:
        listed = stack.api.call(
            "GET", f"/api/v2/dags/nightly_backfill/dagRuns?run_type=backfill&limit=100"
            f"&logical_date_gte={format_time(of.first)}&logical_date_lte={format_time(of.last)}",
            timeout=120,
        )["dag_runs"]  # fmt: skip
        found = {parse_time(one["logical_date"]): one for one in listed}
        states = [one["state"] for one in found.values()]
        if len(states) == of.days and all(state in ("success", "failed") for state in states):
            runs_of = {
                day: runs.Run(stack.api, "nightly_backfill", one["dag_run_id"], one["state"])
                for day, one in found.items()
            }
            if _over(stack) and (not again or 2 in runs_of[again].tries("fetch")):
                return runs_of
        assert time.monotonic() < deadline, f"the days have not ended: {states}"
        time.sleep(0.3)


def _over(stack: AirflowStack) -> bool:
    """Whether Airflow has noticed that no backfill goes on: before that it takes no other."""
    listed = stack.api.call("GET", "/api/v2/backfills?dag_id=nightly_backfill&limit=100", timeout=120)
    return all(one["completed_at"] for one in listed["backfills"])
