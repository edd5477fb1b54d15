"""The image: its Dockerfile, and its build, entry point and health check run for real, without Docker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tapedeck import metrics
from tapedeck.health import Serving
from tapedeck.metrics import Snapshot
from tapedeck.settings import Settings
from tests.servers import ROOT

DOCKER = ROOT / "docker"
BIN = Path(sys.executable).parent
ADMIN = "open sesame"


def run(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TAPEDECK_")}
    return subprocess.run(
        [str(word) for word in words],
        env=clean | variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_hadolint_finds_nothing() -> None:
    done = run(BIN / "hadolint", "--failure-threshold", "info", DOCKER / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_second_stage_has_neither_compiler_nor_root() -> None:
    _, first, second = (DOCKER / "Dockerfile").read_text().split("\nFROM ")
    assert "gcc" in first
    assert "gcc" not in second
    assert "apt-get" not in second
    assert "\nUSER 10001:10001\n" in second
    assert "\nHEALTHCHECK " in second


def lets_through() -> list[str]:
    """What Dockerfile.dockerignore lets into the build, as paths from the root."""
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().split()
    assert lines[0] == "*"
    return [line[1:] for line in lines if line.startswith("!")]


def test_the_dockerfile_copies_only_what_it_is_given() -> None:
    given = lets_through()
    for line in (DOCKER / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert any(source == one or source.startswith(f"{one}/") for one in given), source
    assert all((ROOT / one).exists() for one in given)


def test_the_build_makes_a_wheel_with_its_c_part_that_runs(tmp_path: Path) -> None:
    """The script's second step in a clean folder; what its first installs is lent by this environment."""
    source, target = tmp_path / "src", tmp_path / "opt"
    hidden = shutil.ignore_patterns("__pycache__", "_tape.so")
    for one in lets_through():
        (source / one).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / one).is_dir():
            shutil.copytree(ROOT / one, source / one, ignore=hidden)
        else:
            shutil.copy(ROOT / one, source / one)
    assert run(sys.executable, "-m", "venv", "--without-pip", target).returncode == 0
    packages = target / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (packages / "lent.pth").write_text(str(Path(pytest.__file__).parents[1]))
    (target / "bin" / "uv").symlink_to(BIN / "uv")
    done = run(source / "docker" / "build.sh", "wheel", source, target)
    assert done.returncode == 0, done.stderr
    assert (packages / "tapedeck" / "native" / "_tape.so").is_file()
    assert (packages / "live" / "taper.py").is_file()
    assert not list(source.rglob("_tape.so.*"))
    helped = run(
        source / "docker" / "entrypoint.sh", "tapedeck", "--help", PATH=f"{target}/bin:/usr/bin:/bin"
    )
    assert helped.returncode == 0, helped.stderr
    assert "collect" in helped.stdout
    assert run(source / "docker" / "build.sh", "weel", source, target).returncode == 2


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("airflow-scheduler", "airflow scheduler"),
        ("airflow-dag-processor", "airflow dag-processor"),
        ("airflow-triggerer", "airflow triggerer"),
        ("airflow-api-server", "airflow api-server"),
        ("airflow-worker", "airflow celery worker"),
        ("tapedeck", "tapedeck"),
    ],
)
def test_a_containers_first_word_says_what_it_is(tmp_path: Path, word: str, becomes: str) -> None:
    for name in ("airflow", "tapedeck"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    done = run(
        DOCKER / "entrypoint.sh", word,
        PATH=f"{tmp_path}:{BIN}:/usr/bin:/bin", AIRFLOW_HOME=str(tmp_path), AIRFLOW_ADMIN_PASSWORD=ADMIN,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{becomes}\n")
    kept = tmp_path / "passwords.json"
    assert kept.exists() == (word == "airflow-api-server")
    if kept.exists():
        assert kept.read_text() == '{"admin": "open sesame"}\n'
        assert kept.stat().st_mode & 0o077 == 0


def test_the_health_check_asks_healthz_and_says_why_not() -> None:
    said: list[Snapshot] = []
    with Serving(Settings(), {}, lambda: said) as serving:
        port = serving.address.rpartition(":")[2]
        for snapshot, code, words in (
            (metrics.snapshot("taper", time.time(), "no bus", {}), 0, "taper: held: no bus\n"),
            (metrics.snapshot("taper", time.time() - 61.5, "", {}), 1, "taper: turned last 6"),
        ):
            said[:] = [snapshot]
            done = run(sys.executable, DOCKER / "healthcheck.py", TAPEDECK_METRICS__PORT=port)
            assert done.returncode == code
            assert words in done.stdout + done.stderr
    done = run(sys.executable, DOCKER / "healthcheck.py", TAPEDECK_METRICS__PORT=port)
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr
