"""A real browser in which somebody is logged in, far from UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tapedeck.embedded import airflow
from tests.servers import AirflowStack

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
_PATIENCE = 180_000.0
Browse = Callable[..., Page]


@pytest.fixture
def browse(airflow_stack: AirflowStack) -> Iterator[Browse]:
    """Gives pages: of the admin, or of the user that is named; their clock is five hours and a half ahead."""
    if not CHROMIUM.exists():
        pytest.skip("there is no /usr/bin/chromium on this machine")
    url = airflow_stack.settings.airflow.url
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=_FLAGS)
        expect.set_options(timeout=_PATIENCE)
        of_user: dict[str, BrowserContext] = {}

        def page(user: str = "") -> Page:
            if user not in of_user:
                context = of_user[user] = browser.new_context(
                    viewport={"width": 1280, "height": 1200}, timezone_id="Asia/Kolkata", locale="en-US"
                )
                context.set_default_timeout(_PATIENCE)
                name, password = airflow.login(airflow_stack.settings, user)
                got = context.request.post(f"{url}/auth/token", data={"username": name, "password": password})
                context.add_cookies([{"name": "_token", "value": got.json()["access_token"], "url": url}])
            return of_user[user].new_page()

        yield page
        browser.close()


@pytest.fixture
def page(browse: Browse) -> Page:
    """A page of the admin."""
    return browse()
