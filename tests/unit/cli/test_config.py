"""`tapedeck config`: what is in force and where each value came from, or one sentence of what is wrong."""

from __future__ import annotations

import json
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
