"""A month through Airflow's Backfill dialog with one bad day in it, as three days are in `tests/browser`."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import browse, page  # noqa: F401
from tests.browser.test_backfill_dialog import DAY, Span, assert_backfilled
from tests.servers import AirflowStack


@pytest.mark.skipif("FAULT_SEEDS" not in os.environ, reason="make faults: it is thirty runs of Airflow")
@pytest.mark.timeout(7200)
def test_thirty_days_one_of_them_bad_and_then_whole(
    airflow_stack: AirflowStack,
    page: Page,  # noqa: F811
    tmp_path: Path,
) -> None:
    first = (time.time_ns() // DAY - 1800 - os.getpid() % 30 * 31) * DAY
    assert_backfilled(airflow_stack, page, tmp_path, Span(first, 30, holed_at=11, bad_at=17))
