"""A person fills in the replay's form in a real browser, far from UTC, and the right slice is replayed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tapedeck.embedded import airflow
from tapedeck.slices import NS
from tests.dags import runs
from tests.published import HOUR, T0, VENDOR, Published, trade
from tests.servers import AirflowStack

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
_PATIENCE = 60_000.0


@pytest.fixture
def page(airflow_stack: AirflowStack, tmp_path: Path) -> Iterator[Page]:
    """A browser of someone logged in whose clock is five hours and a half ahead of UTC."""
    if not CHROMIUM.exists():
        pytest.skip("there is no /usr/bin/chromium on this machine")
    url = airflow_stack.settings.airflow.url
    user, password = airflow.login(airflow_stack.settings)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=_FLAGS)
        context = browser.new_context(
            viewport={"width": 1280, "height": 1200}, timezone_id="Asia/Kolkata", locale="en-US"
        )
        context.set_default_timeout(_PATIENCE)
        expect.set_options(timeout=_PATIENCE)
        got = context.request.post(f"{url}/auth/token", data={"username": user, "password": password})
        context.add_cookies([{"name": "_token", "value": got.json()["access_token"], "url": url}])
        yield context.new_page()
        browser.close()


def test_the_form_replays_what_was_filled_in(airflow_stack: AirflowStack, page: Page, tmp_path: Path) -> None:
    runs.loaded(airflow_stack.api, "replay")
    log = Published(airflow_stack.settings)
    log.register(T0 - 60 * NS)
    log.publish(*(trade(T0 + i * 60 * NS, i + 1) for i in range(60)))
    log.close(T0 + HOUR + 120 * NS)
    topic = f"air.form.{uuid.uuid4().hex[:8]}"

    page.goto(f"{airflow_stack.settings.airflow.url}/dags/replay")
    page.get_by_test_id("trigger-dag-button").first.click()
    submit = page.get_by_test_id("trigger-dag-submit")
    expect(page.get_by_text("This field is required")).to_be_visible()
    expect(submit).to_be_disabled()
    page.locator("#element_vendor").click()
    page.get_by_role("option", name=VENDOR).click()
    _pick(page, 1, T0 + 10 * 60 * NS)
    _pick(page, 2, T0 + 20 * 60 * NS)
    page.locator("#element_to").fill(f"kafka:{topic}")
    page.get_by_role("button", name="Only some of it").click()
    page.locator("#element_symbols").fill("BTCUSDT")
    page.get_by_role("button", name="Run Parameters").click()
    expect(submit).to_be_enabled()
    picture = os.environ.get("TAPEDECK_SCREENSHOT", str(tmp_path / "form.png"))
    page.screenshot(path=picture, animations="disabled")
    with page.expect_response(lambda answer: answer.url.endswith("/dags/replay/dagRuns")) as answer:
        submit.click()
    assert answer.value.ok, answer.value.text()

    done = runs.wait(airflow_stack.api, "replay", answer.value.json()["dag_run_id"])
    assert done.state == "success"
    assert done.result("receipt")["counts"]["messages"] == 10
    assert done.said("plan")[0].startswith("slice [2")


def _pick(page: Page, which: int, time: int) -> None:
    """Type a time into one of the form's pickers, in the browser's zone."""
    local = datetime.fromtimestamp(time // NS, UTC).timestamp() + 5.5 * 3600
    there = datetime.fromtimestamp(local, UTC)
    page.get_by_test_id("datetime-input").nth(which).click()
    expect(page.get_by_text("Asia/Calcutta").or_(page.get_by_text("Asia/Kolkata"))).to_be_visible()
    page.get_by_placeholder("YYYY/MM/DD").locator("visible=true").fill(there.strftime("%Y/%m/%d"))
    page.get_by_placeholder("HH:mm").locator("visible=true").fill(there.strftime("%H:%M"))
    page.keyboard.press("Escape")
