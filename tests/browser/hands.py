"""What a person does in a form, and what they see."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page, expect

from tapedeck.slices import NS


def pick(page: Page, which: int, time: int) -> None:
    """Type a time (UTC ns) into one of a form's pickers, in the browser's zone."""
    local = datetime.fromtimestamp(time // NS, UTC).timestamp() + 5.5 * 3600
    there = datetime.fromtimestamp(local, UTC)
    page.get_by_test_id("datetime-input").nth(which).click()
    expect(page.get_by_text("Asia/Calcutta").or_(page.get_by_text("Asia/Kolkata")).first).to_be_visible()
    page.get_by_placeholder("YYYY/MM/DD").locator("visible=true").fill(there.strftime("%Y/%m/%d"))
    page.get_by_placeholder("HH:mm").locator("visible=true").fill(there.strftime("%H:%M"))
    hour = page.get_by_placeholder("HH:mm").locator("visible=true")
    while hour.count():  # while the field is drawn anew a key is lost; a second closes the form
        page.keyboard.press("Escape")
        with suppress(AssertionError):
            expect(hour).to_have_count(0, timeout=20_000)


def picture(page: Page, name: str, tmp_path: Path) -> None:
    """What a person sees now, kept where TAPEDECK_SCREENSHOTS says, to be looked at."""
    folder = Path(os.environ.get("TAPEDECK_SCREENSHOTS", str(tmp_path)))
    page.screenshot(path=str(folder / f"{name}.png"), animations="disabled")
