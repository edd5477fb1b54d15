"""From Airflow's menu to a day, a symbol, and the form that mends what is missing there."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

import tapedeck
from tapedeck import message as m
from tapedeck.jobs import backfill
from tapedeck.jobs.origin import Origin
from tapedeck.reports.day import parse_day, slice_of
from tapedeck.slices import NS
from tests.browser.hands import picture
from tests.published import VENDOR, Published
from tests.servers import AirflowStack

DAY = "2022-05-04"
OF = slice_of(parse_day(DAY))
SYMBOL = '<b>GAP</b>"'
AT = OF.start + 9 * 3600 * NS


def test_a_gap_is_seen_on_the_index_the_page_the_plot_and_leads_to_its_form(
    airflow_stack: AirflowStack, page: Page, tmp_path: Path
) -> None:
    settings = airflow_stack.settings
    some = [i for i in range(120) if i not in (40, 41)]
    made = [m.Trade(SYMBOL, AT + i * NS, AT + i * NS, 7 + i, 6 + i, 1022, 5.0 + i % 3, 1.0, 1) for i in some]
    Published(settings).load(made, src=1022)
    backfill.backfill(settings, VENDOR, OF, origin=Origin(who="night", started=AT))
    assert tapedeck.report(VENDOR, DAY, settings=settings).verdict == "FAIL"

    page.goto(f"{settings.airflow.url}/plugin/reports")
    inside = page.frame_locator("iframe")
    inside.locator(f'a[href="{VENDOR}/{DAY}.html"]').first.click()
    expect(inside.get_by_role("heading", name=f"{VENDOR}, {DAY}")).to_be_visible()
    expect(inside.get_by_text("2 messages of", exact=False).first).to_contain_text(SYMBOL)
    picture(page, "report", tmp_path)
    inside.get_by_role("link", name=SYMBOL).click()
    expect(inside.get_by_role("heading", name=SYMBOL)).to_be_visible()
    expect(inside.get_by_role("img", name="Price (trade)")).to_be_visible()
    picture(page, "symbol", tmp_path)
    inside.get_by_role("link", name=f"{VENDOR}, {DAY}").click()
    inside.get_by_role("link", name="Repair…").first.click()
    expect(inside.locator("#start_exact")).to_have_value(f"{DAY}T09:00:39Z")
    expect(inside.get_by_text("The run is started as")).to_be_visible()
    picture(page, "repair", tmp_path)
