"""A form that a link has filled in, the approval that its run waits for, its receipt, and once more."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tapedeck.checks.repairs import Repair
from tapedeck.jobs import receipts
from tapedeck.slices import NS, Slice, format_time
from tests.browser.conftest import Browse
from tests.browser.hands import picture
from tests.dags import runs
from tests.published import HOUR, VENDOR, Published, trade
from tests.servers import AirflowStack

MANY = 1001
"""One more than the tests' settings allow unasked."""
DAY = 24 * HOUR
T0 = (time.time_ns() // DAY - 1300 - os.getpid() % 300) * DAY
OF = Slice(T0, T0 + HOUR)


@pytest.mark.timeout(1500)
def test_a_link_a_form_an_approval_a_receipt_and_the_same_again(
    airflow_stack: AirflowStack, browse: Browse, tmp_path: Path
) -> None:
    settings, api = airflow_stack.settings, airflow_stack.api
    runs.loaded(api, "replay")
    Published(settings).load([trade(T0 + i * NS, i + 1, "FORMUSDT", src=1950) for i in range(MANY)], src=1950)
    conf = {
        "vendor": VENDOR, "start_exact": format_time(OF.start), "end_exact": format_time(OF.end),
        "to": f"kafka:air.repair.{uuid.uuid4().hex[:8]}", "symbols": ["FORMUSDT"], "kinds": ["trade"],
    }  # fmt: skip
    link = f"{settings.airflow.url}{Repair('replay', conf).link}"

    viewer = browse("vic")
    viewer.goto(link)
    expect(viewer.frame_locator("iframe").get_by_text("may not start runs")).to_be_visible()

    uma = browse("uma")
    uma.goto(link)
    form = uma.frame_locator("iframe")
    expect(form.locator("#vendor")).to_have_value(VENDOR)
    expect(form.locator("#end_exact")).to_have_value(format_time(OF.end))
    expect(form.locator("#symbols")).to_have_value("FORMUSDT")
    expect(form.get_by_text("The run is started as uma")).to_be_visible()
    picture(uma, "prefilled", tmp_path)
    with uma.expect_response(lambda answer: answer.url.endswith("/dags/replay/dagRuns")) as started:
        form.get_by_role("button", name="Start").click()
    assert started.value.ok, started.value.text()
    run = started.value.json()["dag_run_id"]
    form.locator("#started").click()
    uma.wait_for_url(f"**/dags/replay/runs/{quote(run)}**")

    approve(airflow_stack, browse, run, tmp_path)
    done = runs.wait(api, "replay", run, 900)
    assert done.state == "success", done.tasks
    [made] = [r for r in receipts.recent(settings, 100, VENDOR, "replay") if r.run == run]
    assert (made.who, made.counts["written"]) == ("uma", MANY)
    assert "approved by olga" in done.said("approval")

    page = browse()
    page.goto(f"{settings.airflow.url}/dags/replay/runs/{run}/tasks/receipt/details")
    page.get_by_role("link", name="Receipt", exact=True).click()
    shown = page.frame_locator("iframe")
    expect(shown.get_by_role("heading", name=f"Receipt {made.id}")).to_be_visible()
    picture(page, "receipt", tmp_path)
    shown.get_by_role("link", name="Do it again").click()
    expect(shown.locator("#to")).to_have_value(conf["to"])

    again(airflow_stack, page, run, conf, tmp_path)


def approve(stack: AirflowStack, browse: Browse, run: str, tmp_path: Path) -> None:
    """The wrong person's answer is refused, the right one's is taken."""
    runs.awaits(stack, run)
    where = f"{stack.settings.airflow.url}/dags/replay/runs/{run}/tasks/approval/required_actions"
    for user, status in (("uma", 403), ("olga", 200)):
        page = browse(user)
        page.goto(where)
        expect(
            page.get_by_text("it may be 1,001 messages, more than the 1,000 allowed unasked")
        ).to_be_visible()
        picture(page, f"approval_{user}", tmp_path)
        with page.expect_response(lambda answer: answer.url.endswith("/hitlDetails")
                                  and answer.request.method == "PATCH") as answered:  # fmt: skip
            page.get_by_role("button", name="Approve").click()
        assert answered.value.status == status, answered.value.text()


def again(stack: AirflowStack, page: Page, run: str, conf: dict[str, object], tmp_path: Path) -> None:
    """Airflow's "trigger again with this config" carries the whole of it."""
    page.goto(f"{stack.settings.airflow.url}/dags/replay/runs/{run}")
    page.get_by_test_id("trigger-dag-button").first.click()
    page.get_by_text("Trigger again with this config").click()
    expect(page.locator("#element_to")).to_have_value(str(conf["to"]))
    picture(page, "again", tmp_path)
    with page.expect_response(lambda answer: answer.url.endswith("/dags/replay/dagRuns")) as answer:
        page.get_by_test_id("trigger-dag-submit").click()
    assert answer.value.ok, answer.value.text()
    sent = json.loads(answer.value.request.post_data or "{}")["conf"]
    assert {name: sent[name] for name in conf} == conf
    ended = answer.value.json()["dag_run_id"]
    stack.api.call("PATCH", f"/api/v2/dags/replay/dagRuns/{ended}?update_mask=state", {"state": "failed"})
