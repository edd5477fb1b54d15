"""`/healthz`, `/readyz` and `/metrics` over HTTP, and when a process counts as alive and as ready."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from msgspec import structs

from tapedeck import health, metrics
from tapedeck.errors import Unavailable
from tapedeck.health import Serving, Teller, heard, judge
from tapedeck.metrics import Snapshot
from tapedeck.settings import Metrics, Settings, Vendor
from tests.servers import free_port

SETTINGS = Settings(vendors={"acme": Vendor()})
NOW = 1_700_000_000.0


def at(seconds_ago: float, held: str = "", role: str = "taper") -> Snapshot:
    return Snapshot(role=role, at=NOW - seconds_ago, held=held)


@pytest.mark.parametrize(
    ("snapshots", "alive", "ready", "words"),
    [
        ([at(1), at(2, role="publisher")], True, True, "taper: ready\npublisher: ready\n"),
        ([at(60)], True, True, "taper: ready\n"),
        ([at(61)], False, False, "taper: turned last 61 s ago\n"),
        ([at(1, "no bus")], True, False, "taper: held: no bus\n"),
        ([at(1), at(99, "x", "publisher")], False, False, "taper: ready\npublisher: turned last 99 s ago\n"),
        ([Snapshot(role="writer", at=0.0, held="x")], False, False, "writer: has not turned yet\n"),
    ],
)
def test_alive_is_a_loop_that_turns_and_ready_one_that_nothing_holds(
    snapshots: list[Snapshot], alive: bool, ready: bool, words: str
) -> None:
    verdict = judge(snapshots, NOW, 60.0)
    assert (verdict.alive, verdict.ready, verdict.words) == (alive, ready, words)


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address + path, timeout=5) as answer:  # noqa: S310 - our own
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_a_half_is_heard_of_through_its_file(tmp_path: Path) -> None:
    file = health.half_file(structs.replace(SETTINGS, state_dir=str(tmp_path)), "taper", "acme", 1)
    look = lambda: [heard(file, "taper")]  # noqa: E731
    with Serving(SETTINGS, {"vendor": "acme"}, look) as serving:
        assert serving.address.startswith("http://127.0.0.1:")
        assert get(serving.address, "/healthz") == (503, "taper: has not turned yet\n")
        Teller(file, "taper")("no bus", {metrics.TAPER_MESSAGES: 5})
        assert get(serving.address, "/healthz") == (200, "taper: held: no bus\n")
        assert get(serving.address, "/readyz") == (503, "taper: held: no bus\n")
        assert 'tapedeck_taper_messages_total{vendor="acme"} 5.0' in get(serving.address, "/metrics")[1]
        Teller(file, "taper")("", {})
        assert get(serving.address, "/readyz?x=1") == (200, "taper: ready\n")
        status, words = get(serving.address, "/")
        assert (status, words) == (404, "no such page: there are /healthz, /readyz, /metrics\n")
    assert [path.name for path in file.parent.iterdir()] == [file.name], "nothing half-written is left"


def test_a_half_that_can_not_say_how_it_is_works_on(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("no folder")
    Teller(tmp_path / "live" / "halves" / "taper-acme-1.json", "taper")("", {})


def test_a_taken_port_moves_on_and_an_address_that_is_not_ours_is_one_sentence() -> None:
    port = free_port(2)
    there = structs.replace(SETTINGS, metrics=Metrics(port=port))
    with Serving(there, {}, list) as first, Serving(there, {}, list) as second:
        assert first.address == f"http://127.0.0.1:{port}"
        assert second.address == f"http://127.0.0.1:{port + 1}"
    with pytest.raises(Unavailable, match=r"can't be served at 192\.0\.2\.1:0 .*set metrics\.host"):
        Serving(structs.replace(SETTINGS, metrics=Metrics(host="192.0.2.1")), {}, list)
