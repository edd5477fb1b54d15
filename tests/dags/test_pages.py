"""Receipts inside Airflow, for those who are logged in."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request

import pytest

from tapedeck.embedded import airflow
from tapedeck.jobs import receipts
from tapedeck.jobs.origin import Origin
from tapedeck.jobs.receipts import Receipt
from tapedeck.reports import home
from tapedeck.slices import NS, Slice
from tests.servers import AirflowStack


@pytest.fixture(scope="module")
def receipt(airflow_stack: AirflowStack) -> Receipt:
    return receipts.issue(
        airflow_stack.settings, Origin(who="<b>ada", started=time.time_ns()), "replay", "binance_usdm",
        Slice(NS, 2 * NS), None, outcome="unchanged", counts={"messages": 7}, before="0" * 32, after="1" * 32,
    )  # fmt: skip


def get(stack: AirflowStack, path: str, logged_in: bool = True) -> tuple[int, str, str]:
    """Status, address in the end, and text of a page."""
    headers = {"Accept": "text/html"}
    if logged_in:
        user, password = airflow.login(stack.settings)
        body = {"username": user, "password": password}
        headers["Authorization"] = f"Bearer {stack.api.call('POST', '/auth/token', body)['access_token']}"
    request = urllib.request.Request(f"{stack.settings.airflow.url}{path}", headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            if logged_in:
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            return answer.status, answer.url, answer.read().decode()
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.url, e.read().decode()


def test_receipts_are_listed_and_shown_whole(airflow_stack: AirflowStack, receipt: Receipt) -> None:
    status, _, listed = get(airflow_stack, "/tapedeck/")
    assert status == 200
    assert f'<a href="receipt/{receipt.id}">' in listed
    status, _, whole = get(airflow_stack, f"/tapedeck/receipt/{receipt.id}")
    assert status == 200
    assert re.search("counts</td><td>messages 7<", whole)
    assert "&lt;b&gt;ada" in whole
    assert "<b>ada" not in whole


def test_an_unknown_receipt_is_one_sentence(airflow_stack: AirflowStack, receipt: Receipt) -> None:
    status, _, page = get(airflow_stack, "/tapedeck/receipt/zzz")
    assert status == 404
    assert "is no receipt&#x27;s id" in page


def test_reports_are_served_whole_and_nothing_beside_them(airflow_stack: AirflowStack) -> None:
    status, _, empty = get(airflow_stack, "/tapedeck/reports/")
    assert status == 200
    assert "Tape reports" in empty
    folder = home.home(airflow_stack.settings) / "binance_usdm"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "2020-01-02.html").write_text("<p>a page</p>")
    assert get(airflow_stack, "/tapedeck/reports/binance_usdm/2020-01-02.html")[::2] == (200, "<p>a page</p>")
    for path in ("binance_usdm/2020-01-03.html", "..%2f..%2ftapedeck.toml", "binance_usdm/..%2f..%2fx"):
        assert get(airflow_stack, f"/tapedeck/reports/{path}")[0] == 404
    assert "/auth/login" in get(airflow_stack, "/tapedeck/reports/", logged_in=False)[1]


def test_who_is_not_logged_in_is_sent_to_the_login(airflow_stack: AirflowStack) -> None:
    _, where, _ = get(airflow_stack, "/tapedeck/", logged_in=False)
    assert "/auth/login?next=" in where


def test_the_receipts_have_a_place_in_airflows_menu(airflow_stack: AirflowStack) -> None:
    plugins = airflow_stack.api.call("GET", "/api/v2/plugins")["plugins"]
    (ours,) = (plugin for plugin in plugins if plugin["name"] == "tapedeck")
    assert [view["name"] for view in ours["external_views"]] == ["Tape receipts", "Tape reports", "Tape"]
    errors = airflow_stack.api.call("GET", "/api/v2/plugins/importErrors")
    assert errors["import_errors"] == []
