"""The checks at the terminal: exit statuses, the JSON of DESIGN §9, and what a person reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

import tapedeck
from tapedeck import message as m
from tapedeck.cli.main import run
from tapedeck.settings import Settings
from tapedeck.slices import NS, Slice, format_time
from tapedeck.store import documents, library
from tapedeck.store.rebuild import rebuild
from tests.published import T0, VENDOR, Published, environment, trade

OF = Slice(T0, T0 + 600 * NS)
SPAN = (format_time(OF.start), format_time(OF.end))


@pytest.fixture
def log(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Ten minutes of trades and heartbeats, without the trades 101 to 103."""
    for name, value in environment(settings).items():
        if name.startswith("TAPEDECK_"):
            monkeypatch.setenv(name, value)
    log = Published(settings)
    log.register(T0 - NS)
    made: list[m.Message] = [m.Heartbeat("*", 0, T0 + i * NS, 0, 0, 1, T0 - NS) for i in range(620)]
    made += [trade(T0 + i * NS + 5, i) for i in range(1, 620) if not 101 <= i <= 103]
    log.publish(*sorted(made, key=lambda one: one.ts_recv))
    log.close(T0 + 620 * NS)
    rebuild(settings, VENDOR, OF)
    return log


def told(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Exit status and the object of --json."""
    status = run([*words, "--json"])
    out, err = capfd.readouterr()
    assert err == ""
    return status, json.loads(out)


def test_gaps_are_found_kept_and_accepted(
    settings: Settings, log: Published, capfd: pytest.CaptureFixture[str]
) -> None:
    status, said = told(capfd, "gaps", VENDOR, *SPAN)
    assert (status, said["verdict"]) == (1, "fail")
    assert said["slice"] == {"start": SPAN[0], "end": SPAN[1]}
    [found] = said["findings"]
    assert {name: found[name] for name in ("reason", "vendor", "symbol", "kind", "messages", "status")} == {
        "reason": "upstream", "vendor": VENDOR, "symbol": "BTCUSDT", "kind": "trade", "messages": 3,
        "status": "open",
    }  # fmt: skip
    assert found["start"] == format_time(T0 + 100 * NS + 5)
    assert found["end"] == format_time(T0 + 104 * NS + 5)
    report = tapedeck.gaps(VENDOR, OF.start, OF.end, settings=settings)
    assert [one.id for one in report.findings] == [found["id"]]
    assert told(capfd, "findings", VENDOR, "--status", "open") == (0, {"findings": [found]})
    assert told(capfd, "findings", "show", found["id"][:7]) == (0, found)
    assert run(["findings", "show", found["id"][:7]]) == 0
    lines = dict(line.split("  ", 1) for line in capfd.readouterr().out.splitlines())
    assert lines["finding"].strip() == f"{found['id']} (sequence, fail)"
    assert lines["life"].strip().startswith("open; first seen ")
    assert f"tapedeck backfill {VENDOR} {found['start']} {found['end']}" in lines["to do"]
    for words in (["show"], ["accept", "a", "b"], ["show", "zz"], ["show", found["id"], "--reason", "x"]):
        assert run(["findings", *words]) == 2, words
        assert len(capfd.readouterr().err.splitlines()) == 1, words
    status, accepted = told(capfd, "findings", "accept", found["id"][:8], "--reason", "announced")
    assert (status, accepted["status"], accepted["why_accepted"]) == (0, "accepted", "announced")
    status, said = told(capfd, "gaps", VENDOR, *SPAN)
    assert (status, said["verdict"], said["findings"][0]["status"]) == (0, "pass", "accepted")
    assert told(capfd, "gaps", VENDOR, SPAN[0], format_time(T0 + 90 * NS))[1]["findings"] == []


def test_a_person_reads_a_table(
    settings: Settings, log: Published, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["gaps", VENDOR, *SPAN]) == 1
    out = capfd.readouterr().out.splitlines()
    assert out[0] == f"{VENDOR} {OF}: fail, 1 finding"
    assert out[1] == "messages 596, gaps 1"
    assert out[2].split() == ["id", "reason", "vendor", "symbol", "kind", "start", "end", "messages",
                              "status", "why"]  # fmt: skip
    assert out[3].split()[1:5] == ["upstream", VENDOR, "BTCUSDT", "trade"]
    assert out[3].endswith("open    no source ever saw it")


def test_that_nothing_could_be_judged_yet_is_said_first(
    log: Published, capfd: pytest.CaptureFixture[str]
) -> None:
    for words in (["2s", "now"], ["2s", "now", "--quick"]):
        assert run(["reconcile", VENDOR, *words]) == 0
        first = capfd.readouterr().out.splitlines()[0]
        assert first.startswith(f"{VENDOR} [")
        assert first.endswith("): nothing was judged, 0 findings")
    assert run(["reconcile", VENDOR, "2s", "now", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["verdict"], said["judged"]) == ("pass", 0)
    assert "the last windows are still open and were not judged" in said["notes"]
    assert run(["reconcile", VENDOR, *SPAN]) == 0
    assert capfd.readouterr().out.splitlines()[0] == f"{VENDOR} {OF}: pass, 0 findings"
    assert told(capfd, "reconcile", VENDOR, *SPAN, "--quick")[1]["judged"] == 4 * 5


def test_a_lost_document_is_found_mended_and_closed(
    settings: Settings, log: Published, capfd: pytest.CaptureFixture[str]
) -> None:
    assert told(capfd, "reconcile", VENDOR, *SPAN)[0] == 0
    trades = library.ensure(settings, VENDOR)["trade"].collection
    trades.delete_one({"_id": documents.document_id(T0, "BTCUSDT")})
    assert run(["reconcile", VENDOR, *SPAN]) == 1
    out = capfd.readouterr().out
    assert "Arctic has no document of this window" in out
    assert "missing in Arctic" in out
    assert "unaccounted" in out
    status, said = told(capfd, "reconcile", VENDOR, *SPAN, "--repair")
    assert (status, said["verdict"]) == (1, "fail")
    assert [(one["reason"], one["messages"], one["status"]) for one in said["findings"]] == [
        ("writer", 596, "closed")
    ]
    status, said = told(capfd, "reconcile", VENDOR, *SPAN)
    assert (status, said["verdict"], said["findings"]) == (0, "pass", [])
    report = tapedeck.reconcile(VENDOR, OF.start, OF.end, settings=settings)
    assert report.verdict == "pass"
    assert run(["receipts", "--job", "reconcile"]) == 0
    assert "reconcile binance_usdm" in capfd.readouterr().out
