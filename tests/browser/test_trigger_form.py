"""A person fills in the replay's form in a real browser, far from UTC, and the right slice is replayed."""

from __future__ import annotations

import uuid
from pathlib import Path

from playwright.sync_api import Page, expect

from tapedeck.slices import NS
from tests.browser.hands import pick, picture
from tests.dags import runs
from tests.published import HOUR, T0, VENDOR, Published, trade
from tests.servers import AirflowStack


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
    pick(page, 1, T0 + 10 * 60 * NS)
    pick(page, 2, T0 + 20 * 60 * NS)
    page.locator("#element_to").fill(f"kafka:{topic}")
    page.get_by_role("button", name="Only some of it").click()
    page.locator("#element_symbols").fill("BTCUSDT")
    page.get_by_role("button", name="Run Parameters").click()
    expect(submit).to_be_enabled()
    picture(page, "form", tmp_path)
    with page.expect_response(lambda answer: answer.url.endswith("/dags/replay/dagRuns")) as answer:
        submit.click()
    assert answer.value.ok, answer.value.text()

    done = runs.wait(airflow_stack.api, "replay", answer.value.json()["dag_run_id"])
    assert done.state == "success"
    assert done.result("receipt")["counts"]["messages"] == 10
    assert done.said("plan")[0].startswith("slice [2")
