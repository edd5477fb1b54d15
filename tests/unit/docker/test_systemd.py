"""The systemd units, as systemd itself reads them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import PROGRAM, ROOT

UNITS = sorted((ROOT / "docker" / "systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not on this machine: apt-get install systemd brings it")
    text = unit.read_text()
    assert "ExecStart=/opt/tapedeck/bin/tapedeck " in text
    made = tmp_path / unit.name.replace("@.", "@binance_usdm.")
    made.write_text(text.replace("/opt/tapedeck/bin/tapedeck", str(PROGRAM)))
    done = subprocess.run(
        [program, "verify", "--man=no", made], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_it_is_never_given_up_unless_its_settings_are_wrong(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert {"Restart=always", "StartLimitIntervalSec=0", "RestartPreventExitStatus=2"} <= {*lines}
