"""`tapedeck config`: what is in force and where each value came from, or one sentence of what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tapedeck.cli.main import run

Words = tuple[str, ...]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a settings file, and a variable over it."""
    (tmp_path / "tapedeck.toml").write_text('[kafka]\nport = 19093\n[vendors.binance_usdm]\nmargin = "7s"\n')
    monkeypatch.setenv("TAPEDECK_KAFKA__PREFIX", "mine.")
    monkeypatch.setenv("TAPEDECK_AIRFLOW__PASSWORD", "swordfish")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = run(["config", *words])
    out, err = capfd.readouterr()
    return status, out, err


def test_each_value_is_told_with_where_it_came_from(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = told(capfd)
    assert (status, err) == (0, "")
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines()}
    assert lines["kafka.port"].split(maxsplit=1) == ["19093", f"{folder}/tapedeck.toml line 2"]
    assert lines["vendors.binance_usdm.margin"].split(maxsplit=1)[1] == f"{folder}/tapedeck.toml line 4"
    assert lines["kafka.prefix"].split(maxsplit=1) == ['"mine."', "environment TAPEDECK_KAFKA__PREFIX"]
    assert lines["mongo.port"].split() == ["27017", "default"]
    assert len({line.index(lines[line.split()[0]]) for line in out.splitlines()}) == 1  # one below the other


def test_machines_get_one_object_and_no_secret(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = told(capfd, "--json")
    found = json.loads(out)
    assert (status, out.count("\n")) == (0, 1)
    assert found["kafka.port"] == {"value": 19093, "source": f"{folder}/tapedeck.toml line 2"}
    assert "swordfish" not in out
    assert found["airflow.password"]["source"] == "environment TAPEDECK_AIRFLOW__PASSWORD"


def test_a_check_is_silent_or_one_sentence(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(capfd, "--check") == (0, "", "")
    monkeypatch.setenv("TAPEDECK_KAFKA__PORTT", "1")
    for words in ((), ("--check",), ("--json",)):
        status, out, err = told(capfd, *words)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "did you mean 'port'?" in err
        assert "TAPEDECK_KAFKA__PORTT" in err


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            '[kafka.client]\n"sasl.usrname" = "x"',
            r'\[kafka.client\]: No such configuration property: "sasl.usrname"',
        ),
        ('[kafka.client]\n"socket.timeout.ms" = "soon"', r"\[kafka.client\]: .*socket.timeout.ms"),
        ("[mongo.client]\ntsl = true", r"Unknown option: tsl"),
        (
            '[mongo]\nuri = "mongodb://h:port/"',
            r"mongo.uri or \[mongo.client\] is not as MongoDB's driver takes it",
        ),
        ('[vendors.binance_spt]\nbus = "websocket"', r"binance_spt"),
        ('[vendors.binance_spot]\nbus = "zmq:5601"', r"no address of a ZeroMQ bus.*tapedeck.toml line 2"),
        ('[vendors.binance_spot]\nbus = ""\ncalendar = "XXXX"', r"XXXX"),
    ],
)
def test_a_check_also_finds_what_only_drivers_vendors_and_calendars_know(
    lines: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "tapedeck.toml").write_text(f"{lines}\n")
    monkeypatch.chdir(tmp_path)
    status, out, err = told(capfd, "--check")
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert re.search(sentence, err)


def test_a_check_opens_no_file_that_only_the_deployment_has_and_tells_what_is_only_odd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tapedeck.toml").write_text(
        '[kafka.client]\n"ssl.ca.location" = "/no/ca.pem"\n'
        '[mongo.client]\ntls = true\ntlsCAFile = "/no/ca.pem"\n'
        '[store]\ngenerations = "9d"\n'
    )
    monkeypatch.chdir(tmp_path)
    status, out, err = told(capfd, "--check")
    assert (status, out) == (0, "")
    assert re.fullmatch(
        r"note: store.generations is called store.keep_age since 0.2.0, in .* line 7: .*\n", err
    )
